//! A look at the database for `triaged check`: nothing is made, migrated or changed, and a daemon
//! may be at work on it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::history::{Facts, History};
use super::{Store, StoreError, open};

/// A database that is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// The number of its newest migration.
    pub schema: i64,
    /// Migrations that this version has and the file has not: `run` applies them at its start.
    pub to_migrate: usize,
    /// What it holds.
    pub facts: Facts,
}

impl Store {
    /// Verifies every page and index of the database in the folder `state`, and that this version
    /// knows its schema. [`StoreError::Missing`] before the first start.
    pub async fn check(state: &Path) -> Result<Checked, StoreError> {
        let path = open::database_file(state);
        let history = History::open(state, Timestamp::MIN).await?;
        history.verify(state).await?;
        let applied = open::applied(&path, history.pool()).await?;
        let to_migrate = open::migrations().filter(|version| !applied.contains(version)).count();
        let schema = applied.last().copied().unwrap_or(0);
        Ok(Checked { schema, to_migrate, facts: history.facts().await?, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_is_looked_at_and_nothing_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        assert!(matches!(Store::check(&state).await, Err(StoreError::Missing { .. })));
        assert!(!state.exists(), "looking makes nothing");
        let store = Store::open(&state).await.expect("a new one");
        let checked = Store::check(&state).await.expect("sound, beside a daemon");
        assert_eq!((checked.to_migrate, checked.facts.messages), (0, 0));
        assert!(checked.schema > 0);
        sqlx::query("UPDATE _sqlx_migrations SET version = 999999 WHERE version = ?")
            .bind(checked.schema)
            .execute(&store.pool)
            .await
            .expect("changed");
        assert!(matches!(Store::check(&state).await, Err(StoreError::Newer { .. })));
    }
}
