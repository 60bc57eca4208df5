use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use pipewatch::clock::Clock;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::status::{PipelineStatus, Rules, evaluate};
use pipewatch::domain::time::Timestamp;
use pipewatch::store::{MigrateTo, Store};
use tokio::time::timeout;

use crate::database::{Databases, Kind};
use crate::history::{self, IN_WINDOW, SOURCES};
use crate::sample::Sample;
use crate::{Result, progress, thousands};

/// Calls of each database before anything is measured.
const WARM_UP: u32 = 50;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rows of each table in the small database
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1000..))]
    small: u32,
    /// Rows of each table in the large database
    #[arg(long, default_value_t = 5_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1000..))]
    large: u32,
    /// Measured calls of each database
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
}

/// The status as of one instant: rows must not leave the window while it is measured.
struct Question {
    pipeline: PipelineKey,
    rules: Rules,
    now: Timestamp,
}

impl Question {
    /// What the server computes for a snapshot, without what renders and delivers it.
    async fn ask(&self, store: &Store) -> Result<(PipelineStatus, Duration)> {
        let begin = Instant::now();
        let facts = timeout(PATIENCE, store.facts(&self.pipeline, self.now - self.rules.window)).await??;
        let status = evaluate(facts.ok_or("the pipeline is gone")?, &self.rules, self.now);
        Ok((status, begin.elapsed()))
    }
}

pub(crate) async fn measure(options: &Options, databases: &mut Databases) -> Result<String> {
    let mut table = format!(
        "The status query with history ({} rows of each table in the window, from {SOURCES} sources; {} calls of \
         each, in turn; target: ratio ≤ 1.2):\n\n\
         | database | rows of each table | median | p99 | ratio of medians |\n\
         | --- | ---: | ---: | ---: | ---: |",
        thousands(f64::from(IN_WINDOW)),
        options.calls,
    );
    for kind in Kind::ALL {
        let question =
            Question { pipeline: PipelineKey::default(), rules: Rules::default(), now: Clock::system().now() };
        let small = filled(kind, options.small, &question, databases).await?;
        let large = filled(kind, options.large, &question, databases).await?;
        progress(&format!("status, {kind}: measuring"));
        let (small_times, large_times) = compare(options, &question, &small, &large).await?;
        small.close().await?;
        large.close().await?;
        let ratio = large_times.median() / small_times.median();
        for (rows, times, ratio) in
            [(options.small, small_times, String::new()), (options.large, large_times, format!("{ratio:.2}"))]
        {
            write!(
                table,
                "\n| {kind} | {} | {:.2} ms | {:.2} ms | {ratio} |",
                thousands(f64::from(rows)),
                times.median(),
                times.p99(),
            )?;
        }
    }
    Ok(table)
}

async fn filled(kind: Kind, rows: u32, question: &Question, databases: &mut Databases) -> Result<Store> {
    let database = databases.fresh(kind).await?;
    let store = Store::open(&database.url, Clock::system()).await?;
    store.migrate(MigrateTo::Up(None)).await?;
    store.prepare().await?;
    let begin = Instant::now();
    history::fill(&database, rows, question.now).await?;
    progress(&format!(
        "status, {kind}: {} rows of each table in {:.0} s",
        thousands(f64::from(rows)),
        begin.elapsed().as_secs_f64()
    ));
    Ok(store)
}

/// Queries both alternately, each first in half of the rounds, so that other load on the machine affects both alike.
async fn compare(options: &Options, question: &Question, small: &Store, large: &Store) -> Result<(Sample, Sample)> {
    for _ in 0..WARM_UP {
        agree(&question.ask(small).await?.0, &question.ask(large).await?.0)?;
    }
    let (mut small_times, mut large_times) = (Vec::new(), Vec::new());
    for call in 0..options.calls {
        if call.is_multiple_of(2) {
            small_times.push(question.ask(small).await?.1);
            large_times.push(question.ask(large).await?.1);
        } else {
            large_times.push(question.ask(large).await?.1);
            small_times.push(question.ask(small).await?.1);
        }
    }
    let sample = |times| Sample::of_times(times).ok_or("no call was measured");
    Ok((sample(small_times)?, sample(large_times)?))
}

/// Both have the same rows in the window, so their statuses must be the same; else something else was measured.
fn agree(small: &PipelineStatus, large: &PipelineStatus) -> Result<()> {
    let runs: u64 = small.scraping_health.sources.iter().map(|source| source.runs).sum();
    let same = small.scraping_health == large.scraping_health
        && small.data_quality == large.data_quality
        && runs == u64::from(IN_WINDOW);
    if same { Ok(()) } else { Err(format!("the statuses are not the same:\n{small:?}\n{large:?}").into()) }
}
