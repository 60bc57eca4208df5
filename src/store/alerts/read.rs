use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::domain::alert::{Alert, AlertEvent, AlertState, Fingerprint, TrackedAlert};
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::severity::Severity;
use crate::domain::status::{Excerpt, MAX_LISTED};
use crate::error::{Error, Result};
use crate::store::alerts::rows::{event, tracked};
use crate::store::entity::{alert, alert_event};
use crate::store::handle::Store;
use crate::store::history::{Page, Position, page};

/// A request for a page of alerts.
#[derive(Debug, Clone, Default)]
pub struct AlertRequest {
    /// Only alerts of this pipeline.
    pub pipeline: Option<PipelineKey>,
    /// Only alerts in one of these states; empty for all.
    pub states: Vec<AlertState>,
    /// Only alerts that changed before this position.
    pub after: Option<Position>,
    /// The maximum number of rows.
    pub first: u64,
}

/// The start of a range of alert events.
#[derive(Debug, Clone, Copy)]
pub enum Since {
    /// Events with a higher number.
    Event(i64),
    /// Events with a higher revision of their pipeline.
    Revision(Revision),
}

impl Store {
    /// Returns a page of alerts, last changed first.
    pub async fn alerts(&self, request: &AlertRequest) -> Result<Page<TrackedAlert>> {
        let rows = select_page(request).all(self.connections.reader()).await.map_err(Error::database)?;
        page(rows, request.first, tracked)
    }

    pub async fn alert(&self, id: Uuid) -> Result<Option<TrackedAlert>> {
        let row = alert::Entity::find_by_id(id).one(self.connections.reader()).await.map_err(Error::database)?;
        row.map(tracked).transpose()
    }

    /// Returns the alert events of a pipeline, or of all pipelines and the server itself, oldest first.
    pub async fn alert_events(
        &self,
        pipeline: Option<&PipelineKey>,
        since: Since,
        limit: u64,
    ) -> Result<Vec<AlertEvent>> {
        let rows = select_events(pipeline, since)
            .find_also_related(alert::Entity)
            .limit(limit)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        rows.into_iter().filter_map(|(row, alert)| alert.map(|alert| event(row, &alert))).collect()
    }

    /// Returns the number of the last visible event.
    pub async fn last_alert_event(&self) -> Result<i64> {
        let last = alert_event::Entity::find()
            .select_only()
            .column(alert_event::Column::Id)
            .order_by_desc(alert_event::Column::Id)
            .into_tuple()
            .one(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(last.unwrap_or(0))
    }
}

pub(in crate::store) fn select_page(request: &AlertRequest) -> Select<alert::Entity> {
    let mut select = alert::Entity::find();
    if let Some(pipeline) = &request.pipeline {
        select = select.filter(alert::Column::Pipeline.eq(pipeline.as_str()));
    }
    if !request.states.is_empty() {
        select = select.filter(alert::Column::State.is_in(request.states.iter().map(|state| state.as_str())));
    }
    if let Some(position) = request.after {
        let row = Expr::tuple([Expr::col(alert::Column::ChangedAt), Expr::col(alert::Column::Id)]);
        select = select.filter(row.lt(Expr::tuple([Expr::value(position.at), Expr::value(position.id)])));
    }
    select.order_by_desc(alert::Column::ChangedAt).order_by_desc(alert::Column::Id).limit(request.first + 1)
}

pub(in crate::store) fn select_events(pipeline: Option<&PipelineKey>, since: Since) -> Select<alert_event::Entity> {
    let mut select = alert_event::Entity::find().order_by_asc(alert_event::Column::Id);
    if let Some(pipeline) = pipeline {
        select = select.filter(alert_event::Column::Pipeline.eq(pipeline.as_str()));
    }
    match since {
        Since::Event(id) => select.filter(alert_event::Column::Id.gt(id)),
        Since::Revision(revision) => select.filter(alert_event::Column::Revision.gt(revision.get())),
    }
}

/// Returns the active alerts of a pipeline: by severity, firing before acknowledged, newest first. An index counts
/// them, and only the listed ones are read.
pub(in crate::store) async fn worst_alerts(
    connection: &impl ConnectionTrait,
    pipeline: &PipelineKey,
) -> Result<Excerpt<Alert>> {
    let counts: Vec<(String, String, i64)> =
        select_counts(pipeline).into_tuple().all(connection).await.map_err(Error::database)?;
    let mut worst = Excerpt::default();
    for severity in Severity::WORST_FIRST {
        for state in [AlertState::Firing, AlertState::Acknowledged] {
            let is_this = |row: &&(String, String, i64)| row.0 == severity.as_str() && row.1 == state.as_str();
            let count = counts.iter().find(is_this).map_or(0, |row| row.2.unsigned_abs());
            let room = MAX_LISTED - worst.listed.len();
            let before = worst.listed.len() as u64;
            if count > 0 && room > 0 {
                let rows = select_worst(pipeline, severity, state, room).all(connection).await;
                for row in rows.map_err(Error::database)? {
                    worst.listed.push(tracked(row)?.to_alert());
                }
            }
            worst.omitted += count.saturating_sub(worst.listed.len() as u64 - before);
        }
    }
    Ok(worst)
}

/// Counts the open alerts by severity and state.
pub(in crate::store) fn select_counts(pipeline: &PipelineKey) -> Select<alert::Entity> {
    alert::Entity::find()
        .select_only()
        .columns([alert::Column::Severity, alert::Column::State])
        .column_as(alert::Column::Id.count(), "alerts")
        .filter(alert::Column::Pipeline.eq(pipeline.as_str()))
        .filter(is_open())
        .group_by(alert::Column::Severity)
        .group_by(alert::Column::State)
}

/// Selects the newest open alerts of a severity and state.
pub(in crate::store) fn select_worst(
    pipeline: &PipelineKey,
    severity: Severity,
    state: AlertState,
    limit: usize,
) -> Select<alert::Entity> {
    alert::Entity::find()
        .filter(alert::Column::Pipeline.eq(pipeline.as_str()))
        .filter(alert::Column::Severity.eq(severity.as_str()))
        .filter(alert::Column::State.eq(state.as_str()))
        .filter(is_open())
        .order_by_desc(alert::Column::ChangedAt)
        .order_by_desc(alert::Column::Id)
        .limit(limit as u64)
}

/// The state is a constant, as in the partial indexes of open alerts. There are far more resolved ones.
fn is_open() -> Expr {
    Expr::col(alert::Column::State).ne(Expr::Constant(AlertState::Resolved.as_str().into()))
}

/// Returns the open alerts of a pipeline, or of the server itself: all, or those with the given fingerprints.
pub(in crate::store) async fn open_alerts(
    connection: &impl ConnectionTrait,
    pipeline: Option<&PipelineKey>,
    fingerprints: Option<&[Fingerprint]>,
) -> Result<Vec<TrackedAlert>> {
    let mut open = select_open(pipeline);
    if let Some(fingerprints) = fingerprints {
        open = open.filter(alert::Column::Fingerprint.is_in(fingerprints.iter().map(Fingerprint::as_str)));
    }
    let rows = open.all(connection).await.map_err(Error::database)?;
    rows.into_iter().map(tracked).collect()
}

pub(in crate::store) fn select_open(pipeline: Option<&PipelineKey>) -> Select<alert::Entity> {
    let of_this = match pipeline {
        Some(pipeline) => alert::Column::Pipeline.eq(pipeline.as_str()),
        None => alert::Column::Pipeline.is_null(),
    };
    alert::Entity::find()
        .filter(of_this)
        .filter(is_open())
        .order_by_asc(alert::Column::StartedAt)
        .order_by_asc(alert::Column::Id)
}
