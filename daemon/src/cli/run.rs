//! `triaged run`: the daemon itself.

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use tracing::level_filters::LevelFilter;
use triaged::app::{self, AppError};
use triaged::telemetry::{self, Format, Log};
use triaged_core::config::{LogConfig, LogFormat, LogLevel};

use super::{Exit, Failure, OrExit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs until a signal asks for the end.
pub(super) fn run(config: &Path, _args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    telemetry::begin(&log(config.log)).or_exit(Exit::Config)?;
    super::block_on(app::run(config))?.map(|()| Exit::Ok).map_err(|error| {
        let exit = match error {
            AppError::Store(ref error) if error.may_pass() => Exit::Busy,
            AppError::Process(_) | AppError::Ended(_) => Exit::Busy,
            _ => Exit::Config,
        };
        Failure { exit, error: error.into() }
    })
}

fn log(config: LogConfig) -> Log {
    let format = match config.format {
        LogFormat::Json => Format::Json,
        LogFormat::Plain => Format::Plain {
            colour: io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none(),
        },
    };
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Log { format, level, directives: env::var("RUST_LOG").ok() }
}
