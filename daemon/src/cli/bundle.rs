//! Which bundle and library the sub-commands use that need a model but no daemon.

use std::path::Path;

use triaged::model::{ModelBundle, ModelOptions, Versions};
use triaged_core::config::Config;

use super::{DEFAULT_CONFIG, Exit, Failure, OrExit};

/// The bundle that the command line names, else the version that serves by the configuration, else
/// one of the usual places; with the configuration's way to run it.
pub(super) fn find(
    config: &Path,
    named: Option<&Path>,
) -> Result<(ModelBundle, ModelOptions), Failure> {
    let config = configured(config)?;
    let options = config.as_ref().map(|config| ModelOptions::from(&config.model));
    let bundle = match (named, &config) {
        (None, Some(config)) => serving(config)?,
        (named, _) => ModelBundle::find(named).or_exit(Exit::Config)?,
    };
    Ok((bundle, options.unwrap_or_default()))
}

/// The version that serves.
fn serving(config: &Config) -> Result<ModelBundle, Failure> {
    let versions = Versions::open(config).or_exit(Exit::Config)?;
    let folder = versions.active().or_exit(Exit::Config)?;
    versions.bundle(&folder).or_exit(Exit::Config)
}

/// The configuration; `None` where nobody named one and there is none: a machine without any can
/// use these sub-commands, too.
pub(super) fn configured(path: &Path) -> Result<Option<Config>, Failure> {
    let absent = path == Path::new(DEFAULT_CONFIG) && !path.exists();
    if absent { Ok(None) } else { super::load(path).map(Some) }
}
