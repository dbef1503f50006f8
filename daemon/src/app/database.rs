//! Where the configuration says that the database is, with what its server is logged in with.

use triaged_core::config::{Config, DatabaseConfig};

use crate::secret::{self, SecretError};
use crate::store::{Location, StoreError};

/// Why it is not known where the database is.
#[derive(Debug, thiserror::Error)]
pub enum NoDatabase {
    /// The URL of its server can not be read.
    #[error("the URL of the database: {0}")]
    Secret(#[from] SecretError),
    /// What stands there is no URL of use.
    #[error(transparent)]
    Url(#[from] StoreError),
}

/// The database of the configuration; nothing is opened but the file with the URL.
pub fn database(config: &Config) -> Result<Location, NoDatabase> {
    match &config.database {
        DatabaseConfig::Sqlite => Ok(Location::folder(&config.state)),
        DatabaseConfig::Postgresql(server) => {
            let url = secret::look_up(&server.url)?.secret;
            Ok(Location::server(&config.state, &url)?)
        }
    }
}
