use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "metric_checks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub metric_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub attempts: i64,
    pub passes: i64,
    /// Copied from the metric, so that status queries need no join. Null for the hourly rows that the server writes.
    pub pipeline: Option<String>,
    pub timestamp: Option<ChronoDateTimeUtc>,
    pub metric_type: Option<String>,
    pub of_sources: Option<bool>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
