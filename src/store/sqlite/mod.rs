//! What only SQLite needs: the lock and identity of its file, its WAL and free space.

pub(super) mod file;
pub(super) mod maintenance;
pub(super) mod wal;
