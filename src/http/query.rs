use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use serde::Deserialize;

use crate::domain::key::PipelineKey;
use crate::domain::viewer::Viewer;
use crate::error::Error;
use crate::http::error::Problem;
use crate::status::snapshot::SourceListing;

/// The query parameters of the status routes.
#[derive(Debug, Default, Deserialize)]
pub struct StatusParams {
    pub(super) pipeline: Option<String>,
    sources: Option<String>,
}

impl StatusParams {
    /// Parses the query of a URI.
    ///
    /// # Errors
    /// The query is invalid.
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        if uri.query().is_none() {
            return Ok(Self::default());
        }
        Query::try_from_uri(uri).map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
    }

    /// The requested pipeline.
    ///
    /// # Errors
    /// The key is invalid, or the viewer may not see the pipeline.
    pub fn pipeline(&self, viewer: Viewer) -> Result<PipelineKey, Problem> {
        self.pipeline.as_deref().map_or_else(|| Ok(PipelineKey::default()), |text| authorize_pipeline(text, viewer))
    }
}

/// The pipeline of a key, if the viewer may see it.
pub(super) fn authorize_pipeline(text: &str, viewer: Viewer) -> Result<PipelineKey, Problem> {
    let key: PipelineKey = text
        .parse()
        .map_err(|error| Problem::new(StatusCode::NOT_FOUND, "PIPELINE_NOT_FOUND", format!("{text:?}: {error}")))?;
    if viewer.may_see(&key) { Ok(key) } else { Err(Error::PipelineNotFound(key).into()) }
}

impl StatusParams {
    /// The sources that the status lists.
    ///
    /// # Errors
    /// The parameter `sources` is invalid.
    pub fn listing(&self) -> Result<SourceListing, Problem> {
        match self.sources.as_deref() {
            None => Ok(SourceListing::Worst),
            Some("all") => Ok(SourceListing::All),
            Some("none") => Ok(SourceListing::None),
            Some(other) => {
                Err(Problem::bad_request(format!("sources is {other:?}; expected all or none, or leave it out")))
            }
        }
    }
}
