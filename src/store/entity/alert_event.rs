use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub alert_id: Uuid,
    pub pipeline: Option<String>,
    pub from_state: Option<String>,
    pub to_state: String,
    pub severity: String,
    pub reason: String,
    pub title: String,
    pub message: String,
    pub at: DateTimeUtc,
    pub revision: Option<i64>,
    pub handled: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::alert::Entity", from = "Column::AlertId", to = "super::alert::Column::Id")]
    Alert,
}

impl Related<super::alert::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Alert.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
