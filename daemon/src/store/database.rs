//! The kind of database below the store: the one place that says which one it is.

/// Connections to it.
pub(super) type DbPool = sqlx::SqlitePool;
/// What is written together, or not at all.
pub(super) type DbTransaction<'a> = sqlx::Transaction<'a, sqlx::Sqlite>;
/// One row of an answer.
pub(super) type DbRow = sqlx::sqlite::SqliteRow;
