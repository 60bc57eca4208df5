use serde_json::{Map, Value};
use strum::VariantNames;
use uuid::Uuid;

use crate::domain::counts::{Counts, MAX_REPORTED, shown};
use crate::domain::report::Fault;

/// What a count is, for an error.
const A_COUNT: &str = "a whole number from 0 to 2147483647";
/// A rate that a reporter sends may differ this much, in points, from the one its counts give.
const RATE_TOLERANCE: f64 = 0.1;
/// Faults of one item that are listed. Finding the likely names of thousands of unknown fields would take seconds.
const MAX_FAULTS: usize = 20;

/// The fields of one item: each is taken out once and checked, what is wrong is gathered, and what is left over at the
/// end is unknown.
pub(super) struct Fields {
    /// Where the item is in the one around it, as it leads the paths of its faults: `checks[0].`.
    at: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Fields {
    pub(super) fn of(item: Value) -> Result<Self, Vec<Fault>> {
        Self::at(String::new(), item)
    }

    fn at(at: String, item: Value) -> Result<Self, Vec<Fault>> {
        match item {
            Value::Object(left) => Ok(Self { at, left, known: Vec::new(), faults: Vec::new() }),
            other => Err(vec![Fault {
                field: at.trim_end_matches('.').to_owned(),
                message: format!("the item is {}", describe(&other)),
                expected: "an object".into(),
            }]),
        }
    }

    pub(super) fn finish(mut self) -> Vec<Fault> {
        let room = MAX_FAULTS.saturating_sub(self.faults.len());
        for name in std::mem::take(&mut self.left).into_iter().map(|(name, _)| name).take(room) {
            let expected = match self.nearest(&name) {
                Some(nearest) => format!("{nearest}?"),
                None => format!("one of {}", self.known.join(", ")),
            };
            self.fault(&cut(&name), "there is no such field", &expected);
        }
        self.faults
    }

    pub(super) fn fault(&mut self, field: &str, message: &str, expected: &str) {
        let field = format!("{}{field}", self.at);
        self.faults.push(Fault { field, message: message.into(), expected: expected.into() });
    }

    /// Whether something was found wrong with this field.
    pub(super) fn is_faulty(&self, field: &str) -> bool {
        self.faults.iter().any(|fault| fault.field == field)
    }

    /// For what only matters when nothing else was found wrong.
    pub(super) fn fault_unless_faulty(&mut self, field: &str, message: &str, expected: &str) {
        if self.faults.is_empty() {
            self.fault(field, message, expected);
        }
    }

    /// Whether the field was given; null is not giving it.
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
            self.fault(name, &format!("this is {}", describe(&value)), expected);
        }
        read
    }

    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        if self.expect_present(name, expected) { self.optional(name, expected, read) } else { None }
    }

    /// Whether the field was given; it is a fault when it was not.
    pub(super) fn expect_present(&mut self, name: &'static str, expected: &str) -> bool {
        let has = self.has(name);
        if !has {
            self.take(name);
            self.fault(name, "it is missing", expected);
        }
        has
    }

    pub(super) fn forbidden(&mut self, name: &'static str, message: &str, expected: &str) {
        if self.take(name).is_some() {
            self.fault(name, message, expected);
        }
    }

    pub(super) fn id(&mut self) -> Option<Uuid> {
        self.optional("id", "a UUID, or nothing: then the server gives one", |value| {
            Uuid::try_parse(value.as_str()?).ok()
        })
    }

    /// The objects of a list of at most so many; none when the field is not there. `None` when it is no such list.
    pub(super) fn items(&mut self, name: &'static str, most: usize) -> Option<Vec<Self>> {
        let Some(value) = self.take(name) else { return Some(Vec::new()) };
        let items = match value {
            Value::Array(items) if items.len() <= most => items,
            Value::Array(items) => {
                self.fault(name, &format!("{} items", items.len()), &format!("at most {most}"));
                return None;
            }
            other => {
                self.fault(name, &format!("this is {}", describe(&other)), "a list of objects");
                return None;
            }
        };
        let (mut all, before) = (Vec::with_capacity(items.len()), self.faults.len());
        for (index, item) in items.into_iter().enumerate() {
            match Self::at(format!("{}{name}[{index}].", self.at), item) {
                Ok(item) => all.push(item),
                Err(faults) => self.faults.extend(faults),
            }
        }
        (self.faults.len() == before).then_some(all)
    }

    /// Takes over the faults of an item that is done with.
    pub(super) fn adopt(&mut self, item: Self) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.extend(item.finish());
        }
    }

    pub(super) fn required_count(&mut self, name: &'static str) -> Option<u32> {
        if self.expect_present(name, A_COUNT) { self.count(name) } else { None }
    }

    /// Both counts of a check, if they go together.
    pub(super) fn counts(&mut self, successes_name: &str, attempts: u32, successes: u32) -> Option<Counts> {
        let counts = Counts::new(attempts.into(), successes.into());
        if counts.is_none() {
            let message = format!("{successes} of {attempts} attempts");
            self.fault(successes_name, &message, "no more than the attempts");
        }
        counts
    }

    pub(super) fn count(&mut self, name: &'static str) -> Option<u32> {
        self.optional(name, A_COUNT, |value| {
            value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number <= MAX_REPORTED)
        })
    }

    /// A check's two counts, which come together or not at all, and its rate, which must agree with them.
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
            (true, false) => self.fault(successes_name, "it is missing", &format!("a count beside {attempts_name}")),
            (false, true) => self.fault(attempts_name, "it is missing", &format!("a count beside {successes_name}")),
            (false, false) if rate.is_some() => {
                self.fault(rate_name, "a rate without its counts", &format!("{attempts_name} and {successes_name}"));
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
            self.fault(rate_name, &message, &format!("{} (within 0.1), or no rate", shown(true_rate)));
        }
        Some(counts)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// The known field that a mistyped one most likely meant.
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

/// The words an enumeration allows, for an error.
pub(super) fn one_of<T: VariantNames>() -> String {
    format!("one of {}", T::VARIANTS.join(", "))
}

/// A JSON value in an error: short, whatever was sent.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => cut(&number.to_string()),
        Value::String(text) => format!("{:?}", cut(text)),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

fn cut(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.into();
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}…")
}
