use async_graphql::{Context, Result};

use crate::domain::viewer::Viewer;

/// Logs a change that cannot be undone or that hides something: who made it, from where, and what it was. `subject`
/// quotes what users typed.
pub(super) fn log(ctx: &Context<'_>, action: &'static str, subject: &str) -> Result<()> {
    let actor = ctx.data::<Viewer>()?.actor();
    let who = actor.token.map_or_else(|| "anonymous".to_owned(), |token| token.to_string());
    let from = actor.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    tracing::info!(target: "pipewatch::audit", who, from, action, "{subject}");
    Ok(())
}
