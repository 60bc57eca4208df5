//! How many there may be of what reporters and users name, so that none of them costs the others too much.

use crate::domain::alert::Labels;

/// The limits. Those that are below what exists already only stop what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cardinality {
    /// Pipelines.
    pub pipelines: usize,
    /// Sources of one pipeline.
    pub sources: usize,
    /// Checks of one pipeline beyond geocoding and validation.
    pub checks: usize,
    /// Labels of one source.
    pub labels: usize,
    /// Alert silences that have not ended.
    pub silences: usize,
    /// Characters of a label's name or value, of a note, and of a reason.
    pub text: usize,
}

impl Default for Cardinality {
    fn default() -> Self {
        Self { pipelines: 1_000, sources: 5_000, checks: 200, labels: 32, silences: 1_000, text: 1_000 }
    }
}

/// A limit that is reached, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; expected {}", self.message(), self.expected())]
pub enum Exceeded {
    /// A further pipeline.
    Pipelines(usize),
    /// A further source.
    Sources(usize),
    /// Further checks.
    Checks(usize),
    /// Further labels.
    Labels(usize),
    /// A further silence.
    Silences(usize),
    /// A longer text.
    Text(usize),
}

impl Exceeded {
    /// What is wrong.
    pub fn message(self) -> &'static str {
        match self {
            Self::Pipelines(_) => "this is a new pipeline, and the limit of pipelines is reached",
            Self::Sources(_) => "this is a new source, and the pipeline's limit of sources is reached",
            Self::Checks(_) => "some of these checks are new, and exceed the pipeline's limit of checks",
            Self::Labels(_) => "the source has too many labels",
            Self::Silences(_) => "the limit of silences that have not ended is reached",
            Self::Text(_) => "the text is too long",
        }
    }

    /// What would be right, with the setting that says so.
    pub fn expected(self) -> String {
        let (limit, what) = match self {
            Self::Pipelines(limit) => (limit, "pipelines"),
            Self::Sources(limit) => (limit, "sources per pipeline"),
            Self::Checks(limit) => (limit, "checks per pipeline"),
            Self::Labels(limit) => (limit, "labels per source"),
            Self::Silences(limit) => (limit, "silences"),
            Self::Text(limit) => (limit, "characters"),
        };
        format!("at most {limit} {what} (setting {})", self.setting())
    }

    /// The setting.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Pipelines(_) => "max_pipelines",
            Self::Sources(_) => "max_sources_per_pipeline",
            Self::Checks(_) => "max_checks_per_pipeline",
            Self::Labels(_) => "max_labels_per_source",
            Self::Silences(_) => "max_silences",
            Self::Text(_) => "max_text_length",
        }
    }

    /// The field of a report.
    pub fn field(self) -> &'static str {
        match self {
            Self::Pipelines(_) => "pipeline",
            Self::Sources(_) => "source",
            Self::Checks(_) => "checks",
            Self::Labels(_) => "labels",
            Self::Silences(_) | Self::Text(_) => "",
        }
    }
}

impl Cardinality {
    /// Whether a text is short enough.
    ///
    /// # Errors
    /// The limit.
    pub fn check_text(&self, text: &str) -> Result<(), Exceeded> {
        if text.chars().nth(self.text).is_none() { Ok(()) } else { Err(Exceeded::Text(self.text)) }
    }

    /// Whether a source may have these labels.
    ///
    /// # Errors
    /// The limit that they exceed.
    pub fn check_labels(&self, labels: &Labels) -> Result<(), Exceeded> {
        if labels.len() > self.labels {
            return Err(Exceeded::Labels(self.labels));
        }
        labels.iter().flat_map(|(name, value)| [name, value]).try_for_each(|text| self.check_text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_their_texts_are_limited() {
        let limits = Cardinality { labels: 2, text: 3, ..Cardinality::default() };
        let labels = |labels: &[(&str, &str)]| -> Labels {
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        for (labels, expect) in [
            (labels(&[]), Ok(())),
            (labels(&[("a", "äöü"), ("abc", "")]), Ok(())),
            (labels(&[("a", "äöüß")]), Err(Exceeded::Text(3))),
            (labels(&[("abcd", "x")]), Err(Exceeded::Text(3))),
            (labels(&[("a", "x"), ("b", "x"), ("c", "x")]), Err(Exceeded::Labels(2))),
        ] {
            assert_eq!(limits.check_labels(&labels), expect, "{labels:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_limit_and_the_setting() {
        let refusal = Exceeded::Sources(5_000).to_string();
        assert!(refusal.contains("at most 5000 sources per pipeline (setting max_sources_per_pipeline)"), "{refusal}");
    }
}
