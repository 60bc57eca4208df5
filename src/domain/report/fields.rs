use serde_json::{Map, Value};
use strum::VariantNames;
use uuid::Uuid;

use crate::domain::counts::{Counts, MAX_COUNT, round_percent};
use crate::domain::report::FieldError;
use crate::domain::run_id::RunId;

pub(super) const EXPECTED_COUNT: &str = "a whole number from 0 to 9007199254740991";
/// The tolerance between a reported rate and that of its counts, in percentage points.
const RATE_TOLERANCE: f64 = 0.1;
/// Errors listed per item. Suggesting names for thousands of unknown fields would take seconds.
const MAX_ERRORS: usize = 20;

/// The fields of one item. Each is taken out once and validated, errors are collected, and the fields left at the end are
/// unknown.
pub(super) struct Fields {
    /// The prefix of the item's error paths: `checks[0].`.
    at: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn of(item: Value) -> Result<Self, Vec<FieldError>> {
        Self::at(String::new(), item)
    }

    fn at(at: String, item: Value) -> Result<Self, Vec<FieldError>> {
        match item {
            Value::Object(left) => Ok(Self { at, left, known: Vec::new(), errors: Vec::new() }),
            other => Err(vec![FieldError {
                field: at.trim_end_matches('.').to_owned(),
                message: format!("got {}", describe(&other)),
                expected: "an object".into(),
            }]),
        }
    }

    pub(super) fn finish(mut self) -> Vec<FieldError> {
        let room = MAX_ERRORS.saturating_sub(self.errors.len());
        for name in std::mem::take(&mut self.left).into_iter().map(|(name, _)| name).take(room) {
            let expected = match self.nearest(&name) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("one of {}", self.known.join(", ")),
            };
            self.error(&truncate(&name), "unknown field", &expected);
        }
        self.errors
    }

    pub(super) fn error(&mut self, field: &str, message: &str, expected: &str) {
        let field = format!("{}{field}", self.at);
        self.errors.push(FieldError { field, message: message.into(), expected: expected.into() });
    }

    pub(super) fn has_error(&self, field: &str) -> bool {
        self.errors.iter().any(|error| error.field == field)
    }

    /// Adds an error that only matters in an otherwise valid item.
    pub(super) fn error_unless_invalid(&mut self, field: &str, message: &str, expected: &str) {
        if self.errors.is_empty() {
            self.error(field, message, expected);
        }
    }

    /// Whether the field is present and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|value| !value.is_null())
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = read(&value);
        if read.is_none() {
            self.error(name, &format!("got {}", describe(&value)), expected);
        }
        read
    }

    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        if self.require_present(name, expected) { self.optional(name, expected, read) } else { None }
    }

    /// Whether the field is present; adds an error if it is not.
    pub(super) fn require_present(&mut self, name: &'static str, expected: &str) -> bool {
        let has = self.has(name);
        if !has {
            self.take(name);
            self.error(name, "missing", expected);
        }
        has
    }

    pub(super) fn forbidden(&mut self, name: &'static str, message: &str, expected: &str) {
        if self.take(name).is_some() {
            self.error(name, message, expected);
        }
    }

    /// The id of a run, if there is one.
    pub(super) fn run_id(&mut self) -> Option<RunId> {
        let expected = format!("{}, or no id (the server assigns one)", RunId::EXPECTED);
        self.optional("id", &expected, |value| value.as_str()?.parse().ok())
    }

    pub(super) fn id(&mut self) -> Option<Uuid> {
        self.optional("id", "a UUID, or no id (the server assigns one)", |value| Uuid::try_parse(value.as_str()?).ok())
    }

    /// The objects of a list of at most `max`. A missing field is an empty list; `None` if the list is invalid.
    pub(super) fn items(&mut self, name: &'static str, max: usize) -> Option<Vec<Self>> {
        let Some(value) = self.take(name) else { return Some(Vec::new()) };
        let items = match value {
            Value::Array(items) if items.len() <= max => items,
            Value::Array(items) => {
                self.error(name, &format!("{} items", items.len()), &format!("at most {max}"));
                return None;
            }
            other => {
                self.error(name, &format!("got {}", describe(&other)), "a list of objects");
                return None;
            }
        };
        let (mut all, before) = (Vec::with_capacity(items.len()), self.errors.len());
        for (index, item) in items.into_iter().enumerate() {
            match Self::at(format!("{}{name}[{index}].", self.at), item) {
                Ok(item) => all.push(item),
                Err(errors) => self.errors.extend(errors),
            }
        }
        (self.errors.len() == before).then_some(all)
    }

    /// Adds the errors of a nested item.
    pub(super) fn absorb(&mut self, item: Self) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.extend(item.finish());
        }
    }

    pub(super) fn required_count(&mut self, name: &'static str) -> Option<u64> {
        if self.require_present(name, EXPECTED_COUNT) { self.count(name) } else { None }
    }

    /// The counts of a check, if there are no more successes than attempts.
    pub(super) fn counts(&mut self, successes_name: &str, attempts: u64, successes: u64) -> Option<Counts> {
        let counts = Counts::new(attempts, successes);
        if counts.is_none() {
            let message = format!("{successes} of {attempts} attempts");
            self.error(successes_name, &message, "no more than the attempts");
        }
        counts
    }

    pub(super) fn count(&mut self, name: &'static str) -> Option<u64> {
        self.optional(name, EXPECTED_COUNT, read_count)
    }

    /// A check's two counts, of which both or none must be present, and its rate, which must agree with them.
    pub(super) fn check(
        &mut self,
        attempts_name: &'static str,
        successes_name: &'static str,
        rate_name: &'static str,
    ) -> Option<Counts> {
        let given = (self.has(attempts_name), self.has(successes_name));
        let attempts = self.count(attempts_name);
        let successes = self.count(successes_name);
        let rate = self.optional(rate_name, "percent, a number from 0 to 100", |value| {
            value.as_f64().filter(|rate| (0.0..=100.0).contains(rate))
        });
        match given {
            (true, false) => self.error(successes_name, "missing", &format!("a count together with {attempts_name}")),
            (false, true) => self.error(attempts_name, "missing", &format!("a count together with {successes_name}")),
            (false, false) if rate.is_some() => {
                self.error(rate_name, "rate without counts", &format!("{attempts_name} and {successes_name}"));
            }
            _ => {}
        }
        let (attempts, successes) = (attempts?, successes?);
        let counts = self.counts(successes_name, attempts, successes)?;
        let true_rate = counts.rate().unwrap_or(0.0);
        if let Some(rate) = rate
            && (rate - true_rate).abs() > RATE_TOLERANCE + 1e-9
        {
            let message = format!("{rate} does not agree with {successes} of {attempts}");
            self.error(rate_name, &message, &format!("{} (within 0.1), or no rate", round_percent(true_rate)));
        }
        Some(counts)
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// The known field that is most similar to an unknown one.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        let name: String = name.chars().take(64).collect();
        self.known
            .iter()
            .map(|known| (strsim::jaro_winkler(known, &name), *known))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|one, two| one.0.total_cmp(&two.0))
            .map(|(_, known)| known)
    }
}

/// Lists the values of an enumeration.
pub(super) fn one_of<T: VariantNames>() -> String {
    format!("one of {}", T::VARIANTS.join(", "))
}

pub(super) fn read_count(value: &Value) -> Option<u64> {
    value.as_u64().filter(|count| *count <= MAX_COUNT)
}

/// Describes a JSON value in a short text.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => truncate(&number.to_string()),
        Value::String(text) => format!("{:?}", truncate(text)),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

pub(super) fn truncate(text: &str) -> String {
    const MAX: usize = 60;
    if text.chars().count() <= MAX {
        return text.into();
    }
    let start: String = text.chars().take(MAX).collect();
    format!("{start}…")
}
