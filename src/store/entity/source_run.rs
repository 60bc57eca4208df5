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
    pub articles_collected: Option<i32>,
    pub events_extracted: Option<i32>,
    pub geocoding_attempts: Option<i32>,
    pub geocoding_successes: Option<i32>,
    pub validation_attempts: Option<i32>,
    pub validation_passes: Option<i32>,
    pub error: Option<String>,
    pub end_digest: Option<Vec<u8>>,
    pub start_digest: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
