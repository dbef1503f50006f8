//! Which bundle and library the sub-commands use that need a model but no daemon.

use std::path::Path;

use triaged::model::{ModelBundle, ModelOptions};

use super::{DEFAULT_CONFIG, Exit, Failure, OrExit};

/// The bundle that the command line names, else that of the configuration, else one of the usual
/// places; with the configuration's way to run it. A machine without any configuration can use
/// these sub-commands too, so only a file that somebody named must exist.
pub(super) fn find(
    config: &Path,
    named: Option<&Path>,
) -> Result<(ModelBundle, ModelOptions), Failure> {
    let absent = config == Path::new(DEFAULT_CONFIG) && !config.exists();
    let config = if absent { None } else { Some(super::load(config)?.model) };
    let options = config.as_ref().map(ModelOptions::from).unwrap_or_default();
    let named = named.or(config.as_ref().and_then(|config| config.bundle.as_deref()));
    Ok((ModelBundle::find(named).or_exit(Exit::Config)?, options))
}
