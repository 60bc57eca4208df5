use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::server::{Process, answer, client};
use crate::support::{Database, Server, eventually, run, with};

on_both_databases! { acknowledged_reports_survive_kill_9, }

/// After the restart every acknowledged report is present once, and unanswered reports can be sent again safely.
async fn acknowledged_reports_survive_kill_9(database: Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &database.url, &[]);
    let acknowledged: Arc<Mutex<BTreeSet<Uuid>>> = Arc::default();
    let reporters: Vec<_> = (0..16)
        .map(|_| {
            let (client, url) = (client(), format!("{}/api/v1/source-runs", server.url));
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move {
                let mut sent = Vec::new();
                loop {
                    let id = Uuid::now_v7();
                    let report = with(run("a"), json!({"id": id}));
                    sent.push(report.clone());
                    match client.post(&url).json(&report).send().await {
                        Ok(response) if response.status() == 201 => {
                            acknowledged.lock().expect("no panic").insert(id);
                        }
                        _ => return sent,
                    }
                }
            })
        })
        .collect();
    eventually("a load of reports", || async { (acknowledged.lock().expect("no panic").len() > 300).then_some(()) })
        .await;
    server.kill();
    let mut sent = Vec::new();
    for reporter in reporters {
        sent.extend(reporter.await.expect("no panic"));
    }

    let server = Server::start(database).await;
    let stored = ids(&server).await;
    let unique: BTreeSet<Uuid> = stored.iter().copied().collect();
    assert_eq!(unique.len(), stored.len(), "none twice");
    assert!(acknowledged.lock().expect("no panic").is_subset(&unique), "every acknowledged report is there");

    let articles = server.status("").await["scraping_health"]["articles_collected"].as_u64();
    assert_eq!(
        articles,
        Some(3 * stored.len() as u64),
        "each run is stored with its metric and its source, or not at all"
    );
    for reports in sent.chunks(500) {
        let (status, body) = answer(server.post("/api/v1/source-runs").json(&json!(reports))).await;
        assert!(matches!(status, 200 | 201), "{body}");
    }
    assert_eq!(ids(&server).await.len(), sent.len(), "said again, each is there once");
    server.stop().await;
}

async fn ids(server: &Server) -> Vec<Uuid> {
    let query = "query($after: String) { sourceRuns(first: 500, after: $after) {
        nodes { id } pageInfo { hasNextPage endCursor } } }";
    let (mut ids, mut after) = (vec![], Value::Null);
    loop {
        let page = server.data(query, json!({"after": after})).await["sourceRuns"].clone();
        let nodes = page["nodes"].as_array().expect("nodes").iter();
        ids.extend(nodes.map(|node| node["id"].as_str().expect("an id").parse::<Uuid>().expect("a UUID")));
        if page["pageInfo"]["hasNextPage"] == false {
            return ids;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}
