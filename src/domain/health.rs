/// Ordered by urgency: `Error` is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Health {
    /// Too little data.
    Pending,
    Healthy,
    /// Needs attention today.
    Warning,
    /// Needs attention now.
    Error,
}

impl Health {
    /// The worst part; `Pending` only if every part is.
    pub fn worst(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().max().unwrap_or(Self::Pending)
    }

    /// The name in JSON and in the database: `healthy`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{self, Error, Healthy, Pending, Warning};

    #[test]
    fn worst_part_wins() {
        for (parts, expect) in [
            (vec![], Pending),
            (vec![Pending, Pending], Pending),
            (vec![Pending, Healthy], Healthy),
            (vec![Healthy, Warning, Pending], Warning),
            (vec![Warning, Error, Healthy], Error),
        ] {
            assert_eq!(Health::worst(parts.clone()), expect, "{parts:?}");
        }
    }
}
