//! Counts that reporters name, such as `rows_loaded`.

use std::collections::BTreeMap;

use crate::domain::name::Name;

pub type CountName = Name;

/// Counts by name; each at most [`MAX_COUNT`](crate::domain::counts::MAX_COUNT).
pub type NamedCounts = BTreeMap<CountName, u64>;

impl CountName {
    /// The count of `articles_collected`.
    pub const ARTICLES: Self = Self::constant("articles");
    /// The count of `events_extracted`.
    pub const EVENTS: Self = Self::constant("events");
}

/// The unit in which a count is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Seconds,
    /// A number of things.
    Plain,
}

impl Unit {
    /// The unit of a count, by its name: `bytes` and `…_bytes`, `seconds` and `…_seconds`, otherwise plain.
    pub fn of(name: &str) -> Self {
        match name.rsplit('_').next() {
            Some("bytes") => Self::Bytes,
            Some("seconds") => Self::Seconds,
            _ => Self::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_follows_from_the_end_of_the_name() {
        for (name, expect) in [
            ("bytes", Unit::Bytes),
            ("payload_bytes", Unit::Bytes),
            ("seconds", Unit::Seconds),
            ("lag_seconds", Unit::Seconds),
            ("rows", Unit::Plain),
            ("megabytes", Unit::Plain),
            ("bytes_total", Unit::Plain),
            ("milliseconds", Unit::Plain),
            ("payload-bytes", Unit::Plain),
        ] {
            assert_eq!(Unit::of(name), expect, "{name}");
        }
    }
}
