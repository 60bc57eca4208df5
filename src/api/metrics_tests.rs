use chrono::TimeDelta;

use super::*;
use crate::domain::named_counts::CountName;
use crate::domain::revision::Revision;
use crate::domain::run::{LastRun, RunState};
use crate::domain::status::{Excerpt, Facts, Rules, SourceFacts, evaluate};

fn status(pipeline: &str, sources: &[&str]) -> PipelineStatus {
    let now = Timestamp::UNIX_EPOCH + TimeDelta::days(20_000);
    let sources = sources.iter().map(|key| SourceFacts {
        key: key.parse().expect("a key"),
        enabled: true,
        last_run: Some(LastRun { state: RunState::Failed, finished_at: now - TimeDelta::days(2) }),
        running: 1,
        runs: 0,
        succeeded: 0,
        succeeded_fresh: 0,
    });
    let facts = Facts {
        pipeline: pipeline.parse().expect("a key"),
        revision: Revision::from_stored(0),
        sources: sources.collect(),
        counts: [(CountName::ARTICLES, 7), (CountName::EVENTS, 0)].into(),
        steps: Excerpt::default(),
        metrics: vec![],
        alerts: Excerpt::default(),
        anomalies: Excerpt::default(),
        conflict_events: None,
    };
    evaluate(facts, &Rules::default(), now)
}

#[test]
fn families_are_grouped_and_labels_escaped() {
    let statuses = [status("news", &["b", "a\\\"c"]), status("shop", &["b"])];
    let key = ("news".parse().expect("a key"), "b".parse().expect("a key"));
    let text = render(statuses.iter(), &[(key, Timestamp::UNIX_EPOCH + TimeDelta::seconds(5))].into());
    for line in [
        "# TYPE pipewatch_pipeline_status gauge",
        "pipewatch_pipeline_status{pipeline=\"news\",status=\"error\"} 1",
        "pipewatch_pipeline_status{pipeline=\"news\",status=\"healthy\"} 0",
        "pipewatch_pipeline_window_count{pipeline=\"shop\",count=\"articles\"} 7",
        "pipewatch_source_status{pipeline=\"news\",source=\"a\\\\\\\"c\",status=\"error\"} 1",
        "pipewatch_source_stale{pipeline=\"shop\",source=\"b\"} 1",
        "pipewatch_source_success_ratio{pipeline=\"shop\",source=\"b\"} NaN",
        "pipewatch_source_last_success_timestamp_seconds{pipeline=\"news\",source=\"b\"} 5",
        "pipewatch_omitted_series 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
    let families: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let mut distinct = families.clone();
    distinct.dedup();
    assert_eq!(families, distinct, "each family once");
    assert_eq!(text.matches("last_success_timestamp_seconds{").count(), 1, "only of a known success");
}

#[test]
fn series_are_bounded_and_the_omitted_ones_counted() {
    let keys: Vec<_> = (0..3_000).map(|number| format!("s{number:04}")).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let text = render([status("a", &keys), status("b", &["x"])].iter(), &LastSuccesses::new());
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series <= MAX_SERIES + 2, "{series}");
    assert!(text.contains("pipewatch_pipeline_status{pipeline=\"b\",status=\"error\"} 1\n"), "pipelines come first");
    let omitted: usize =
        text.lines().find_map(|line| line.strip_prefix("pipewatch_omitted_series ")?.parse().ok()).expect("it");
    assert!((10_000..12_000).contains(&omitted), "{omitted}");
}
