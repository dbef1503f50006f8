//! The kind of database below the store: the one place that says which ones there are.
//!
//! Both are spoken to through sqlx's `Any` driver, in SQL that both understand: `$1`, numbers as `i64`,
//! truth as 1 or 0, moments as arguments. What only one of them has stands in `sqlite` and
//! `postgresql`, and is about opening, never about mail.

/// Connections to it.
pub(super) type DbPool = sqlx::AnyPool;
/// What is written together, or not at all.
pub(super) type DbTransaction<'a> = sqlx::Transaction<'a, sqlx::Any>;
/// A statement with its arguments.
pub(super) type DbQuery<'a> = sqlx::query::Query<'a, sqlx::Any, sqlx::any::AnyArguments>;
/// One row of an answer.
pub(super) type DbRow = sqlx::any::AnyRow;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of one daemon.
    Sqlite,
    /// A server that several daemons share.
    Postgresql,
}

/// Lets `Any` find its drivers; as often as one likes.
pub(super) fn install_drivers() {
    sqlx::any::install_default_drivers();
}

/// Rows in one statement: few enough for SQLite, which looks each argument up among those before it, and
/// enough that a server is not asked for each message alone.
pub(super) const ROWS: usize = 16;

/// Whether a statement about so many rows comes again and again, and is worth being kept prepared.
pub(super) fn is_usual<T>(rows: &[T]) -> bool {
    matches!(rows.len(), 1 | ROWS)
}

/// `($1, $2), ($3, $4)`: the arguments of an INSERT of so many rows.
pub(super) fn rows_of_arguments(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let arguments: Vec<String> =
            (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", arguments.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// `1, 2, 3`: for `IN (…)`, which has no form with one argument that both databases know. Only
/// numbers ever come into the text of a query.
pub(super) fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    numbers.join(", ")
}

/// Text that came from outside, without the one character that PostgreSQL can not store.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_numbered_through_all_rows() {
        assert_eq!(rows_of_arguments(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(rows_of_arguments(3, 1), "($1), ($2), ($3)");
        assert_eq!(list([3, -1]), "3, -1");
    }
}
