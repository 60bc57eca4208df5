use async_graphql::ServerError;

use crate::graphql::errors::server_error;

/// Items that a list without `first` or `last` counts.
pub(in crate::graphql) const LIST_COST: u64 = 50;
/// Bytes of a document.
pub const MAX_DOCUMENT: usize = 32 * 1024;
/// Operations of a batch.
pub const MAX_OPERATIONS: usize = 10;
/// Maximum depth of brackets: the parser recurses on each.
pub(in crate::graphql) const MAX_BRACKETS: usize = 64;
/// Characters of a name: validation compares unknown names with known ones by edit distance.
pub(in crate::graphql) const MAX_NAME: usize = 255;
/// Maximum depth of selection sets through fragments, as in the executor.
pub(in crate::graphql) const MAX_DEPTH: usize = 32;
/// Selections of all operations of a document, with fragments expanded.
pub(in crate::graphql) const MAX_SELECTIONS: u64 = 1_000;
/// Arguments, directives and the parts of their values, with fragments expanded and variables filled in.
pub(in crate::graphql) const MAX_VALUES: u64 = 50_000;
/// Arguments of a field or directive: validation compares those of fields with the same name in pairs.
pub(in crate::graphql) const MAX_ARGUMENTS: usize = 32;
/// Variables of an operation: validation searches their list for each use.
pub(in crate::graphql) const MAX_VARIABLES: usize = 100;

/// A limit that a document exceeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Its text is too long.
    #[error(
        "the document has {0} bytes; at most {MAX_DOCUMENT} are accepted. Split it, and send long values as variables"
    )]
    Bytes(usize),
    /// Too many brackets are open at a time.
    #[error("the document nests brackets more than {MAX_BRACKETS} levels deep; nest it less deeply")]
    Brackets,
    /// A name is too long.
    #[error("the document has a name of more than {MAX_NAME} characters; shorten the name")]
    Name,
    /// A batch has too many operations.
    #[error("the batch has {0} operations; at most {MAX_OPERATIONS} are accepted. Split it")]
    Operations(usize),
    /// Its selection sets are nested too deeply.
    #[error(
        "the document nests selections more than {MAX_DEPTH} levels deep, through fragments; nest them less deeply"
    )]
    Depth,
    /// It has too many selections.
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
    /// Its cost is too high.
    #[error(
        "the operation costs {cost}; at most {limit} are accepted (max_complexity). Lower `first`, or select fewer lists: \
         one without `first` or `last` counts as {list} items",
        list = LIST_COST
    )]
    Cost {
        /// The cost of the operation.
        cost: u64,
        /// The maximum cost.
        limit: u64,
    },
}

impl Exceeded {
    /// The code in `extensions.code`.
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

impl From<Exceeded> for ServerError {
    fn from(exceeded: Exceeded) -> Self {
        server_error(exceeded.to_string(), exceeded.code())
    }
}
