//! (to be written)

use std::path::Path;

use super::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_config: &Path, _args: &Args) -> Result<Exit, Failure> {
    Ok(Exit::Ok)
}
