//! From a file to a server: every row of a daemon's SQLite database goes into an empty database of
//! PostgreSQL, in one transaction, so that there is all of it or nothing.
//!
//! Columns and their types are what the file says; the order of the tables alone stands here.

use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use sqlx::{AnyConnection, Row as _};

use super::database::{self, DbPool, DbQuery, DbRow, DbTransaction};
use super::{Kind, Location, Store, StoreError, open};

/// A table, and in which order its rows are written: each behind what it refers to.
type Table = (&'static str, &'static str);

/// All of them but those in which daemons that share the work tell of each other.
const TABLES: [Table; 15] = [
    ("identity_key", "only_row"),
    ("account", "id"),
    ("mailbox", "id"),
    ("message", "id"),
    ("prediction", "message, position"),
    ("effect", "id"),
    ("backfill", "id"),
    ("attempt", "mailbox, uid_validity, uid"),
    ("traffic", "account"),
    ("undo", "id"),
    ("undo_item", "request, message"),
    ("removal", "id"),
    ("removal_mailbox", "removal, mailbox"),
    // A digest comes behind the alerts that it counts.
    ("outbox", "digest IS NOT NULL, id"),
    ("alert_budget", "rule, recipient"),
];

/// Rows that are written together. A server takes 65,535 arguments with a statement.
const ROWS: usize = 256;

/// What was taken over.
#[derive(Debug)]
pub struct Imported {
    /// How many rows each table has.
    pub rows: Vec<(&'static str, u64)>,
    /// The file under its new name, by which no daemon takes it any more; or why it has none.
    pub file: Result<PathBuf, std::io::Error>,
}

impl Store {
    /// Takes the database of the state folder `from` over into `into`, which has no account yet. The file
    /// gets another name: what it knows is out of date as soon as a daemon works on the server.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while a daemon works in one of the folders, [`StoreError::Missing`] where there
    /// is no file, [`StoreError::InUse`] where `into` has accounts or a daemon, [`StoreError::Unfit`] where it
    /// is no server.
    pub async fn import(from: &Path, into: &Location) -> Result<Imported, StoreError> {
        if into.kind() != Kind::Postgresql {
            let found = "it is a file, and a daemon has one already".to_owned();
            return Err(StoreError::Unfit { database: into.to_string(), found });
        }
        let file = Location::folder(from).file();
        let folder = |source| StoreError::Folder { path: from.to_owned(), source };
        if !file.try_exists().map_err(folder)? {
            return Err(StoreError::Missing { path: file });
        }
        let _from = open::lock(from).await?;
        let same = from.canonicalize().ok() == into.state().canonicalize().ok();
        let _into = if same { None } else { Some(open::lock(into.state()).await?) };
        look(into).await?;
        let (source, target) = (open::open(&from.into()).await?, open::open(into).await?);
        let imported = take_over(&source, &target, into).await;
        source.close().await;
        target.close().await;
        let rows = imported?;
        Ok(Imported { rows, file: put_aside(&file) })
    }
}

/// Gives a file the name of one that was taken over; an earlier one of that name stays.
fn put_aside(file: &Path) -> Result<PathBuf, std::io::Error> {
    let aside = file.with_extension("sqlite.imported");
    if aside.try_exists()? {
        return Err(std::io::Error::other(format!("{} is there already", aside.display())));
    }
    std::fs::rename(file, &aside)?;
    Ok(aside)
}

/// Refuses a database that has accounts, before anything in it is brought up to date.
async fn look(into: &Location) -> Result<(), StoreError> {
    let pool = match open::open_beside(into).await {
        Err(StoreError::Empty { .. }) => return Ok(()),
        pool => pool?,
    };
    let mut connection = pool.acquire().await?;
    let looked = has_no_accounts(&mut connection, into).await;
    drop(connection);
    pool.close().await;
    looked
}

async fn has_no_accounts(
    connection: &mut AnyConnection,
    into: &Location,
) -> Result<(), StoreError> {
    let accounts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM account").fetch_one(connection).await?;
    in_use(into, accounts, "accounts already")
}

fn in_use(into: &Location, count: i64, what: &str) -> Result<(), StoreError> {
    if count == 0 {
        return Ok(());
    }
    Err(StoreError::InUse { database: into.to_string(), found: format!("has {count} {what}") })
}

async fn take_over(
    source: &DbPool,
    target: &DbPool,
    into: &Location,
) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut transaction = target.begin().await?;
    // A daemon that starts now makes its accounts behind us, and notices that its key is another one.
    sqlx::query("LOCK TABLE account IN EXCLUSIVE MODE").execute(&mut *transaction).await?;
    has_no_accounts(&mut transaction, into).await?;
    let daemons: i64 =
        sqlx::query_scalar("SELECT count(*) FROM instance").fetch_one(&mut *transaction).await?;
    in_use(into, daemons, "daemons at work")?;
    sqlx::query("DELETE FROM identity_key").execute(&mut *transaction).await?;
    let mut rows = Vec::new();
    for table in TABLES {
        rows.push((table.0, copy(source, &mut transaction, table).await?));
    }
    transaction.commit().await?;
    Ok(rows)
}

/// Copies a table; how many rows it has.
async fn copy(
    source: &DbPool,
    target: &mut DbTransaction<'_>,
    (table, order): Table,
) -> Result<u64, StoreError> {
    let columns = columns(source, table).await?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let names = names.join(", ");
    let query = format!("SELECT {names} FROM {table} ORDER BY {order}");
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch(source);
    let (mut waiting, mut copied) = (Vec::with_capacity(ROWS), 0);
    while let Some(row) = rows.try_next().await? {
        copied += 1;
        waiting.push(row);
        if waiting.len() == ROWS {
            write(target, table, &names, &columns, &waiting).await?;
            waiting.clear();
        }
    }
    write(target, table, &names, &columns, &waiting).await?;
    if columns.iter().any(|column| column.name == "id") {
        // The numbers that the server gives out go on behind these.
        let query = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table} \
             HAVING count(*) > 0"
        );
        sqlx::query(sqlx::AssertSqlSafe(query)).fetch_optional(&mut **target).await?;
    }
    Ok(copied)
}

/// A column of the file; its tables are strict, so this is the type of every value.
struct Column {
    name: String,
    kind: String,
}

async fn columns(source: &DbPool, table: &str) -> Result<Vec<Column>, StoreError> {
    let query = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
    let rows = sqlx::query(query).bind(table).fetch_all(source).await?;
    let column = |row: &DbRow| Ok(Column { name: row.try_get(0)?, kind: row.try_get(1)? });
    rows.iter().map(column).collect()
}

async fn write(
    target: &mut DbTransaction<'_>,
    table: &str,
    names: &str,
    columns: &[Column],
    rows: &[DbRow],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let arguments = database::rows_of_arguments(rows.len(), columns.len());
    let query = format!("INSERT INTO {table} ({names}) VALUES {arguments}");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(query)).persistent(rows.len() == ROWS);
    for row in rows {
        for (at, column) in columns.iter().enumerate() {
            query = bind(query, row, at, column)?;
        }
    }
    query.execute(&mut **target).await?;
    Ok(())
}

fn bind<'a>(
    query: DbQuery<'a>,
    row: &DbRow,
    at: usize,
    column: &Column,
) -> Result<DbQuery<'a>, StoreError> {
    Ok(match column.kind.as_str() {
        "INTEGER" => query.bind(row.try_get::<Option<i64>, _>(at)?),
        "REAL" => query.bind(row.try_get::<Option<f64>, _>(at)?),
        "BLOB" => query.bind(row.try_get::<Option<Vec<u8>>, _>(at)?),
        "TEXT" => {
            let text: Option<String> = row.try_get(at)?;
            query.bind(text.as_deref().map(database::text))
        }
        other => return Err(StoreError::Row(format!("a column {} of {other}", column.name))),
    })
}
