//! Databases that an older triaged made, and several daemons that make one at the same time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::migrate::Migrator;
use triaged::store::{
    Action, BackfillState, Backfills, EffectState, History, Kind, Location, Store, StoreError,
};
use triaged_core::mailbox::UidSet;
use triaged_core::outcome::Outcome;
use triaged_core::score::Abstention;

use super::{at, cursor, planned, uid_of};
use crate::harness::{Database, Postgres, on_each_database};

on_each_database! {
    a_database_of_each_older_version_is_brought_up_to_date_and_keeps_its_data,
    a_migration_that_was_changed_afterwards_is_refused,
}

fn migrations(kind: Kind) -> PathBuf {
    let folder = if kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(folder)
}

/// What there was to store from the first version on: one message, of which a keyword is not confirmed.
const DATA: [&str; 5] = [
    "INSERT INTO account (name, first_start) VALUES ('alice', 1700000000000)",
    "INSERT INTO mailbox (account, name, uid_validity, next_uid) VALUES (1, 'INBOX', 1, 5)",
    "INSERT INTO message (account, mailbox, uid_validity, uid, decided_at, action, outcome, model, \
     defects) VALUES (1, 1, 1, 7, 1700000001000, 'label', 'pending', 'default-1', 'truncated')",
    "INSERT INTO prediction (message, position, head, label, confidence, abstained) \
     VALUES (1, 0, 'urgency', 'high', 0.875, 1)",
    "INSERT INTO effect (message, kind, KEYWORD, state, idempotency_key) \
     VALUES (1, 'add-keyword', 't-urgent', 'pending', 'add-keyword:1:1:7:t-urgent')",
];
const OLDER_MAIL: &str = "INSERT INTO backfill (account, mailbox, since, per_minute, asked_at, state) \
                          VALUES (1, 'INBOX', 1700000000000, 60, 1700000000000, 'open')";

/// Makes a database as a triaged did that knew the migrations up to this one.
async fn of_version(database: &Database, migrator: &Migrator, version: i64) {
    let mut client = database.connect().await;
    migrator.run_to(version, &mut client).await.unwrap();
    let key = sqlx::query("INSERT INTO identity_key (only_row, key) VALUES (1, $1)");
    key.bind(vec![7u8; 32]).execute(&mut client).await.unwrap();
    // The column got another name with the fifth one.
    let keyword = if version < 5 { "keyword" } else { "argument" };
    let more = (version >= 3).then(|| OLDER_MAIL.to_owned());
    for sql in DATA.map(|sql| sql.replace("KEYWORD", keyword)).into_iter().chain(more) {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut client).await.unwrap();
    }
}

async fn a_database_of_each_older_version_is_brought_up_to_date_and_keeps_its_data(
    database: Database,
) {
    let migrator = Migrator::new(migrations(database.kind())).await.unwrap();
    let newest = migrator.iter().map(|one| one.version).max().unwrap();
    assert!(newest >= 6);
    for version in 1..newest {
        database.begin_anew().await;
        of_version(&database, &migrator, version).await;
        let checked = Store::check(database.location()).await.unwrap();
        assert_eq!((checked.schema, checked.facts.pending), (version, 1));
        assert_eq!(checked.to_migrate, usize::try_from(newest - version).unwrap());
        let store = database.open().await;
        keeps_its_data(&database, &store, version).await;
        goes_on(&store).await;
        store.close().await;
        assert_eq!(Store::check(database.location()).await.unwrap().schema, newest);
    }
}

async fn keeps_its_data(database: &Database, store: &Store, version: i64) {
    let account = store.account("alice", at(99)).await.unwrap();
    assert_eq!(account.first_start, at(0));
    let mailbox = store.mailbox(account.id, "INBOX").await.unwrap().unwrap();
    assert_eq!(mailbox.cursor, cursor(1, 5));
    let pending = store.pending(&mailbox).await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].uid, uid_of(7));
    let mut history = History::open(database.location(), Timestamp::MIN).await.unwrap();
    let row = history.page().await.unwrap().remove(0);
    assert_eq!((row.time, row.outcome, row.action), (at(1), Outcome::Pending, Action::Label));
    assert_eq!(row.heads[0].abstained, Some(Abstention::Unsure), "there was no other reason");
    assert_eq!(row.keywords, [("t-urgent".to_owned(), EffectState::Pending)]);
    if version >= 3 {
        let requests = Backfills::open(database.location()).await.unwrap();
        let request = requests.find(1).await.unwrap().unwrap();
        assert_eq!((request.state, request.per_minute), (BackfillState::Open, 60));
    }
}

async fn goes_on(store: &Store) {
    let account = store.account("alice", at(99)).await.unwrap().id;
    let mut mailbox = store.mailbox(account, "INBOX").await.unwrap().unwrap();
    let both: UidSet = [7, 8].map(uid_of).into_iter().collect();
    store.begin_reading(&mailbox, &both).await.unwrap();
    let chunk = [7, 8].map(|n| planned(n, Action::Label, &["t-urgent"]));
    let new = store.plan(&mailbox, &chunk, at(2)).await.unwrap();
    assert_eq!(new.len(), 1, "7 was decided before");
    let all = store.pending(&mailbox).await.unwrap();
    let done: Vec<_> = all.into_iter().map(|effect| (effect, EffectState::Done)).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(9), &done, at(3)).await.unwrap();
    let labelled = [7, 8].map(|n| (uid_of(n), Outcome::Labelled));
    assert_eq!(outcomes, labelled);
    store.set_traffic(account, 19_000, 7).await.unwrap();
}

async fn a_migration_that_was_changed_afterwards_is_refused(database: Database) {
    let store = database.open().await;
    let mailbox = super::inbox(&store).await;
    store.close().await;
    drop(store);
    database.change("UPDATE _sqlx_migrations SET checksum = identity_key.key FROM identity_key WHERE version = 2").await;
    let refused = Store::open(database.location()).await.expect_err("it is not ours");
    let words = refused.to_string();
    assert!(words.contains("migration 2 was applied in another form"), "{words}");
    assert!(matches!(refused, StoreError::Damaged { .. } | StoreError::Unfit { .. }), "{words}");
    let history = History::open(database.location(), Timestamp::MIN).await.unwrap();
    assert_eq!(history.mailboxes("alice").await.unwrap(), ["INBOX"], "{mailbox:?} is still there");
}

#[test]
fn both_kinds_have_the_same_migrations() {
    let of = |kind| -> BTreeSet<String> {
        let files = fs::read_dir(migrations(kind)).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(of(Kind::Sqlite), of(Kind::Postgresql));
}

/// Tables, each with its columns.
async fn columns(database: &Database) -> BTreeSet<(String, String)> {
    drop(database.open().await);
    let query = match database.kind() {
        Kind::Sqlite => {
            "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        }
        Kind::Postgresql => {
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) \
             FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    let rows = sqlx::query(query).fetch_all(&mut database.connect().await).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn both_kinds_have_the_same_tables_and_columns() {
    let Some(server) = Database::postgresql() else { return };
    let (file, server) = (columns(&Database::sqlite()).await, columns(&server).await);
    assert!(file.contains(&("effect".to_owned(), "argument".to_owned())), "{file:?}");
    assert_eq!(file, server);
}

/// Without one, each message that is forgotten makes the database read a whole table.
#[tokio::test]
async fn what_goes_with_a_message_is_found_by_an_index() {
    let database = Database::sqlite();
    drop(database.open().await);
    let query = "SELECT m.name, f.\"from\", (SELECT count(*) FROM pragma_index_list(m.name) i \
                 JOIN pragma_index_info(i.name) c WHERE c.seqno = 0 AND c.name = f.\"from\") \
                 FROM sqlite_schema m, pragma_foreign_key_list(m.name) f \
                 WHERE m.type = 'table' AND f.on_delete <> 'NO ACTION'";
    let rows = sqlx::query(query).fetch_all(&mut database.connect().await).await.unwrap();
    let keys: Vec<(String, String, i64)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert!(keys.len() >= 3, "{keys:?}");
    assert!(keys.iter().all(|(_, _, indices)| *indices > 0), "{keys:?}");
}

#[tokio::test]
async fn daemons_that_start_together_on_a_new_server_fill_it_once() {
    let Some(server) = Postgres::start() else { return };
    let folders: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let open = |folder: &tempfile::TempDir| {
        let location = Location::server(folder.path(), &server.url().into()).unwrap();
        async { Store::open(location).await }
    };
    let stores = futures::future::join_all(folders.iter().map(open)).await;
    let identities: BTreeSet<_> =
        stores.iter().map(|store| store.as_ref().unwrap().identity(b"<a@b>", 1)).collect();
    assert_eq!(identities.len(), 1, "they know the same messages");
    let applied = server.query("SELECT count(*), count(DISTINCT version) FROM _sqlx_migrations");
    let count = fs::read_dir(migrations(Kind::Postgresql)).unwrap().count();
    assert_eq!(applied, [format!("{count}|{count}")]);
}

/// A bit may lie where nothing is, or in a value: SQLite has checksums of its log, and none of its
/// pages. Whatever makes the file another one is noticed, and nothing is ever begun anew.
#[tokio::test]
async fn a_file_with_a_flipped_bit_is_whole_or_refused_and_never_replaced() {
    let database = Database::sqlite();
    let store = database.open().await;
    let mailbox = super::inbox(&store).await;
    let chunk: Vec<_> = (10..400).map(|n| planned(n, Action::Label, &["t-urgent"])).collect();
    store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    store.close().await;
    drop(store);
    let file = database.state().join("triaged.sqlite");
    let sound = fs::read(&file).unwrap();
    let (mut whole, mut refused) = (0, 0);
    for turn in 0..120usize {
        // Steps that reach every page, and another place in each.
        let place = (turn * sound.len() / 120 + turn * 37) % sound.len();
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (turn % 8);
        fs::write(&file, &bytes).unwrap();
        match Store::open(database.location()).await {
            Ok(store) => {
                let history = History::open(database.location(), at(0)).await.unwrap();
                let messages = history.facts().await.unwrap().messages;
                assert_eq!(messages, 390, "byte {place}: it was replaced");
                store.close().await;
                whole += 1;
            }
            Err(error) => {
                assert!(!error.may_pass(), "byte {place}: {error}");
                assert_eq!(fs::read(&file).unwrap(), bytes, "byte {place}: it was changed");
                refused += 1;
            }
        }
    }
    eprintln!("of 120 files with a flipped bit {refused} were refused, {whole} were whole");
    assert!(refused > 20, "{refused}");
}
