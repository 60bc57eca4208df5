use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "data_quality_metrics")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub pipeline: String,
    pub timestamp: DateTimeUtc,
    pub geocoding_attempts: i64,
    pub geocoding_successes: i64,
    pub geocoding_success_rate: f64,
    pub validation_attempts: i64,
    pub validation_passes: i64,
    pub validation_pass_rate: f64,
    pub metric_type: String,
    pub source: Option<String>,
    pub status: String,
    /// Digest of the report's body; null when the server derived the row from a source run.
    pub digest: Option<Vec<u8>>,
    /// A JSON object of numbers.
    pub counts: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
