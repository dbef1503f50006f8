//! A look at the database for `triaged check`: nothing is made, migrated or changed, and a daemon
//! may be at work on it.

use jiff::Timestamp;

use super::history::{Facts, History};
use super::{Location, Store, StoreError, open};

/// A database that is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The file, or the server.
    pub database: String,
    /// The number of its newest migration.
    pub schema: i64,
    /// Migrations that this version has and the database has not: `run` applies them at its start.
    pub to_migrate: usize,
    /// What it holds.
    pub facts: Facts,
}

impl Store {
    /// Verifies every page and index of a database in a folder, or that a server lets us in, and that
    /// this version knows its schema. [`StoreError::Missing`] or [`StoreError::Empty`] before the
    /// first start.
    pub async fn check(at: impl Into<Location>) -> Result<Checked, StoreError> {
        let at = at.into();
        open::check(&at).await?;
        let history = History::open(at.clone(), Timestamp::MIN).await?;
        let applied = open::applied(&at, history.pool()).await?;
        let to_migrate = open::migrations(&at).filter(|version| !applied.contains(version)).count();
        let schema = applied.last().copied().unwrap_or(0);
        let facts = history.facts().await?;
        Ok(Checked { schema, to_migrate, facts, database: at.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_is_looked_at_and_nothing_is_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        assert!(matches!(Store::check(state.as_path()).await, Err(StoreError::Missing { .. })));
        assert!(!state.exists(), "looking makes nothing");
        let store = Store::open(state.as_path()).await.expect("a new one");
        let checked = Store::check(state.as_path()).await.expect("sound, beside a daemon");
        assert_eq!((checked.to_migrate, checked.facts.messages), (0, 0));
        assert!(checked.schema > 0);
        sqlx::query("UPDATE _sqlx_migrations SET version = 999999 WHERE version = $1")
            .bind(checked.schema)
            .execute(&store.pool)
            .await
            .expect("changed");
        assert!(matches!(Store::check(state.as_path()).await, Err(StoreError::Newer { .. })));
    }
}
