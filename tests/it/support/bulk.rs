use crate::support::Database;

/// Inserts finished runs of a pipeline's sources `s1`, `s2`, … by SQL, evenly over the last 30 days. Their roll-ups are not
/// written.
pub(crate) async fn insert_runs(database: &Database, pipeline: &str, sources: u32, runs: u32) {
    let (numbers, id, at) = if database.is_postgres() {
        (
            format!("SELECT i FROM generate_series(1, {runs}) AS n(i)"),
            "gen_random_uuid()",
            format!("now() - make_interval(secs => i * 2592000.0 / {runs})"),
        )
    } else {
        (
            format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {runs}) SELECT i FROM n"),
            "randomblob(16)",
            format!("strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-' || (i * 2592000 / {runs}) || ' seconds')"),
        )
    };
    for sql in [
        format!("INSERT INTO pipelines (key, revision) VALUES ('{pipeline}', 1) ON CONFLICT DO NOTHING"),
        format!(
            "INSERT INTO sources (pipeline, key, enabled) SELECT '{pipeline}', 's' || i, true FROM ({numbers}) AS n \
             WHERE i <= {sources}"
        ),
        format!(
            "INSERT INTO source_runs (id, pipeline, source, state, finished_at, received_at, backfill, \
             articles_collected, events_extracted) SELECT {id}, '{pipeline}', 's' || (1 + i % {sources}), 'ok', {at}, \
             {at}, false, i % 9, i % 5 FROM ({numbers}) AS n"
        ),
    ] {
        database.execute(&sql).await;
    }
}
