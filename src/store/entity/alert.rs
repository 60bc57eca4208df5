use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub fingerprint: String,
    pub rule: String,
    pub kind: String,
    pub pipeline: Option<String>,
    pub source: Option<String>,
    pub check_name: Option<String>,
    pub state: String,
    pub severity: String,
    pub title: String,
    pub message: String,
    pub started_at: DateTimeUtc,
    pub changed_at: DateTimeUtc,
    pub worse_streak: i32,
    pub eased_streak: i32,
    pub recovered_streak: i32,
    pub acknowledged_by: Option<String>,
    pub acknowledged_note: Option<String>,
    pub acknowledged_at: Option<DateTimeUtc>,
    pub notified_at: Option<DateTimeUtc>,
    pub notified_severity: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
