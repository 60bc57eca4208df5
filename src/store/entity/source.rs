use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sources")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub pipeline: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub enabled: bool,
    pub last_run_at: Option<DateTimeUtc>,
    pub last_run_state: Option<String>,
    pub steps_run: Option<Uuid>,
    pub steps_at: Option<DateTimeUtc>,
    pub expected_every: Option<String>,
    /// Seconds.
    pub grace: Option<i64>,
    pub expected_since: Option<DateTimeUtc>,
    /// A JSON object of strings.
    pub labels: Option<String>,
    /// When its removal began. Queries leave it out, and its rows are removed in batches.
    pub removing_at: Option<DateTimeUtc>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
