use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollup_rebuilds")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub pipeline: String,
    /// Hours before this instant are rebuilt.
    pub next_hour: DateTimeUtc,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
