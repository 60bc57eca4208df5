use rlimit::Resource;

/// Raises the soft limit of open files to the hard one. Returns how many of `connections` it allows in addition to `others`.
pub(crate) fn raise_nofile_limit(connections: usize, others: usize) -> usize {
    let allowed = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(_) => Resource::NOFILE.get().map_or(0, |(soft, _)| soft),
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
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
        "the limit of open files ({allowed}) is too low for max_connections = {connections}; accepting {fits} connections"
    );
    fits
}
