//! Replays the bundled sample data and checks which alerts fire, and when.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::Database;
use crate::support::evaluator::EvaluatorFixture;
use crate::support::timed_store::{at, lines};

const FILE: &str = include_str!("../../examples/nigeria-events-quality.ndjson");

on_both_databases! {
    sample_data_fires_the_expected_alerts,
    server_outage_extends_source_deadlines,
}

/// Alerts in the sample data change at a few times of day only: all runs end at 18:00, their hour is complete at 19:05,
/// and an inferred deadline (three times a multiple of half a day) is at 18:00 or 06:00. Evaluating twice after each of
/// these gives the same result as evaluating every 30 seconds, because a condition must hold for 30 seconds.
const EVALUATIONS: [&str; 4] = ["06:00:30", "06:01:00", "19:05:30", "19:06:00"];

/// A source, its last run before an unusually long gap, and the run that ended the gap.
const GAPS: [(&str, &str, &str); 3] = [
    // It ran every 6 days, then not for 86 days.
    ("daily-trust", "2021-10-21", "2022-01-15"),
    // It ran every 4 days, then not for 79 days.
    ("the-nation", "2022-06-30", "2022-09-17"),
    // It ran every other day, then not for 66 days.
    ("sahara-reporters", "2022-07-09", "2022-09-13"),
];

/// First and last day of a period without alerts.
const HEALTHY: (&str, &str) = ("2021-02-16", "2021-03-10");

/// The periods to evaluate, as (from, to). `PIPEWATCH_WHOLE_HISTORY=1` evaluates every day of the file.
const EVALUATED: [(&str, &str); 3] =
    [("2021-02-10", "2021-03-10"), ("2021-10-20", "2022-01-16"), ("2022-06-29", "2022-09-18")];

async fn sample_data_fires_the_expected_alerts(database: Database) {
    let is_whole = std::env::var_os("PIPEWATCH_WHOLE_HISTORY").is_some();
    let mut days: BTreeMap<DateTime<Utc>, Vec<Value>> = BTreeMap::new();
    for line in FILE.lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        days.entry(at(row["timestamp"].as_str().expect("an instant"))).or_default().push(row);
    }
    let mut day = at("2020-06-01T00:00:00Z");
    let mut evaluator = EvaluatorFixture::start(&database, day).await;
    while day < at("2024-01-01T00:00:00Z") {
        let date = day.date_naive().to_string();
        let is_evaluated = is_whole || EVALUATED.iter().any(|(from, to)| (*from..=*to).contains(&date.as_str()));
        for time in EVALUATIONS {
            let now = at(&format!("{date}T{time}Z"));
            if let Some(due) = days.first_entry().filter(|due| *due.key() <= now) {
                evaluator.runs(*due.key(), &due.remove()).await;
            }
            if is_evaluated {
                evaluator.evaluate(now).await;
            }
        }
        evaluator.lease().await;
        day += TimeDelta::days(1);
    }
    assert!(days.is_empty(), "the complete file");

    let events = events(&database).await;
    let fired: Vec<&AlertEvent> = events.iter().filter(|step| step.fires).collect();
    for (source, last, back) in GAPS {
        let of_it = |step: &&&AlertEvent| (step.rule.as_str(), step.source.as_str()) == ("overdue", source);
        let raised: Vec<&str> =
            fired.iter().filter(of_it).map(|step| &step.at[..10]).filter(|day| *day > last && *day < back).collect();
        assert_eq!(raised.len(), 1, "{source} after {last} is one alert: {raised:?}");
        let resolved = events.iter().any(|step| of_it(&&step) && step.to == "resolved" && step.at.starts_with(back));
        assert!(resolved, "{source} is back at {back}");
    }
    let in_health: Vec<_> = fired.iter().filter(|step| (HEALTHY.0..=HEALTHY.1).contains(&&step.at[..10])).collect();
    assert!(in_health.is_empty(), "{in_health:?}");

    let mut months: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for step in fired {
        *months.entry(&step.at[..7]).or_default().entry(&step.rule).or_default() += 1;
    }
    for (month, rules) in &months {
        println!("{month} {rules:?}");
    }
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for (rule, count) in months.values().flatten() {
        *rules.entry(rule).or_default() += count;
    }
    println!("in all {rules:?}");
    if is_whole {
        assert_eq!(rules, BTreeMap::from([("overdue", 341), ("threshold", 3)]), "as documented in docs/alerts.md");
    }
}

#[derive(Debug)]
struct AlertEvent {
    at: String,
    rule: String,
    source: String,
    to: String,
    /// Not in the earlier evaluation, at any severity.
    fires: bool,
}

/// All events of all alerts, in order.
async fn events(database: &Database) -> Vec<AlertEvent> {
    let at = if database.is_postgres() {
        "to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
    } else {
        "replace(substr(e.at, 1, 19), 'T', ' ')"
    };
    let sql = format!(
        "SELECT {at} || '|' || a.rule || '|' || coalesce(a.source, '') || '|' || e.to_state \
         || '|' || coalesce(e.from_state, '') FROM alert_events e \
         JOIN alerts a ON a.id = e.alert_id ORDER BY e.id"
    );
    let step = |line: &String| {
        let parts: Vec<String> = line.split('|').map(str::to_owned).collect();
        let [at, rule, source, to, from] = parts.try_into().expect("five parts");
        AlertEvent { at, rule, source, fires: to == "firing" && from != "firing", to }
    };
    lines(database, &sql).await.iter().map(step).collect()
}

async fn server_outage_extends_source_deadlines(database: Database) {
    let first = at("2026-03-02T00:00:00Z");
    let mut evaluator = EvaluatorFixture::start(&database, first).await;
    let run = |at: DateTime<Utc>| json!({"source": "punch", "timestamp": at.to_rfc3339(), "articles_collected": 3, "events_extracted": 2});
    let mut last = first;
    for number in 0..12 {
        last = first + TimeDelta::hours(6 * number);
        evaluator.runs(last, &[run(last)]).await;
        evaluator.evaluate(last + TimeDelta::minutes(1)).await;
    }
    let down = last + TimeDelta::hours(1);
    evaluator.evaluate(down).await;
    evaluator.renew().await;
    evaluator.release().await;

    // Twelve hours later another server takes over, with nothing but the database.
    let up = down + TimeDelta::hours(12);
    let mut evaluator = EvaluatorFixture::start(&database, up).await;
    assert!(evaluator.store.outages(first).await.expect("a database").contains(&(down, up)), "the outage is recorded");
    // Without the extension the source would be late 18 hours after its last run.
    let deadline = last + TimeDelta::hours(18 + 12);
    let mut now = up;
    while now <= deadline {
        evaluator.evaluate(now).await;
        now += TimeDelta::minutes(30);
    }
    evaluator.evaluate(deadline).await;
    assert_eq!(fired(&database).await, Vec::<String>::new());
    evaluator.evaluate(deadline + TimeDelta::seconds(30)).await;
    assert_eq!(fired(&database).await, Vec::<String>::new(), "found once");
    evaluator.evaluate(deadline + TimeDelta::seconds(60)).await;
    assert_eq!(fired(&database).await, ["overdue of punch"]);
}

async fn fired(database: &Database) -> Vec<String> {
    let events = events(database).await;
    let firing = events.iter().filter(|step| step.fires);
    firing.map(|step| format!("{} of {}", step.rule, step.source)).collect()
}
