//! Errors of resolvers: a message for people, and a code for programs in `extensions.code`.

use async_graphql::{ErrorExtensionValues, ErrorExtensions as _, ServerError};

use crate::error::Error;

/// An error of a service. Database errors go to the log, never to clients.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` passes it by value")]
pub(super) fn error(error: Error) -> async_graphql::Error {
    let code = match &error {
        Error::PipelineNotFound(_) => "PIPELINE_NOT_FOUND",
        Error::SourceNotFound { .. } => "SOURCE_NOT_FOUND",
        Error::AlertNotFound(_) => "ALERT_NOT_FOUND",
        Error::DefaultPipelineStays => "DEFAULT_PIPELINE_STAYS",
        Error::PipelineBeingRemoved(_) => "PIPELINE_BEING_REMOVED",
        Error::SourceBeingRemoved { .. } => "SOURCE_BEING_REMOVED",
        Error::LimitReached(_) => "BAD_USER_INPUT",
        Error::Database(_) | Error::Unusable(_) => "DATABASE_UNAVAILABLE",
        Error::ClockSkew(_) => "CLOCK_SKEW",
        Error::ShuttingDown => "SHUTTING_DOWN",
    };
    if let Error::Database(_) = &error {
        tracing::error!(error = &error as &dyn std::error::Error, "a GraphQL operation failed");
    }
    coded(error.to_string(), code)
}

/// An invalid argument.
pub(super) fn bad_input(message: impl Into<String>) -> async_graphql::Error {
    coded(message.into(), "BAD_USER_INPUT")
}

/// An error of a resolver with a code.
pub(super) fn coded(message: String, code: &'static str) -> async_graphql::Error {
    async_graphql::Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// An error of a request with a code.
pub(super) fn server_error(message: impl Into<String>, code: &str) -> ServerError {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    let mut error = ServerError::new(message, None);
    error.extensions = Some(extensions);
    error
}
