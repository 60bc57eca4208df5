//! The JSON of errors.

use serde::Serialize;
use utoipa::ToSchema;

/// An error (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// The HTTP status of the response.
    #[schema(minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// The reason phrase of the HTTP status.
    pub(crate) title: &'static str,
    /// The kind of error, for programs.
    #[schema(pattern = "^[A-Z][A-Z_]*$")]
    pub(crate) code: &'static str,
    /// The problem and how to fix it.
    pub(crate) detail: String,
}
