//! The severity of alerts and anomalies.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// For information.
    Low,
    /// Needs attention today.
    Medium,
    /// Needs attention now.
    High,
}

impl Severity {
    pub const WORST_FIRST: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// The name in JSON and in the database: `high`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
