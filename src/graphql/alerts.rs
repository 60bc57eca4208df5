//! Alerts: lists, acknowledgements, silences, and events as they happen.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, Subscription as GraphqlSubscription};
use futures_util::{Stream, StreamExt as _};
use uuid::Uuid;

use crate::domain::alert::{AlertEvent as Event, AlertState, Matcher, Silence};
use crate::domain::labels::Label;
use crate::domain::time::rfc3339;
use crate::domain::viewer::Viewer;
use crate::graphql::arguments::{parse_source, parse_uuid, require_pipeline, storable};
use crate::graphql::audit;
use crate::graphql::connection::{Connection, after, at_most, connection, first};
use crate::graphql::errors::{bad_input, coded, error};
use crate::graphql::services::Services;
use crate::graphql::types::alert::{AlertEvent, AlertRecord, AlertSilence};
use crate::graphql::types::enums;
use crate::graphql::types::scalar::DateTime;
use crate::store::alerts::read::AlertRequest;
use crate::store::history::Position;

#[derive(Default)]
pub(super) struct AlertQuery;

#[Object]
impl AlertQuery {
    /// Alerts, the most recently changed first: of one pipeline, or of all pipelines and the server; in the given
    /// states, or in any. At most 500 per page.
    async fn alerts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key of a pipeline; null for all pipelines and the server.")] pipeline: Option<String>,
        #[graphql(desc = "The states to include; null or empty for all.")] states: Option<Vec<enums::AlertState>>,
        #[graphql(name = "first", default = 50, desc = "The number of rows per page, from 1 to 500.")] size: i32,
        #[graphql(name = "after", desc = "The `endCursor` of the previous page; null for the first page.")]
        cursor: Option<String>,
    ) -> Result<Connection<AlertRecord>> {
        let request = AlertRequest {
            pipeline: pipeline.map(|pipeline| require_pipeline(ctx, &pipeline)).transpose()?,
            states: distinct(states.unwrap_or_default().into_iter().map(Into::into)),
            after: after(cursor.as_deref())?,
            first: first(size)?,
        };
        let page = ctx.data::<Services>()?.store.alerts(&request).await.map_err(error)?;
        Ok(connection(page, request.after.is_none(), |alert| Position { at: alert.changed_at, id: alert.id }))
    }

    /// Current and future silences, the last to end first; at most 1,000.
    async fn alert_silences(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of silences, from 1 to 1,000.")] first: Option<i32>,
    ) -> Result<Vec<AlertSilence>> {
        let first = at_most(first, 1_000)?;
        let silences = ctx.data::<Services>()?.store.alert_silences(first as u64).await.map_err(error)?;
        Ok(silences.into_iter().map(AlertSilence::from).collect())
    }
}

#[derive(Default)]
pub(super) struct AlertMutation;

#[Object]
impl AlertMutation {
    /// Acknowledge a firing alert. Stops repeat notifications (the resolution is still sent); the pipeline status is
    /// unaffected.
    async fn acknowledge_alert(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of a firing alert.")] id: ID,
        #[graphql(desc = "The user who acknowledges the alert: 1 to 255 characters.")] author: String,
        #[graphql(desc = "A note for other users, up to 1,000 characters.")] note: Option<String>,
    ) -> Result<AlertRecord> {
        let author = storable("author", author)?.trim().to_owned();
        let note = note.map(|note| storable("note", note)).transpose()?;
        if author.is_empty() || author.chars().count() > 255 {
            return Err(bad_input("author: expected 1 to 255 characters"));
        }
        let store = &ctx.data::<Services>()?.store;
        let id = parse_uuid("id", &id)?;
        let acknowledged = store.acknowledge_alert(id, author.clone(), note).await.map_err(error)?;
        let acknowledged = acknowledged.map_err(|refused| coded(refused.to_string(), "CANNOT_ACKNOWLEDGE"))?;
        audit::log(ctx, "acknowledge_alert", &format!("acknowledged the alert {id} in the name of {author:?}"))?;
        Ok(acknowledged.into())
    }

    /// Silence notifications of matching alerts until an instant. At least one of `rule`, `pipeline`, `source` and
    /// `label` is required, and all that are given must match. The alerts still appear in the status, and the
    /// resolution of an alert that was notified is still sent.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn silence_alerts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The rule of the alerts to silence.")] rule: Option<enums::AlertRule>,
        #[graphql(desc = "The pipeline of the alerts to silence.")] pipeline: Option<String>,
        #[graphql(desc = "The source of the alerts to silence.")] source: Option<String>,
        #[graphql(desc = "A label, as `name=value`, of the sources to silence.")] label: Option<String>,
        #[graphql(desc = "The instant at which the silence ends.")] until: DateTime,
        #[graphql(desc = "The user who creates the silence.")] author: String,
        #[graphql(desc = "The reason, for other users.")] reason: String,
    ) -> Result<AlertSilence> {
        let source = source.map(|source| parse_source(&source)).transpose()?;
        let label = label.map(|label| storable("label", label)).transpose()?;
        let label = label.map(|label| label.parse::<Label>()).transpose();
        let matcher = Matcher {
            rule: rule.map(Into::into),
            pipeline: pipeline.map(|pipeline| require_pipeline(ctx, &pipeline)).transpose()?,
            source,
            label: label.map_err(|error| bad_input(format!("label: {error}")))?,
        };
        let services = ctx.data::<Services>()?;
        let span = (services.clock.now(), until.instant("until")?);
        let (author, reason) = (storable("author", author)?, storable("reason", reason)?);
        let silence = Silence::new(Uuid::now_v7(), matcher, span, &author, &reason);
        let silence = silence.map_err(|error| bad_input(error.to_string()))?;
        services.store.silence_alerts(&silence).await.map_err(error)?;
        audit::log(ctx, "silence_alerts", &describe(&silence))?;
        Ok(silence.into())
    }

    /// End a silence early. True if the silence existed.
    async fn end_alert_silence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the silence.")] id: ID,
    ) -> Result<bool> {
        let id = parse_uuid("id", &id)?;
        let is_ended = ctx.data::<Services>()?.store.end_alert_silence(id).await.map_err(error)?;
        if is_ended {
            audit::log(ctx, "end_alert_silence", &format!("ended the silence {id}"))?;
        }
        Ok(is_ended)
    }
}

#[derive(Default)]
pub(super) struct AlertSubscription;

#[GraphqlSubscription]
impl AlertSubscription {
    /// Transitions of alerts, of one pipeline or of all: each exactly once and in order, starting after the event
    /// number `since` or, without it, with the next event. Nothing is skipped: a client that cannot keep up is
    /// disconnected and resumes with the last number it received.
    async fn alert_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key of a pipeline; null for all pipelines and the server.")] pipeline: Option<String>,
        #[graphql(desc = "The number of the last event that the client received.")] since: Option<ID>,
    ) -> Result<impl Stream<Item = AlertEvent> + use<>> {
        let pipeline = pipeline.map(|pipeline| require_pipeline(ctx, &pipeline)).transpose()?;
        let since = since
            .map(|since| since.parse::<i64>().ok().filter(|since| *since >= 0))
            .map(|since| since.ok_or_else(|| bad_input("since: expected the id of an alert event, in decimal digits")))
            .transpose()?;
        let viewer = *ctx.data::<Viewer>()?;
        let events = ctx.data::<Services>()?.monitor.alert_events(pipeline, since).await.map_err(error)?;
        let visible =
            move |event: &Event| event.subject.pipeline.as_ref().is_none_or(|pipeline| viewer.may_see(pipeline));
        let events = events.filter(move |event| std::future::ready(visible(event)));
        Ok(events.map(|event| AlertEvent::from(Arc::unwrap_or_clone(event))))
    }
}

/// A silence as the log shows it.
fn describe(silence: &Silence) -> String {
    let Matcher { rule, pipeline, source, label } = &silence.matcher;
    let label = label.as_ref().map(|label| format!("{}={}", label.name, label.value));
    let parts = [
        rule.map(|rule| format!("of the rule {}", rule.as_str())),
        pipeline.as_ref().map(|pipeline| format!("of the pipeline {pipeline}")),
        source.as_ref().map(|source| format!("of the source {:?}", source.as_str())),
        label.map(|label| format!("with the label {label:?}")),
    ];
    let alerts = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (id, until, author) = (silence.id, rfc3339(silence.until), &silence.author);
    format!("silenced alerts {alerts} until {until} in the name of {author:?}: {id}")
}

/// Each state once: a list may repeat states more often than a statement may have parameters.
fn distinct(states: impl Iterator<Item = AlertState>) -> Vec<AlertState> {
    states.fold(Vec::new(), |mut distinct, state| {
        if !distinct.contains(&state) {
            distinct.push(state);
        }
        distinct
    })
}
