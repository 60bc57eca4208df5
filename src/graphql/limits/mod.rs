//! What a document may ask for, decided before anything else walks or expands it.

/// What an operation may use while it is executed.
pub(super) mod budget;
/// What the answer to an operation may cost.
pub(super) mod cost;
/// Size and nesting of the text, before it is parsed.
pub(super) mod nesting;
/// Selections and values, with fragments expanded.
pub(super) mod size;

use async_graphql::{ErrorExtensionValues, ServerError};

/// Bytes of a document.
pub const MAX_DOCUMENT: usize = 32 * 1024;
/// Operations of a batch.
pub const MAX_OPERATIONS: usize = 10;
/// Brackets of any kind that may be open at a time: the parser recurses on each.
const MAX_BRACKETS: usize = 64;
/// Characters of a name: validation compares unknown names with known ones, letter by letter.
const MAX_NAME: usize = 255;
/// Selection sets within each other, through fragments: as deep as the executor goes.
const MAX_DEPTH: usize = 32;
/// Selections of all operations of a document, with fragments expanded.
const MAX_SELECTIONS: u64 = 1_000;
/// Arguments, directives and the parts of their values, with fragments expanded and variables filled in.
const MAX_VALUES: u64 = 50_000;
/// Arguments of a field or directive: validation compares those of fields with the same name in pairs.
const MAX_ARGUMENTS: usize = 32;
/// Variables of an operation: validation looks each use up in their list.
const MAX_VARIABLES: usize = 100;

/// A document that asks for too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Its text is too long.
    #[error(
        "the document has {0} bytes; at most {MAX_DOCUMENT} are accepted. Split it, and send long values as variables"
    )]
    Bytes(usize),
    /// Too many brackets are open at a time.
    #[error("the document opens more than {MAX_BRACKETS} brackets within each other; nest it less deeply")]
    Brackets,
    /// A name is too long.
    #[error("the document has a name of more than {MAX_NAME} characters; use a shorter one")]
    Name,
    /// A batch has too many operations.
    #[error("the batch has {0} operations; at most {MAX_OPERATIONS} are accepted. Split it")]
    Operations(usize),
    /// Its selection sets are nested too deeply.
    #[error(
        "the document nests selections more than {MAX_DEPTH} levels deep, through fragments; nest them less deeply"
    )]
    Depth,
    /// It selects too much.
    #[error(
        "the document has {0} selections once its fragments are expanded; at most {MAX_SELECTIONS} are accepted. Select \
         fewer fields, or split it into several requests"
    )]
    Selections(u64),
    /// It has too many arguments.
    #[error(
        "the arguments and directives of the document have {0} values once its fragments are expanded and its variables \
         are filled in; at most {MAX_VALUES} are accepted. Split the request"
    )]
    Values(u64),
    /// A field or directive has too many arguments.
    #[error("a field or directive has {0} arguments; at most {MAX_ARGUMENTS} are accepted")]
    Arguments(usize),
    /// An operation has too many variables.
    #[error("an operation defines {0} variables; at most {MAX_VARIABLES} are accepted")]
    Variables(usize),
    /// The answer would cost too much.
    #[error(
        "the operation costs {cost}; at most {limit} are accepted (max_complexity). Lower `first`, or select fewer lists: \
         one without `first` or `last` counts as {list} items",
        list = cost::LIST
    )]
    Cost {
        /// What it costs.
        cost: u64,
        /// What it may cost.
        limit: u64,
    },
}

impl Exceeded {
    /// A code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "DOCUMENT_TOO_LARGE",
            Self::Brackets | Self::Depth => "DOCUMENT_TOO_DEEP",
            Self::Operations(_) => "TOO_MANY_OPERATIONS",
            Self::Name => "NAME_TOO_LONG",
            Self::Selections(_) => "TOO_MANY_SELECTIONS",
            Self::Values(_) | Self::Arguments(_) => "TOO_MANY_ARGUMENTS",
            Self::Variables(_) => "TOO_MANY_VARIABLES",
            Self::Cost { .. } => "OPERATION_TOO_COSTLY",
        }
    }
}

/// An error with a code for programs.
pub(super) fn coded(message: impl Into<String>, code: &str) -> ServerError {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    let mut error = ServerError::new(message, None);
    error.extensions = Some(extensions);
    error
}

impl From<Exceeded> for ServerError {
    fn from(exceeded: Exceeded) -> Self {
        coded(exceeded.to_string(), exceeded.code())
    }
}
