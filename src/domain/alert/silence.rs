use uuid::Uuid;

use crate::domain::alert::rule::Rule;
use crate::domain::alert::transitions::TrackedAlert;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::labels::{Label, Labels};
use crate::domain::time::Timestamp;

/// Characters of an author's name.
const MAX_AUTHOR: usize = 255;

/// Stops notifications of matching alerts for a time. The status is unaffected: a silence never makes a pipeline look
/// healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    pub id: Uuid,
    pub matcher: Matcher,
    pub from: Timestamp,
    pub until: Timestamp,
    pub author: String,
    pub reason: String,
}

/// Matches alerts to which every given criterion applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matcher {
    pub rule: Option<Rule>,
    pub pipeline: Option<PipelineKey>,
    pub source: Option<SourceKey>,
    /// Matches the alerts of sources with this label.
    pub label: Option<Label>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSilence {
    #[error("a silence needs at least one of rule, pipeline, source, label")]
    MatchesAll,
    #[error("a silence must end after it begins")]
    EndsBeforeItBegins,
    #[error("the author is missing")]
    NoAuthor,
    #[error("author: expected at most {MAX_AUTHOR} characters")]
    LongAuthor,
    #[error("the reason is missing")]
    NoReason,
}

impl Silence {
    pub fn new(
        id: Uuid,
        matcher: Matcher,
        (from, until): (Timestamp, Timestamp),
        author: &str,
        reason: &str,
    ) -> Result<Self, InvalidSilence> {
        let (author, reason) = (author.trim().to_owned(), reason.trim().to_owned());
        if matcher == Matcher::default() {
            Err(InvalidSilence::MatchesAll)
        } else if until <= from {
            Err(InvalidSilence::EndsBeforeItBegins)
        } else if author.is_empty() {
            Err(InvalidSilence::NoAuthor)
        } else if author.chars().count() > MAX_AUTHOR {
            Err(InvalidSilence::LongAuthor)
        } else if reason.is_empty() {
            Err(InvalidSilence::NoReason)
        } else {
            Ok(Self { id, matcher, from, until, author, reason })
        }
    }

    /// Whether it applies to this alert at `now`. `labels` are those of the alert's source.
    pub fn covers(&self, alert: &TrackedAlert, labels: &Labels, now: Timestamp) -> bool {
        let matcher = &self.matcher;
        let applies = |criterion: Option<bool>| criterion.unwrap_or(true);
        (self.from <= now && now < self.until)
            && applies(matcher.rule.map(|rule| rule == alert.rule))
            && applies(matcher.pipeline.as_ref().map(|pipeline| alert.subject.pipeline.as_ref() == Some(pipeline)))
            && applies(matcher.source.as_ref().map(|source| alert.subject.source.as_ref() == Some(source)))
            && applies(matcher.label.as_ref().map(|label| labels.get(&label.name) == Some(&label.value)))
    }
}
