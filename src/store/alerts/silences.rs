use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use crate::domain::alert::{Rule, Silence};
use crate::domain::cardinality::Exceeded;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::labels::Label;
use crate::error::{Error, Result};
use crate::store::alerts::rows::silence;
use crate::store::entity::alert_silence;
use crate::store::handle::Store;
use crate::store::statements::{bigint, count};

impl Store {
    /// Adds a silence.
    pub async fn silence_alerts(&self, silence: &Silence) -> Result<()> {
        self.require_correct_clock()?;
        let matcher = &silence.matcher;
        let label = matcher.label.iter().flat_map(|label| [&label.name, &label.value]);
        label.chain([&silence.reason]).try_for_each(|text| self.limits.check_text(text))?;
        let row = alert_silence::ActiveModel {
            id: Set(silence.id),
            rule: Set(matcher.rule.map(Rule::as_str).map(str::to_owned)),
            pipeline: Set(matcher.pipeline.as_ref().map(PipelineKey::to_string)),
            source: Set(matcher.source.as_ref().map(SourceKey::to_string)),
            label: Set(matcher.label.as_ref().map(Label::to_string)),
            starts_at: Set(silence.from),
            ends_at: Set(silence.until),
            author: Set(silence.author.clone()),
            reason: Set(silence.reason.clone()),
        };
        let transaction = self.write().await?;
        let limit = self.limits.silences;
        let not_ended = count(
            &transaction,
            "SELECT COUNT(*) FROM (SELECT 1 FROM alert_silences WHERE ends_at > $1 LIMIT $2) AS found",
            [silence.from.into(), bigint(limit)],
        );
        if not_ended.await.map_err(Error::database)? >= limit {
            return Err(Exceeded::Silences(limit).into());
        }
        alert_silence::Entity::insert_many([row])
            .exec_without_returning(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)
    }

    /// Returns the active and future silences, the last to end first.
    pub async fn alert_silences(&self, limit: u64) -> Result<Vec<Silence>> {
        let rows = alert_silence::Entity::find()
            .filter(alert_silence::Column::EndsAt.gt(self.clock.now()))
            .order_by_desc(alert_silence::Column::EndsAt)
            .order_by_asc(alert_silence::Column::Id)
            .limit(limit)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        rows.into_iter().map(silence).collect()
    }

    /// Ends a silence now. Returns whether it was active or still to begin.
    pub async fn end_alert_silence(&self, id: Uuid) -> Result<bool> {
        self.require_correct_clock()?;
        let now = self.clock.now();
        let transaction = self.write().await?;
        let ended = alert_silence::Entity::update_many()
            .col_expr(alert_silence::Column::EndsAt, Expr::value(now))
            .filter(alert_silence::Column::Id.eq(id))
            .filter(alert_silence::Column::EndsAt.gt(now))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(ended.rows_affected > 0)
    }
}
