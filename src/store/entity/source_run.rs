use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "source_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub pipeline: String,
    pub source: String,
    pub state: String,
    pub started_at: Option<DateTimeUtc>,
    pub finished_at: Option<DateTimeUtc>,
    pub received_at: DateTimeUtc,
    pub backfill: bool,
    pub articles_collected: Option<i64>,
    pub events_extracted: Option<i64>,
    pub geocoding_attempts: Option<i64>,
    pub geocoding_successes: Option<i64>,
    pub validation_attempts: Option<i64>,
    pub validation_passes: Option<i64>,
    pub error: Option<String>,
    pub end_digest: Option<Vec<u8>>,
    pub start_digest: Option<Vec<u8>>,
    /// The reported id, unless it is `id`.
    pub run_id: Option<String>,
    pub url: Option<String>,
    /// A JSON array of strings.
    pub tags: Option<String>,
    pub attempt: Option<i32>,
    pub parent: Option<String>,
    pub log: Option<String>,
    /// A JSON object of numbers.
    pub counts: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
