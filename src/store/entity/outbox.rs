use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub notification: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: String,
    pub pipeline: Option<String>,
    pub body: String,
    pub created_at: DateTimeUtc,
    pub attempts: i32,
    pub next_attempt_at: DateTimeUtc,
    pub claimed_term: Option<i64>,
    pub claimed_at: Option<DateTimeUtc>,
    pub ended_at: Option<DateTimeUtc>,
    pub delivered: bool,
    pub last_error: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
