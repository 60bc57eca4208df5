use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, pk_uuid, string_len, string_len_null, text, text_null,
    timestamp_with_time_zone, timestamp_with_time_zone_null, uuid,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const RULES: [&str; 5] = ["threshold", "silence", "dead_feed", "anomaly", "server"];
const STATES: [&str; 4] = ["pending", "firing", "acknowledged", "resolved"];
const SEVERITIES: [&str; 3] = ["low", "medium", "high"];

fn one_of<const N: usize>(name: &'static str, words: [&'static str; N]) -> ColumnDef {
    string_len(name, 16).check(Expr::col(name).is_in(words)).take()
}

/// The pipeline of a row; null for the server itself.
fn of_pipeline(name: &str, table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(name)
        .from(table, "pipeline")
        .to("pipelines", "key")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alerts = Table::create()
            .table("alerts")
            .col(pk_uuid("id"))
            .col(string_len("fingerprint", 64))
            .col(one_of("rule", RULES))
            .col(one_of("kind", ["quality", "volume", "silence", "server"]))
            .col(string_len_null("pipeline", 64))
            .col(string_len_null("source", 255))
            .col(string_len_null("check_name", 64))
            .col(one_of("state", STATES))
            .col(one_of("severity", SEVERITIES))
            .col(text("title"))
            .col(text("message"))
            .col(timestamp_with_time_zone("started_at"))
            .col(timestamp_with_time_zone("changed_at"))
            .col(integer("worse"))
            .col(integer("eased"))
            .col(integer("well"))
            .col(string_len_null("acknowledged_by", 255))
            .col(text_null("acknowledged_note"))
            .col(timestamp_with_time_zone_null("acknowledged_at"))
            // The last notification.
            .col(timestamp_with_time_zone_null("announced_at"))
            .col(string_len_null("announced_severity", 16))
            .foreign_key(&mut of_pipeline("fk_alerts_pipeline", "alerts"))
            .to_owned();
        manager.create_table(alerts).await?;
        // At most one open alert per fingerprint, whichever server evaluates.
        manager
            .get_connection()
            .execute_unprepared("CREATE UNIQUE INDEX idx_alerts_open ON alerts (fingerprint) WHERE state <> 'resolved'")
            .await?;
        for columns in [&["pipeline", "changed_at", "id"][..], &["state", "changed_at", "id"]] {
            manager.create_index(crate::index("alerts", columns)).await?;
        }

        let events = Table::create()
            .table("alert_events")
            // Numbered under a lock that is held to the commit: no number becomes visible after a higher one.
            .col(big_integer("id").primary_key())
            .col(uuid("alert_id"))
            .col(string_len_null("pipeline", 64))
            .col(string_len_null("from_state", 16))
            .col(one_of("to_state", STATES))
            .col(one_of("severity", SEVERITIES))
            .col(string_len("reason", 32))
            .col(text("title"))
            .col(text("message"))
            .col(timestamp_with_time_zone("at"))
            // The pipeline's revision of the same commit.
            .col(big_integer_null("revision"))
            // Whether notifications have been planned for it.
            .col(boolean("settled").default(false))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_alert_events_alert")
                    .from("alert_events", "alert_id")
                    .to("alerts", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(events).await?;
        for columns in [&["pipeline", "revision", "id"][..], &["alert_id", "id"]] {
            manager.create_index(crate::index("alert_events", columns)).await?;
        }

        manager
            .get_connection()
            .execute_unprepared("CREATE INDEX idx_alert_events_unsettled ON alert_events (alert_id) WHERE NOT settled")
            .await?;

        let mutes = Table::create()
            .table("alert_silences")
            .col(pk_uuid("id"))
            .col(string_len_null("rule", 16))
            .col(string_len_null("pipeline", 64))
            .col(string_len_null("source", 255))
            .col(text_null("label"))
            .col(timestamp_with_time_zone("starts_at"))
            .col(timestamp_with_time_zone("ends_at"))
            .col(string_len("author", 255))
            .col(text("reason"))
            .foreign_key(&mut of_pipeline("fk_alert_silences_pipeline", "alert_silences"))
            .to_owned();
        manager.create_table(mutes).await?;
        manager.create_index(crate::index("alert_silences", &["ends_at"])).await?;

        // Messages to deliver: a row per notification and channel, without a foreign key to alerts, so that
        // notifications outlive a removed pipeline.
        let outbox = Table::create()
            .table("outbox")
            .col(uuid("notice"))
            .col(string_len("channel", 320))
            .col(string_len_null("pipeline", 64))
            .col(text("body"))
            .col(timestamp_with_time_zone("created_at"))
            .col(integer("attempts"))
            .col(timestamp_with_time_zone("next_attempt_at"))
            // The claim of a delivery: the term of the lease, and when it began.
            .col(big_integer_null("claimed_term"))
            .col(timestamp_with_time_zone_null("claimed_at"))
            // When it was delivered or given up.
            .col(timestamp_with_time_zone_null("ended_at"))
            .col(boolean("delivered").default(false))
            .col(text_null("last_error"))
            // A notification that is planned twice is one row.
            .primary_key(Index::create().col("notice").col("channel"))
            .to_owned();
        manager.create_table(outbox).await?;
        for (name, columns) in [("due", "next_attempt_at"), ("queue", "channel, pipeline, created_at")] {
            let sql = format!("CREATE INDEX idx_outbox_{name} ON outbox ({columns}) WHERE ended_at IS NULL");
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        manager.create_index(crate::index("outbox", &["ended_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["outbox", "alert_silences", "alert_events", "alerts"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
