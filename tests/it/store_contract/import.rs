//! A file that goes to a server: each row of each table, all of them or none.

use std::collections::BTreeSet;
use std::fs;

use sqlx::Row as _;
use triaged::store::{Store, StoreError};
use triaged_core::lease::Shards;

use crate::harness::{Database, Postgres};

/// What only daemons that share the work write, and what counts migrations.
const LEFT_OUT: [&str; 3] = ["instance", "shard", "_sqlx_migrations"];

/// A row or more in each table, with what is hard: nothing in columns that may be empty, all of Unicode, an
/// alert whose digest has a higher number, and more rows than are written together.
const ROWS: [&str; 17] = [
    "UPDATE identity_key SET key = x'00ff00000000000000000000000000000000000000000000000000000000ff01'",
    "INSERT INTO account VALUES (3, 'anna', 1700000000000), (9, 'büro/ärger', -5)",
    "INSERT INTO mailbox VALUES (2, 3, 'INBOX', 4294967295, 700, NULL, NULL, NULL), \
     (5, 9, 'Entwürfe 📬', 1, 2, 1700000000001, 'F2', 9223372036854775807)",
    "INSERT INTO message (id, account, mailbox, uid_validity, uid, identity, subject, decided_at, action, \
     outcome, model, defects, email, moved_to, moved_validity, moved_uid, message_id) \
     VALUES (4000, 9, 5, 1, 1, x'00010203', 'é''\"', 1, 'label', 'moved', 'm', 'a b', x'', 'INBOX', 1, 2, x'ff')",
    "INSERT INTO message (account, mailbox, uid_validity, uid, decided_at, action, outcome) \
     WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 600) \
     SELECT 3, 2, 4294967295, x, x, 'skip', 'known' FROM n",
    "INSERT INTO prediction SELECT id, 0, 'urgency', 'high', 0.1 + id / 3.0, 0, NULL FROM message",
    "INSERT INTO prediction VALUES (4000, 1, 'mood', 'low', 1e-300, 1, 'language')",
    "INSERT INTO effect (id, message, kind, argument, state, idempotency_key, settled_at, may_create, \
     begun_at, target_validity, target_next, copied, rule, epoch) \
     VALUES (8, 4000, 'move', 'INBOX', 'pending', 'move:5:1:1', NULL, 1, 7, 1, 2, 1, 'r', 4)",
    "INSERT INTO effect (message, kind, argument, state, idempotency_key) \
     VALUES (4000, 'alert', 'r', 'done', 'alert:5:1:1:r')",
    "INSERT INTO backfill (account, mailbox, since, per_minute, asked_at, state, reason) \
     VALUES (3, 'INBOX', 1, 60, 2, 'failed', 'gone')",
    "INSERT INTO attempt VALUES (2, 4294967295, 601, 4, 1)",
    "INSERT INTO traffic VALUES (9, 20000, 123456789012)",
    "INSERT INTO undo VALUES (2, 5, 'r', NULL)",
    "INSERT INTO undo_item VALUES (2, 4000, 9, 'INBOX', NULL, NULL, 'refused', 'why', 1)",
    "INSERT INTO removal VALUES (1, 9, 5, 'open', 1, 'triaged-a triaged-b')",
    "INSERT INTO removal_mailbox VALUES (1, 'INBOX', 12, 'done', NULL, 0)",
    "INSERT INTO outbox VALUES \
     (7, 'alert', 9, 'r', 'a@b', 20, '<1@x>', 'k1', 'digested', NULL, 11, 1, 2, 3, NULL, NULL, 4), \
     (11, 'digest', NULL, 'r', 'a@b', 20, '<2@x>', 'k2', 'waiting', '{}', NULL, 1, 2, 0, 'me', 'no', NULL)",
];

async fn filled() -> Database {
    let file = Database::sqlite();
    let store = file.open().await;
    store.close().await;
    drop(store);
    for sql in ROWS {
        file.change(sql).await;
    }
    file.change("INSERT INTO alert_budget VALUES ('r', 'a@b', 99)").await;
    file
}

/// Tables of a file, each with its columns and their types.
async fn tables(file: &Database) -> Vec<(String, Vec<(String, String)>)> {
    let mut client = file.connect().await;
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let names: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut client).await.unwrap();
    let mut tables = Vec::new();
    for name in names.into_iter().filter(|name| !LEFT_OUT.contains(&&**name)) {
        let query = "SELECT name, type FROM pragma_table_info($1)";
        let rows = sqlx::query(query).bind(&name).fetch_all(&mut client).await.unwrap();
        tables.push((name, rows.iter().map(|row| (row.get(0), row.get(1))).collect()));
    }
    tables
}

/// All rows of a table as text, whatever their order.
async fn rows(database: &Database, table: &str, columns: &[(String, String)]) -> BTreeSet<String> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let query = format!("SELECT {} FROM {table}", names.join(", "));
    let mut client = database.connect().await;
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut client).await.unwrap();
    let value = |row: &sqlx::any::AnyRow, at: usize| match columns[at].1.as_str() {
        "INTEGER" => format!("{:?}", row.get::<Option<i64>, _>(at)),
        "REAL" => format!("{:?}", row.get::<Option<f64>, _>(at)),
        "BLOB" => format!("{:?}", row.get::<Option<Vec<u8>>, _>(at)),
        _ => format!("{:?}", row.get::<Option<String>, _>(at)),
    };
    let line = |row: &sqlx::any::AnyRow| -> String {
        (0..columns.len()).map(|at| value(row, at) + " ").collect()
    };
    rows.iter().map(line).collect()
}

async fn assert_same(file: &Database, server: &Database) {
    for (table, columns) in tables(file).await {
        let there = rows(file, &table, &columns).await;
        assert!(!there.is_empty(), "{table} has a row to be compared");
        assert_eq!(rows(server, &table, &columns).await, there, "{table}");
    }
}

#[tokio::test]
async fn a_file_goes_to_a_server_with_each_row_of_each_table() {
    let Some(server) = Database::postgresql() else { return };
    let file = filled().await;
    let imported = Store::import(file.state(), &server.location()).await.unwrap();
    let given = imported.file.unwrap();
    fs::rename(given, file.state().join("triaged.sqlite")).unwrap();
    let counts: BTreeSet<(&str, u64)> = imported.rows.into_iter().collect();
    for (table, _) in tables(&file).await {
        assert!(counts.iter().any(|(name, count)| *name == table && *count > 0), "{table}");
    }
    assert!(counts.contains(&("message", 601)), "{counts:?}");
    assert_same(&file, &server).await;
    let store = server.open().await;
    let known = file.open().await;
    assert_eq!(store.identity(b"<a@b>", 7), known.identity(b"<a@b>", 7), "it knows the same mail");
    let new = store.account("new", super::at(1)).await.unwrap();
    assert_eq!(new.id.0, 10, "numbers go on");
}

#[tokio::test]
async fn what_does_not_go_whole_does_not_go_at_all() {
    let Some(server) = Database::postgresql() else { return };
    let file = filled().await;
    let store = server.open().await;
    store.close().await;
    let untouched = store.identity(b"<a@b>", 7);
    drop(store);
    server.change("ALTER TABLE alert_budget ADD CHECK (counted_at < 99)").await;
    let refused = Store::import(file.state(), &server.location()).await.expect_err("the last row");
    assert!(refused.to_string().contains("alert_budget"), "{refused}");
    let store = server.open().await;
    assert_eq!(store.identity(b"<a@b>", 7), untouched);
    store.close().await;
    drop(store);
    server.change("ALTER TABLE alert_budget DROP CONSTRAINT alert_budget_counted_at_check").await;
    let imported = Store::import(file.state(), &server.location()).await.unwrap();
    fs::rename(imported.file.unwrap(), file.state().join("triaged.sqlite")).unwrap();
    assert_same(&file, &server).await;
    let again = Store::import(file.state(), &server.location()).await.expect_err("it has accounts");
    assert!(matches!(again, StoreError::InUse { .. }), "{again}");
    assert!(again.to_string().contains("has 2 accounts already"), "{again}");
    let backwards = Store::import(file.state(), &file.location()).await.expect_err("no server");
    assert!(matches!(backwards, StoreError::Unfit { .. }), "{backwards}");
}

/// It has read the key by which it knows mail, and no account is written down yet.
#[tokio::test]
async fn a_daemon_that_begins_meanwhile_is_found_out() {
    let Some(server) = Database::postgresql() else { return };
    let file = filled().await;
    let store = server.open().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let into = server.location_for(elsewhere.path());
    let mut leases = store.leases(server.state()).unwrap();
    let life = leases.register("one", &Shards::default(), super::at(1)).await.unwrap();
    let refused = Store::import(file.state(), &into).await.expect_err("a daemon is there");
    assert!(refused.to_string().contains("has 1 daemons at work"), "{refused}");
    leases.leave(life).await.unwrap();
    // What was taken over before keeps its name, and this one its own.
    fs::write(file.state().join("triaged.sqlite.imported"), "earlier").unwrap();
    let imported = Store::import(file.state(), &into).await.unwrap();
    assert!(imported.file.unwrap_err().to_string().contains("is there already"));
    assert!(file.state().join("triaged.sqlite").exists());
    let account = store.account("anna", super::at(1)).await.expect_err("its key is another one");
    assert!(matches!(account, StoreError::Exchanged), "{account}");
    drop(store);
    assert_eq!(server.open().await.account("anna", super::at(1)).await.unwrap().id.0, 3);
}

#[tokio::test]
async fn a_file_that_a_daemon_has_is_left_to_it() {
    let Some(server) = Postgres::start() else { return };
    let file = filled().await;
    let _daemon = file.open().await;
    let into = triaged::store::Location::server(file.state(), &server.url().into()).unwrap();
    let busy = Store::import(file.state(), &into).await.expect_err("it is at work");
    assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
    assert_eq!(server.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), ["0"]);
}
