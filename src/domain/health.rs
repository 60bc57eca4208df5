use serde::Serialize;

/// How well something is. Ordered by what an on-call person must see first: `Error` is the greatest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::IntoStaticStr, strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Health {
    /// Nothing, or too little, is known.
    Pending,
    /// All is well.
    Healthy,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Error,
}

impl Health {
    /// The worst of the parts; `Pending` only when every part is.
    pub fn worst(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().max().unwrap_or(Self::Pending)
    }

    /// As it stands in JSON and in the database: `healthy`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::Health::{self, Error, Healthy, Pending, Warning};

    #[test]
    fn the_worst_part_wins_and_pending_only_when_all_are() {
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
