use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "anomalies")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub pipeline: String,
    pub source: String,
    pub series: String,
    pub method: String,
    pub kind: String,
    pub severity: String,
    pub bucket_start: DateTimeUtc,
    pub observed: f64,
    pub expected: f64,
    pub lower: f64,
    pub upper: f64,
    pub sample_size: i64,
    pub p_value: f64,
    pub alpha: f64,
    pub description: String,
    pub found_at: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
