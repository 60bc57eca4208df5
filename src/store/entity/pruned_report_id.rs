use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pruned_report_ids")]
pub struct Model {
    /// When its row was pruned, in half-years: year × 2, plus 1 from July.
    #[sea_orm(primary_key, auto_increment = false)]
    pub half_year: i32,
    /// 16 bytes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
