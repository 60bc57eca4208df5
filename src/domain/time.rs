use chrono::{DateTime, Datelike as _, SecondsFormat, SubsecRound, Utc};

/// An instant in UTC with microseconds, the precision of both databases.
pub type Timestamp = DateTime<Utc>;

/// Truncates an instant to the databases' precision, so that it equals its stored value.
pub fn to_micros(instant: Timestamp) -> Timestamp {
    instant.trunc_subsecs(6)
}

/// RFC 3339 in UTC with `Z` and as many digits as needed: `2026-01-28T15:30:45.123456Z`.
pub fn rfc3339(instant: Timestamp) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A duration in seconds, with microseconds.
#[allow(clippy::cast_precision_loss, reason = "exact for centuries")]
pub fn seconds(span: chrono::TimeDelta) -> f64 {
    span.num_microseconds().map_or(span.num_seconds() as f64, |micros| micros as f64 / 1e6)
}

/// Parses RFC 3339. A time zone is required.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let instant = DateTime::parse_from_rfc3339(text).ok()?;
    Some(to_micros(instant.with_timezone(&Utc))).filter(|instant| is_storable(*instant))
}

/// Whether both databases can store and sort an instant: the years 0000 to 9999 in UTC.
pub fn is_storable(instant: Timestamp) -> bool {
    (0..=9999).contains(&instant.year())
}

/// For `#[serde(serialize_with)]`: an instant as [`rfc3339`] writes it.
pub mod serde_rfc3339 {
    use super::{Timestamp, rfc3339};

    /// Writes one instant.
    pub fn serialize<S: serde::Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*instant))
    }

    /// Writes an instant or null.
    pub mod option {
        use super::{Timestamp, rfc3339};

        /// Writes one instant, or null.
        #[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
        pub fn serialize<S: serde::Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match instant {
                Some(instant) => serializer.serialize_str(&rfc3339(*instant)),
                None => serializer.serialize_none(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_with_a_zone_and_written_with_z() {
        for (input, expect) in [
            ("2026-01-28T15:30:45Z", Some("2026-01-28T15:30:45Z")),
            ("2026-01-28T16:30:45.5+01:00", Some("2026-01-28T15:30:45.500Z")),
            ("2026-01-28T15:30:45.1234567Z", Some("2026-01-28T15:30:45.123456Z")),
            ("2026-01-28T15:30:45", None),
            ("2026-01-28", None),
            ("yesterday", None),
            ("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59.999999Z")),
            ("0000-01-01T00:00:00+00:01", None),
            ("9999-12-31T23:59:59-00:01", None),
        ] {
            assert_eq!(parse_rfc3339(input).map(rfc3339).as_deref(), expect, "{input}");
        }
    }
}
