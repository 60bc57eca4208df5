use rlimit::Resource;

/// Raises the soft limit of open files to the hard one, and gives how many of the connections that are wanted fit beside
/// `others`.
pub(crate) fn fit(connections: usize, others: usize) -> usize {
    let allowed = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(_) => Resource::NOFILE.get().map_or(0, |(soft, _)| soft),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            Resource::NOFILE.get().map_or(0, |(soft, _)| soft)
        }
    };
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed >= connections.saturating_add(others) {
        return connections;
    }
    let fits = allowed.saturating_sub(others).max(1);
    tracing::warn!(
        max_connections = connections,
        open_files = allowed,
        "the system allows {allowed} open files, too few for max_connections = {connections}; {fits} are admitted"
    );
    fits
}
