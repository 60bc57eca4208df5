//! The named counts of a report.

use serde_json::Value;

use crate::domain::name::Name;
use crate::domain::named_counts::{CountName, NamedCounts};
use crate::domain::report::fields::{EXPECTED_COUNT, Fields, describe, read_count, truncate};

/// Per report.
const MAX_COUNTS: usize = 32;

/// The counts by name. Invalid ones are left out, for which there are errors.
pub(super) fn named_counts(fields: &mut Fields) -> NamedCounts {
    let expected = "an object of at most 32 counts by name";
    let entries = match fields.take("counts") {
        None => return NamedCounts::new(),
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            fields.error("counts", &format!("got {}", describe(&other)), expected);
            return NamedCounts::new();
        }
    };
    if entries.len() > MAX_COUNTS {
        fields.error("counts", &format!("{} counts", entries.len()), expected);
        return NamedCounts::new();
    }
    let mut counts = NamedCounts::new();
    for (name, value) in entries {
        let field = format!("counts.{}", truncate(&name));
        match (name.parse::<CountName>(), read_count(&value)) {
            (Ok(name), Some(count)) => drop(counts.insert(name, count)),
            (Err(_), _) => fields.error(&field, "invalid name", Name::EXPECTED),
            (Ok(_), None) => fields.error(&field, &format!("got {}", describe(&value)), EXPECTED_COUNT),
        }
    }
    counts
}

/// The count of an old field, which may also be among the named counts.
pub(super) fn old_count(
    fields: &mut Fields,
    field: &'static str,
    counts: &mut NamedCounts,
    name: &CountName,
) -> Option<u64> {
    let old = fields.count(field);
    let named = counts.remove(name);
    if let (Some(old), Some(named)) = (old, named)
        && old != named
    {
        let message = format!("{named}, while {field} is {old}");
        fields.error(&format!("counts.{name}"), &message, "the same number, or only one of the two fields");
    }
    old.or(named)
}
