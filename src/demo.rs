use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::DEMO_PIPELINE;
use crate::domain::report::ReportKind;
use crate::ingest::Ingest;
use crate::replay::Recording;

/// The bundled sample data, described in examples/README.md.
const SAMPLE: &str = include_str!("../examples/nigeria-events-quality.ndjson");
/// The duration of one day of the sample.
const DAY: Duration = Duration::from_secs(2);

/// Replays the sample into the pipeline `demo` repeatedly, until `stop`.
pub(crate) async fn run(ingest: Ingest, clock: Clock, stop: CancellationToken) {
    let recording = match Recording::parse(SAMPLE) {
        Ok(recording) => recording,
        Err(error) => return tracing::error!(%error, "cannot parse the bundled sample data"),
    };
    stop.run_until_cancelled(async {
        loop {
            let start = Instant::now();
            for batch in recording.batches(DAY) {
                sleep_until(start + batch.due).await;
                let items = batch.at(clock.now());
                if let Err(error) = ingest.record(ReportKind::SourceRun, items, Some(DEMO_PIPELINE)).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot store runs of the demo");
                }
            }
            sleep_until(start + recording.length(DAY)).await;
        }
    })
    .await;
}
