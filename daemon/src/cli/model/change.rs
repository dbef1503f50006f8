//! `triaged model activate` and `rollback`: another version serves from now on.

use std::path::Path;

use serde_json::json;
use triaged::model::{Change, VersionError, Versions};
use triaged::store::Store;
use triaged_core::config::Config;

use crate::cli::{Exit, Failure};

/// Lets a version serve; what is printed about it.
pub(super) fn activate(config: &Path, version: &str, json: bool) -> Result<String, Failure> {
    change(config, json, |versions| versions.activate(version))
}

/// Lets the version before serve again; what is printed about it.
pub(super) fn rollback(config: &Path, json: bool) -> Result<String, Failure> {
    change(config, json, Versions::rollback)
}

/// How the command ends where a version can not be found or used.
pub(in crate::cli) fn failure(error: VersionError) -> Failure {
    let exit = match error {
        VersionError::Unknown { .. } | VersionError::NothingBefore { .. } => Exit::Usage,
        _ => Exit::Config,
    };
    Failure { exit, error: error.into() }
}

fn change(
    config: &Path,
    json: bool,
    change: impl FnOnce(&Versions) -> Result<Change, VersionError>,
) -> Result<String, Failure> {
    let config = crate::cli::load(config)?;
    let versions = Versions::open(&config).map_err(failure)?;
    let change = change(&versions).map_err(failure)?;
    let running = Store::is_in_use(&config.state);
    Ok(if json { as_json(&change, running) } else { as_lines(&change, running, &config) })
}

fn as_json(change: &Change, running: bool) -> String {
    let Change { before, now } = change;
    let object = json!({ "active": now, "before": before, "daemon_running": running });
    format!("{object:#}\n")
}

fn as_lines(change: &Change, running: bool, config: &Config) -> String {
    let Change { before, now } = change;
    let first = if before == now {
        format!("{now} serves, as before.")
    } else {
        format!("{now} serves from now on, instead of {before}.")
    };
    let daemon = if running {
        format!(
            "The running daemon takes it within seconds; http://{}/readyz names the model that \
             serves.",
            config.http.listen
        )
    } else {
        let state = config.state.display();
        format!("No daemon works in {state}; the next `triaged run` starts with it.")
    };
    format!("{first}\n{daemon}\n")
}
