//! The statuses of pipelines and sources in Prometheus' text format.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::domain::health::Health;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::status::{PipelineStatus, SourceStatus};
use crate::domain::time::Timestamp;

/// Series that are exported. Prometheus stores every one, so that their number is what it costs.
pub const MAX_SERIES: usize = 20_000;
/// Series of a pipeline apart from its counts and checks.
const SERIES_OF_PIPELINE: usize = 8;
/// Series of a count.
const SERIES_OF_COUNT: usize = 1;
/// Series of a check.
const SERIES_OF_CHECK: usize = 3;
/// Series of a source.
const SERIES_OF_SOURCE: usize = 10;

const STATUSES: [Health; 4] = [Health::Healthy, Health::Warning, Health::Error, Health::Pending];

/// The latest successful run of each source.
pub type LastSuccesses = HashMap<(PipelineKey, SourceKey), Timestamp>;

/// A metric with the lines of its series.
struct Family {
    name: &'static str,
    help: &'static str,
    lines: String,
}

/// Renders all pipelines, then their sources in the order of their keys, until there are [`MAX_SERIES`].
pub fn render<'a>(
    statuses: impl Iterator<Item = &'a PipelineStatus> + Clone,
    last_successes: &LastSuccesses,
) -> String {
    let mut export = Export::default();
    for status in statuses.clone() {
        export.pipeline(status);
    }
    for status in statuses {
        let mut sources: Vec<_> = status.scraping_health.sources.iter().collect();
        sources.sort_unstable_by(|one, two| one.source.cmp(&two.source));
        for source in sources {
            let key = (status.pipeline.clone(), source.source.clone());
            export.source(&status.pipeline, source, last_successes.get(&key).copied());
        }
    }
    export.finish()
}

#[derive(Default)]
struct Export {
    families: Vec<Family>,
    series: usize,
    omitted: usize,
}

impl Export {
    /// Whether there is room for these series, which are otherwise counted as omitted.
    fn has_room(&mut self, series: usize) -> bool {
        let has_room = self.series + series <= MAX_SERIES;
        *(if has_room { &mut self.series } else { &mut self.omitted }) += series;
        has_room
    }

    fn pipeline(&mut self, status: &PipelineStatus) {
        let health = &status.scraping_health;
        let counts: Vec<_> = health.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let checks: Vec<_> = status.data_quality.checks.iter().collect();
        let series = SERIES_OF_PIPELINE + SERIES_OF_COUNT * counts.len() + SERIES_OF_CHECK * checks.len();
        if !self.has_room(series) {
            return;
        }
        let pipeline = [("pipeline", status.pipeline.as_str())];
        for (health, value) in one_hot(status.overall_status) {
            let labels = [pipeline[0], ("status", health)];
            self.add("pipewatch_pipeline_status", "1 for the status of the pipeline, 0 for the others", &labels, value);
        }
        for (state, number) in [
            ("enabled", health.total_sources),
            ("processed", health.sources_processed),
            ("failed", health.failed_sources),
            ("stale", health.stale_sources),
        ] {
            let labels = [pipeline[0], ("state", state)];
            let help = "Enabled sources of the pipeline, those with a successful run in the window, and those whose last \
                        run failed or is too long ago";
            self.add("pipewatch_pipeline_sources", help, &labels, number);
        }
        for (name, count) in counts {
            let labels = [pipeline[0], ("count", name)];
            self.add("pipewatch_pipeline_window_count", "Sum of a count of all runs in the window", &labels, count);
        }
        for check in checks {
            let labels = [pipeline[0], ("check", check.name.as_str())];
            let help = "Attempts of a check in the window";
            self.add("pipewatch_pipeline_check_attempts", help, &labels, check.counts.attempts());
            let help = "Attempts of a check in the window that succeeded";
            self.add("pipewatch_pipeline_check_successes", help, &labels, check.counts.successes());
            let rate = check.counts.rate().map_or(f64::NAN, |percent| percent / 100.0);
            let help =
                "Share of the attempts of a check in the window that succeeded, from 0 to 1; NaN without attempts";
            self.add("pipewatch_pipeline_check_success_ratio", help, &labels, rate);
        }
    }

    fn source(&mut self, pipeline: &PipelineKey, source: &SourceStatus, last_success: Option<Timestamp>) {
        if !self.has_room(SERIES_OF_SOURCE) {
            return;
        }
        let labels = [("pipeline", pipeline.as_str()), ("source", source.source.as_str())];
        for (health, value) in one_hot(source.status) {
            let labels = [labels[0], labels[1], ("status", health)];
            self.add("pipewatch_source_status", "1 for the status of the source, 0 for the others", &labels, value);
        }
        let help = "Whether the source ran before, but not within the staleness period";
        self.add("pipewatch_source_stale", help, &labels, u8::from(source.stale));
        self.add("pipewatch_source_running_runs", "Runs of the source in progress", &labels, source.running);
        self.add("pipewatch_source_window_runs", "Finished runs of the source in the window", &labels, source.runs);
        let rate = source.success_rate.map_or(f64::NAN, |percent| percent / 100.0);
        let help = "Share of the runs of the source in the window that succeeded, from 0 to 1; NaN without runs";
        self.add("pipewatch_source_success_ratio", help, &labels, rate);
        if let Some(last_run) = source.last_run {
            let help = "End of the last run of the source, in seconds since 1970";
            self.add("pipewatch_source_last_run_timestamp_seconds", help, &labels, last_run.timestamp());
        }
        if let Some(last_success) = last_success {
            let help = "End of the last successful run of the source, in seconds since 1970";
            self.add("pipewatch_source_last_success_timestamp_seconds", help, &labels, last_success.timestamp());
        }
    }

    fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let position = self.families.iter().position(|family| family.name == name);
        let position = position.unwrap_or_else(|| {
            self.families.push(Family { name, help, lines: String::new() });
            self.families.len() - 1
        });
        let lines = &mut self.families[position].lines;
        lines.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            lines.push(if index == 0 { '{' } else { ',' });
            lines.push_str(label);
            lines.push_str("=\"");
            escape(text, lines);
            lines.push('"');
        }
        let end = if labels.is_empty() { " " } else { "} " };
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{end}{value}");
    }

    fn finish(mut self) -> String {
        let (series, omitted) = (self.series, self.omitted);
        let help = "Series of pipelines and sources in this response";
        self.add("pipewatch_exported_series", help, &[], series);
        let help = "Series of pipelines and sources that are left out of this response, beyond the maximum";
        self.add("pipewatch_omitted_series", help, &[], omitted);
        self.families.iter().fold(String::new(), |mut text, Family { name, help, lines }| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}");
            text
        })
    }
}

fn one_hot(status: Health) -> impl Iterator<Item = (&'static str, u8)> {
    STATUSES.into_iter().map(move |one| (one.as_str(), u8::from(one == status)))
}

/// Escapes the value of a label.
fn escape(text: &str, into: &mut String) {
    for letter in text.chars() {
        match letter {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
