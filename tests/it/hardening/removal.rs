//! Removal of large pipelines and sources: interrupted by a crash, and while others report.

use std::time::{Duration, Instant};

use pipewatch::clock::Clock;
use pipewatch::domain::key::PipelineKey;
use pipewatch::store::Store;
use serde_json::json;

use crate::support::bulk::insert_runs;
use crate::support::honest_clients::{HonestClients, is_soak};
use crate::support::server::{Process, answer, client};
use crate::support::timed_store::{lines, rollups};
use crate::support::{ALLOWANCE, Database, Server, eventually, in_time, run, with};

const RUNS: &str = "/api/v1/source-runs";

on_both_databases! {
    killed_removal_of_a_source_is_resumed,
    killed_removal_of_a_pipeline_is_resumed,
    reporters_do_not_wait_for_removals,
}

/// A database with a pipeline `news` of two sources, and the roll-ups of their runs.
async fn large_pipeline(database: Database, runs: u32) -> Database {
    let database = Server::start(database).await.stop().await;
    insert_runs(&database, "news", 2, runs).await;
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    let pipeline: PipelineKey = "news".parse().expect("a key");
    store.rebuild_rollups(&pipeline).await.expect("rebuilt");
    store.close().await.expect("closed");
    database
}

async fn mutate(server: &Process, mutation: &str) {
    let request = client().post(format!("{}/graphql", server.url)).json(&json!({"query": mutation}));
    let (status, answer) = answer(request).await;
    assert!(status == 200 && answer.get("errors").is_none(), "{mutation}: {answer}");
}

async fn count(database: &Database, rows: &str) -> u64 {
    let found = lines(database, &format!("SELECT CAST(COUNT(*) AS varchar) FROM {rows}")).await;
    found[0].parse().expect("a number")
}

/// Begins a removal and kills the server as soon as some of the rows are gone. Until then a trigger keeps the last runs,
/// so that the removal cannot complete before.
async fn kill_during(server: Process, database: &Database, mutation: &'static str, rows: &str) {
    let (keep, let_go) = if database.is_postgres() {
        (
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF (SELECT count(*) FROM source_runs WHERE source = 's1') < 1000 THEN RAISE 'kept'; END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER keep AFTER DELETE ON source_runs FOR EACH STATEMENT EXECUTE FUNCTION keep()",
            "DROP TRIGGER keep ON source_runs",
        )
    } else {
        (
            "CREATE TRIGGER keep BEFORE DELETE ON source_runs WHEN OLD.source = 's1' AND NOT EXISTS
                 (SELECT 1 FROM source_runs WHERE pipeline = 'news' AND source = 's1' LIMIT 1 OFFSET 1000)
                 BEGIN SELECT RAISE(ABORT, 'kept'); END",
            "DROP TRIGGER keep",
        )
    };
    database.execute(keep).await;
    let before = count(database, rows).await;
    let request = client().post(format!("{}/graphql", server.url)).json(&json!({"query": mutation}));
    let mutation = tokio::spawn(request.send());
    in_time("rows are removed", async { while count(database, rows).await == before {} }).await;
    server.kill();
    drop(in_time("the connection ends", mutation).await);
    let left = count(database, rows).await;
    assert!(left > 0, "the removal is interrupted");
    database.execute(let_go).await;
    println!("killed with {left} of {before} rows left");
}

async fn killed_removal_of_a_source_is_resumed(database: Database) {
    let database = large_pipeline(database, 20_000).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &database.url, &[]);
    let rows = "source_runs WHERE pipeline = 'news' AND source = 's1'";
    let mutation = "mutation { removeSource(pipeline: \"news\", source: \"s1\") }";
    kill_during(server, &database, mutation, rows).await;

    let server = Process::serve(folder.path(), &database.url, &[]);
    eventually("the source is gone", || async {
        (count(&database, "sources WHERE pipeline = 'news'").await == 1).then_some(())
    })
    .await;
    assert_eq!(count(&database, rows).await, 0);
    assert_eq!(count(&database, "quality_rollups WHERE pipeline = 'news' AND source = 's1'").await, 0);
    // The sums of the pipeline are those of the source that is left.
    let sums = rollups(&database, "news").await;
    let of_source: Vec<_> = sums.iter().filter_map(|line| line.strip_prefix("s2|")).collect();
    let of_pipeline: Vec<_> = sums.iter().filter_map(|line| line.strip_prefix('|')).collect();
    assert!(!of_source.is_empty());
    assert_eq!(of_pipeline, of_source);
    let (status, answer) =
        answer(client().post(format!("{}{RUNS}", server.url)).json(&with(run("s1"), json!({"pipeline": "news"}))))
            .await;
    assert_eq!(status, 201, "the key can be used again: {answer}");
}

async fn killed_removal_of_a_pipeline_is_resumed(database: Database) {
    let database = large_pipeline(database, 20_000).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &database.url, &[]);
    let rows = "source_runs WHERE pipeline = 'news'";
    kill_during(server, &database, "mutation { removePipeline(pipeline: \"news\") }", rows).await;

    let server = Process::serve(folder.path(), &database.url, &[]);
    eventually("the pipeline is gone", || async {
        (count(&database, "pipelines WHERE key = 'news'").await == 0).then_some(())
    })
    .await;
    for table in ["source_runs", "sources", "quality_rollups"] {
        assert_eq!(count(&database, &format!("{table} WHERE pipeline = 'news'")).await, 0, "{table}");
    }
    drop(server);
}

async fn reporters_do_not_wait_for_removals(database: Database) {
    let (runs, limit) = if is_soak() { (200_000, Duration::from_millis(200)) } else { (20_000, ALLOWANCE) };
    let database = large_pipeline(database, runs).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &database.url, &[]);
    let honest = HonestClients::start(&server, None).await;
    for (mutation, rows) in [
        (
            "mutation { removeSource(pipeline: \"news\", source: \"s1\") }",
            "sources WHERE pipeline = 'news' AND key = 's1'",
        ),
        ("mutation { removePipeline(pipeline: \"news\") }", "pipelines WHERE key = 'news'"),
    ] {
        let reporting = async {
            let (client, mut longest, mut reports) = (client(), Duration::ZERO, 0);
            loop {
                let begun = Instant::now();
                let (status, answer) = answer(client.post(format!("{}{RUNS}", server.url)).json(&run("a"))).await;
                assert_eq!(status, 201, "{answer}");
                longest = longest.max(begun.elapsed());
                reports += 1;
                // Looking is work for the database, too.
                if reports % 10 == 0 && count(&database, rows).await == 0 {
                    return (longest, reports);
                }
            }
        };
        let begun = Instant::now();
        let ((), (longest, reports)) = tokio::join!(mutate(&server, mutation), reporting);
        let took = begun.elapsed();
        println!("{mutation} of {runs} runs took {took:?}; {reports} other reports, the longest in {longest:?}");
        assert!(longest < limit, "{longest:?}");
    }
    honest.finish(&server).await;
}
