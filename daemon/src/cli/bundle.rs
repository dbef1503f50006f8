//! Which bundle and library the sub-commands use that need a model but no daemon.

use std::path::{Path, PathBuf};

use triaged::model::{ModelOptions, default_bundle};

use super::{DEFAULT_CONFIG, Exit, Failure, OrExit};

/// The bundle that the command line names, else that of the configuration, else one of the usual
/// places; with the configuration's way to run it. A machine without any configuration can use
/// these sub-commands too, so only a file that somebody named must exist.
pub(super) fn choose(
    config: &Path,
    named: Option<&Path>,
) -> Result<(PathBuf, ModelOptions), Failure> {
    let absent = config == Path::new(DEFAULT_CONFIG) && !config.exists();
    let config = if absent { None } else { Some(super::load(config)?.model) };
    let options = config.as_ref().map(ModelOptions::from).unwrap_or_default();
    let bundle = match named.map(Path::to_owned).or(config.and_then(|config| config.bundle)) {
        Some(bundle) => bundle,
        None => default_bundle().or_exit(Exit::Config)?,
    };
    Ok((bundle, options))
}
