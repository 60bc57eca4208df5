use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::domain::alert::machine::Tracked;
use crate::domain::alert::rule::Rule;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// Characters of an author's name.
const MAX_AUTHOR: usize = 255;

/// The labels of a source or a pipeline.
pub type Labels = BTreeMap<String, String>;

/// Alerts that nobody wants to be told of for a while. A silence stops notifications, and not the status: nothing looks healthy
/// because somebody did not want to hear of it.
///
/// What users call silencing is a silence in the code, because a silence is a source that does not report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its id.
    pub id: Uuid,
    /// Which alerts.
    pub matcher: Matcher,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who wanted it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Which alerts a silence is about: those to which everything that is given applies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matcher {
    /// Those of a rule.
    pub rule: Option<Rule>,
    /// Those of a pipeline.
    pub pipeline: Option<PipelineKey>,
    /// Those of a source.
    pub source: Option<SourceKey>,
    /// Those of sources with a label.
    pub label: Option<Label>,
}

/// `team=maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What stands before the equals sign.
    pub name: String,
    /// What stands behind it.
    pub value: String,
}

/// Why a silence cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSilence {
    /// It would be about all alerts there are.
    #[error("name a rule, a pipeline, a source or a label: nothing silences everything")]
    MatchesAll,
    /// It is over before it begins.
    #[error("it has to end after it begins")]
    Over,
    /// Nobody would know whom to ask.
    #[error("an author is needed")]
    NoAuthor,
    /// The author's name is too long.
    #[error("author: expected at most {MAX_AUTHOR} characters")]
    LongAuthor,
    /// Nobody would know what it was for.
    #[error("a reason is needed")]
    NoReason,
    /// A label without a name or an equals sign.
    #[error("a label is written `name=value`")]
    NoLabel,
}

impl Silence {
    /// Checks what was asked for.
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
            Err(InvalidSilence::Over)
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

    /// Whether it keeps this alert quiet at `now`.
    pub fn covers(&self, alert: &Tracked, labels: &Labels, now: Timestamp) -> bool {
        let matcher = &self.matcher;
        let is = |wanted: Option<bool>| wanted.unwrap_or(true);
        (self.from <= now && now < self.until)
            && is(matcher.rule.map(|rule| rule == alert.rule))
            && is(matcher.pipeline.as_ref().map(|pipeline| alert.subject.pipeline.as_ref() == Some(pipeline)))
            && is(matcher.source.as_ref().map(|source| alert.subject.source.as_ref() == Some(source)))
            && is(matcher.label.as_ref().map(|label| labels.get(&label.name) == Some(&label.value)))
    }
}

impl FromStr for Label {
    type Err = InvalidSilence;

    fn from_str(text: &str) -> Result<Self, InvalidSilence> {
        let (name, value) = text.split_once('=').ok_or(InvalidSilence::NoLabel)?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        if name.is_empty() { Err(InvalidSilence::NoLabel) } else { Ok(Self { name, value }) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}
