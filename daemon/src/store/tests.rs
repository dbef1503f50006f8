//! What only a file of SQLite promises. What both kinds of database promise is in
//! `tests/it/store_contract`.

use super::*;

#[tokio::test]
async fn a_second_daemon_is_told_that_the_state_is_held() {
    let state = tempfile::tempdir().expect("a folder");
    let first = Store::open(state.path()).await.expect("opened");
    assert!(matches!(Store::open(state.path()).await, Err(StoreError::Busy { .. })));
    first.close().await;
    drop(first);
    Store::open(state.path()).await.expect("free again");
}

#[tokio::test]
async fn a_folder_may_have_any_name() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["with space", "%41", "ü&Ω", "a?mode=memory", "a#b", ":memory:", "x/../y"] {
        let state = folder.path().join(name);
        // The way through `x/..` is there when `x` is.
        std::fs::create_dir_all(folder.path().join("x")).expect("made");
        let store = Store::open(state.as_path()).await.expect(name);
        store.account("alice", Timestamp::UNIX_EPOCH).await.expect("stored");
        store.close().await;
        let size = std::fs::metadata(state.join("triaged.sqlite")).expect(name).len();
        assert!(size > 4_096, "{name}: it is in another file");
    }
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let names: Vec<String> =
        (0..2_000).map(|n| format!("an account of some length, {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    store.accounts(&names, Timestamp::UNIX_EPOCH).await.expect("stored");
    store.close().await;
    drop(store);
    let path = state.path().join("triaged.sqlite");
    let sound = std::fs::read(&path).expect("read");
    for damage in [
        |bytes: &mut Vec<u8>| bytes[..64].fill(b'x'),
        |bytes: &mut Vec<u8>| bytes[4096..].iter_mut().for_each(|byte| *byte ^= 0x55),
        |bytes: &mut Vec<u8>| bytes.truncate(6_000),
    ] {
        let mut bytes = sound.clone();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).expect("written");
        let refused = Store::open(state.path()).await.expect_err("damaged");
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        assert_eq!(std::fs::read(&path).expect("read"), bytes, "nothing was changed");
    }
}

/// Where the driver goes on counting a transaction that SQLite has rolled back, later ones end without
/// being written, and say that they were.
#[tokio::test]
async fn after_a_transaction_that_found_no_room_the_next_ones_are_written() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let many: Vec<String> = (0..2_000).map(|n| format!("an account of some length, {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for name in ["after the first time", "after the second"] {
        let no_room = "PRAGMA max_page_count = 1";
        sqlx::raw_sql(no_room).execute(&store.pool).await.expect("set");
        let full = store.accounts(&many, Timestamp::UNIX_EPOCH).await.expect_err("no room");
        assert!(full.is_of_the_whole(), "{full}");
        drop(store.begin().await.expect("there is room again"));
        store.account(name, Timestamp::UNIX_EPOCH).await.expect("stored");
        let beside = open::open_beside(&state.path().into()).await.expect("opened");
        let names: Vec<String> =
            sqlx::query_scalar("SELECT name FROM account").fetch_all(&beside).await.expect("read");
        assert!(names.iter().any(|found| found == name), "{names:?}");
        beside.close().await;
    }
}
