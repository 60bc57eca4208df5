//! The comments of the fields are the text of `--help`, and so have no markup.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::path::PathBuf;

use clap::Args;

/// What every command that opens the database takes.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseFlags {
    /// The file of settings: pipewatch.toml of the working directory, if it is there, unless another is named
    #[arg(long, env = "PIPEWATCH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database: sqlite://FILE (created if it is not there) or postgres://USER:PASSWORD@HOST/NAME
    /// [default: sqlite://pipewatch.db]
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// What is logged to standard error, in tracing's filter syntax, such as info or warn,pipewatch=debug
    /// [default: warn,pipewatch=info]
    #[arg(long, env = "PIPEWATCH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// What `pipewatch serve` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// What every command takes.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Where to listen; the variable PORT alone means 0.0.0.0:PORT [default: 127.0.0.1:8000]
    #[arg(long, env = "PIPEWATCH_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Do not bring the database's schema up before serving
    #[arg(long, env = "PIPEWATCH_NO_MIGRATE")]
    pub no_migrate: bool,
    /// How often a watched pipeline is computed without a change, from 100ms to 1h [default: 5s]
    #[arg(long, env = "PIPEWATCH_INTERVAL", value_name = "DURATION")]
    pub interval: Option<String>,
    /// How far back a status looks [default: 24h]
    #[arg(long, env = "PIPEWATCH_WINDOW", value_name = "DURATION")]
    pub window: Option<String>,
    /// After how long without a run a source is stale [default: the window]
    #[arg(long, env = "PIPEWATCH_STALENESS", value_name = "DURATION")]
    pub staleness: Option<String>,
    /// Below this rate geocoding is a warning [default: 80]
    #[arg(long, env = "PIPEWATCH_GEOCODING_WARNING", value_name = "PERCENT")]
    pub geocoding_warning: Option<f64>,
    /// Below this rate geocoding is an error [default: 60]
    #[arg(long, env = "PIPEWATCH_GEOCODING_ERROR", value_name = "PERCENT")]
    pub geocoding_error: Option<f64>,
    /// Below this rate validation is a warning [default: 85]
    #[arg(long, env = "PIPEWATCH_VALIDATION_WARNING", value_name = "PERCENT")]
    pub validation_warning: Option<f64>,
    /// Below this rate validation is an error [default: 70]
    #[arg(long, env = "PIPEWATCH_VALIDATION_ERROR", value_name = "PERCENT")]
    pub validation_error: Option<f64>,
    /// How long open requests and streams may take to end when the server stops [default: 10s]
    #[arg(long, env = "PIPEWATCH_DRAIN", value_name = "DURATION")]
    pub drain: Option<String>,
    /// Other origins whose pages may read the answers, separated by commas, or * [default: none]
    #[arg(long, env = "PIPEWATCH_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Option<Vec<String>>,
    /// Replay the bundled real sample into the pipeline "demo", for ever, a day in 2 seconds
    #[arg(long, env = "PIPEWATCH_DEMO")]
    pub demo: bool,
}
