//! The names of pipelines and sources that a job reports to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Characters of a pipeline's key.
const MAX_PIPELINE: usize = 64;
/// Characters of a source's key.
const MAX_SOURCE: usize = 255;
/// Hexadecimal digits of the hash that ends a changed name.
const HASH: usize = 10;

/// How namespace and job name become pipeline and source.
///
/// A name that is a valid key is kept. In any other, invalid characters are replaced, and the start of the SHA-256 of the
/// original is appended, so that different names never become the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    pub pipeline: Template,
    pub source: Template,
    /// Other names for namespaces.
    pub namespaces: BTreeMap<String, String>,
}

/// A text with placeholders: `{namespace}`, `{job}`, `{job_first}` (the job up to its first dot), and `{job_rest}` (the
/// job after its first dot, or the whole job without one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Namespace,
    Job,
    JobFirst,
    JobRest,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?}; expected a text with the placeholders {{namespace}}, {{job}}, {{job_first}} and {{job_rest}}, at least one"
)]
pub struct InvalidTemplate(String);

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let invalid = || InvalidTemplate(text.to_owned());
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(invalid)?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name {
                "namespace" => Piece::Namespace,
                "job" => Piece::Job,
                "job_first" => Piece::JobFirst,
                "job_rest" => Piece::JobRest,
                _ => return Err(invalid()),
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        if pieces.is_empty() { Err(invalid()) } else { Ok(Self(pieces)) }
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self {
            pipeline: Template(vec![Piece::Namespace]),
            source: Template(vec![Piece::Job]),
            namespaces: BTreeMap::new(),
        }
    }
}

impl Template {
    fn render(&self, namespace: &str, job: &str) -> String {
        let (first, rest) = job.split_once('.').filter(|(_, rest)| !rest.is_empty()).unwrap_or((job, job));
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Namespace => namespace,
            Piece::Job => job,
            Piece::JobFirst => first,
            Piece::JobRest => rest,
        });
        pieces.collect()
    }
}

impl Naming {
    /// The keys of the pipeline and the source of a job.
    pub fn keys(&self, namespace: &str, job: &str) -> (String, String) {
        let namespace = self.namespaces.get(namespace).map_or(namespace, String::as_str);
        (pipeline_key(&self.pipeline.render(namespace, job)), source_key(&self.source.render(namespace, job)))
    }
}

fn pipeline_key(name: &str) -> String {
    let is_first = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_inner = |letter: char| is_first(letter) || matches!(letter, '.' | '_' | '-');
    let is_valid = name.len() <= MAX_PIPELINE && name.starts_with(is_first) && name.chars().all(is_inner);
    if is_valid && !ends_with_hash(name, '-') {
        return name.to_owned();
    }
    let mut key = String::new();
    for letter in name.chars().map(|letter| letter.to_ascii_lowercase()) {
        let letter = if is_inner(letter) { letter } else { '-' };
        // A key starts with a letter or digit, and `://` is one hyphen.
        let is_kept = if key.is_empty() { is_first(letter) } else { letter != '-' || !key.ends_with('-') };
        key.extend(is_kept.then_some(letter));
    }
    key.truncate(MAX_PIPELINE - HASH - 1);
    let key = key.trim_end_matches('-');
    format!("{}-{}", if key.is_empty() { "namespace" } else { key }, hash(name))
}

fn source_key(name: &str) -> String {
    let is_valid = !name.is_empty()
        && name == name.trim()
        && name.chars().count() <= MAX_SOURCE
        && !name.contains(char::is_control);
    if is_valid && !ends_with_hash(name, '~') {
        return name.to_owned();
    }
    let letters = name.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let key: String = letters.take(MAX_SOURCE - HASH - 2).collect();
    let key = key.trim();
    format!("{} ~{}", if key.is_empty() { "job" } else { key }, hash(name))
}

/// Whether a name ends like a changed one, with which it could be equal.
fn ends_with_hash(name: &str, mark: char) -> bool {
    let is_hash = |end: &str| end.len() == HASH && end.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    name.rsplit_once(mark).is_some_and(|(_, end)| is_hash(end))
}

fn hash(name: &str) -> String {
    Sha256::digest(name).iter().take(HASH / 2).fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
