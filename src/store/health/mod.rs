//! Health of the database as observed by this server.

pub(super) mod monitor;
mod probe;

pub use crate::store::health::monitor::DatabaseProblem;
pub use crate::store::health::probe::StoreHealth;
