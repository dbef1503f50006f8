//! `triaged run`: the daemon itself.

use std::path::Path;

use triaged::app::{self, AppError};
use triaged::store::StoreError;
use triaged::telemetry;

use super::{Exit, Failure, OrExit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs until a signal asks for the end.
pub(super) fn run(config: &Path, _args: &Args) -> Result<Exit, Failure> {
    let config = super::load(config)?;
    telemetry::begin(&super::log(&config.log)).or_exit(Exit::Config)?;
    super::block_on(app::run(config)).map(|()| Exit::Ok).map_err(|error| {
        let exit = match error {
            AppError::Store(StoreError::Busy { .. }) => Exit::Busy,
            _ => Exit::Config,
        };
        Failure { exit, error: error.into() }
    })
}
