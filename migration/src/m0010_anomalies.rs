use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, double, pk_uuid, string_len, text, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_pipeline = |name: &str, table: &'static str| {
            ForeignKey::create()
                .name(name)
                .from(table, "pipeline")
                .to("pipelines", "key")
                .on_delete(ForeignKeyAction::Cascade)
                .to_owned()
        };
        let anomalies = Table::create()
            .table("anomalies")
            // Derived from series, method and bucket, so that an anomaly found twice is one row.
            .col(pk_uuid("id"))
            .col(string_len("pipeline", 64))
            // Empty for the whole pipeline.
            .col(string_len("source", 255))
            .col(string_len("series", 64))
            .col(string_len("method", 16).check(Expr::col("method").is_in(["rate", "volume", "drift", "dead_feed"])))
            .col(string_len("kind", 16).check(Expr::col("kind").is_in(["quality", "volume"])))
            .col(string_len("severity", 16).check(Expr::col("severity").is_in(["low", "medium", "high"])))
            .col(timestamp_with_time_zone("bucket_start"))
            .col(double("observed"))
            .col(double("expected"))
            .col(double("lower"))
            .col(double("upper"))
            .col(big_integer("sample_size"))
            .col(double("p_value"))
            .col(double("alpha"))
            .col(text("description"))
            .col(timestamp_with_time_zone("found_at"))
            .foreign_key(&mut of_pipeline("fk_anomalies_pipeline", "anomalies"))
            .to_owned();
        manager.create_table(anomalies).await?;
        for columns in [&["pipeline", "bucket_start", "id"][..], &["pipeline", "source", "bucket_start", "id"]] {
            manager.create_index(crate::index("anomalies", columns)).await?;
        }
        // The hour up to which a pipeline's series are evaluated.
        let judged = Table::create()
            .table("judgements")
            .col(string_len("pipeline", 64).primary_key())
            .col(timestamp_with_time_zone("judged_to"))
            .foreign_key(&mut of_pipeline("fk_judgements_pipeline", "judgements"))
            .to_owned();
        manager.create_table(judged).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("judgements").to_owned()).await?;
        manager.drop_table(Table::drop().table("anomalies").to_owned()).await
    }
}
