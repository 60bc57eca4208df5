use async_graphql::{MergedObject, MergedSubscription, Schema, SchemaBuilder};

use crate::graphql::alerts::{AlertMutation, AlertQuery, AlertSubscription};
use crate::graphql::mutation::ReportMutation;
use crate::graphql::query::StatusQuery;
use crate::graphql::subscription::StatusSubscription;

/// Pipelines, their status, their history and their alerts.
#[derive(Default, MergedObject)]
pub(super) struct Query(StatusQuery, AlertQuery);

/// Reports, changes and removals. A mutation is committed before its response is sent.
#[derive(Default, MergedObject)]
pub(super) struct Mutation(ReportMutation, AlertMutation);

/// Live updates. A subscription to a state starts with the current one; a slow client skips to the latest.
#[derive(Default, MergedSubscription)]
pub(super) struct Subscription(StatusSubscription, AlertSubscription);

/// The schema, to be given its services and limits.
pub(super) fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
}

/// The schema in its own language, with a newline at the end.
pub fn sdl() -> String {
    format!("{}\n", builder().finish().sdl().trim_end())
}
