//! Limits of what reporters and users can create, so that no one exhausts the server.

use crate::domain::labels::Labels;

/// Lowering a limit below the present number only affects new entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cardinality {
    pub pipelines: usize,
    /// Per pipeline.
    pub sources: usize,
    /// Per pipeline, except geocoding and validation.
    pub checks: usize,
    /// Per pipeline, except articles and events.
    pub counts: usize,
    /// Per source.
    pub labels: usize,
    /// Alert silences that have not ended.
    pub silences: usize,
    /// Characters of a label's name or value, a note, or a reason.
    pub text: usize,
}

impl Default for Cardinality {
    fn default() -> Self {
        Self { pipelines: 1_000, sources: 5_000, checks: 200, counts: 200, labels: 32, silences: 1_000, text: 1_000 }
    }
}

/// An exceeded limit with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; expected {}", self.message(), self.expected())]
pub enum Exceeded {
    Pipelines(usize),
    Sources(usize),
    Checks(usize),
    Counts(usize),
    Labels(usize),
    Silences(usize),
    Text(usize),
}

impl Exceeded {
    pub fn message(self) -> &'static str {
        match self {
            Self::Pipelines(_) => "new pipeline: the limit of pipelines is reached",
            Self::Sources(_) => "new source: the pipeline's limit of sources is reached",
            Self::Checks(_) => "new checks: the pipeline's limit of checks is exceeded",
            Self::Counts(_) => "new counts: the pipeline's limit of counts is exceeded",
            Self::Labels(_) => "the source has too many labels",
            Self::Silences(_) => "the limit of silences that have not ended is reached",
            Self::Text(_) => "the text is too long",
        }
    }

    /// The limit and its setting.
    pub fn expected(self) -> String {
        let (limit, what) = match self {
            Self::Pipelines(limit) => (limit, "pipelines"),
            Self::Sources(limit) => (limit, "sources per pipeline"),
            Self::Checks(limit) => (limit, "checks per pipeline"),
            Self::Counts(limit) => (limit, "counts per pipeline"),
            Self::Labels(limit) => (limit, "labels per source"),
            Self::Silences(limit) => (limit, "silences"),
            Self::Text(limit) => (limit, "characters"),
        };
        format!("at most {limit} {what} (setting {})", self.setting())
    }

    pub fn setting(self) -> &'static str {
        match self {
            Self::Pipelines(_) => "max_pipelines",
            Self::Sources(_) => "max_sources_per_pipeline",
            Self::Checks(_) => "max_checks_per_pipeline",
            Self::Counts(_) => "max_counts_per_pipeline",
            Self::Labels(_) => "max_labels_per_source",
            Self::Silences(_) => "max_silences",
            Self::Text(_) => "max_text_length",
        }
    }

    /// The report's field that exceeds it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Pipelines(_) => "pipeline",
            Self::Sources(_) => "source",
            Self::Checks(_) => "checks",
            Self::Counts(_) => "counts",
            Self::Labels(_) => "labels",
            Self::Silences(_) | Self::Text(_) => "",
        }
    }
}

impl Cardinality {
    /// # Errors
    /// If the text is too long.
    pub fn check_text(&self, text: &str) -> Result<(), Exceeded> {
        if text.chars().nth(self.text).is_none() { Ok(()) } else { Err(Exceeded::Text(self.text)) }
    }

    /// # Errors
    /// If there are too many labels, or one is too long.
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
    fn error_names_the_limit_and_the_setting() {
        let refusal = Exceeded::Sources(5_000).to_string();
        assert!(refusal.contains("at most 5000 sources per pipeline (setting max_sources_per_pipeline)"), "{refusal}");
    }
}
