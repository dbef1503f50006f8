//! Plan and settle, and what can be read of them afterwards.

use std::collections::BTreeSet;

use jiff::Timestamp;
use triaged::store::{
    Action, EffectState, History, HistoryAnswer, PlannedMessage, Store, StoreError,
};
use triaged_core::mailbox::Uid;
use triaged_core::outcome::Outcome;
use triaged_core::score::Abstention;
use triaged_core::sync::Cursor;

use super::{at, cursor, generation, inbox, planned, uid_of};
use crate::harness::{Database, on_each_database};

on_each_database! {
    the_first_start_and_the_cursor_outlive_a_restart,
    what_was_planned_and_not_settled_comes_back_once,
    a_message_is_labelled_only_when_all_its_effects_are_done,
    a_new_generation_gives_up_what_the_old_one_planned,
    history_reads_beside_the_daemon_and_in_pages,
    the_reason_of_an_abstention_is_remembered,
    what_somebody_answered_first_is_no_failure,
    text_may_hold_any_character,
    many_are_planned_at_once_and_settled_at_once,
    the_largest_numbers_are_kept,
    a_cursor_that_goes_back_forgets_what_was_decided_from_there,
    checking_counts_and_changes_nothing,
}

async fn the_first_start_and_the_cursor_outlive_a_restart(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    store.settle(&mut mailbox, uid_of(9), &[], at(1)).await.unwrap();
    let identity = store.identity(b"<a@b>", 7);
    store.close().await;
    drop(store);

    let store = database.open().await;
    let account = store.account("alice", at(99)).await.unwrap();
    assert_eq!(account.first_start, at(0));
    let again = store.mailbox(account.id, "INBOX").await.unwrap().unwrap();
    assert_eq!(again.cursor, cursor(1, 9));
    assert_eq!(store.identity(b" <a@b>", 7), identity);
    assert_ne!(store.identity(b"<a@b>", 8), identity);
}

async fn what_was_planned_and_not_settled_comes_back_once(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let chunk = [
        planned(5, Action::Label, &["t-urgent", "t-billing"]),
        planned(6, Action::Shadow, &["t-urgent"]),
        planned(7, Action::Label, &[]),
    ];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    assert_eq!(effects.len(), 2, "shadow and empty decisions have nothing to apply");
    assert_eq!(store.pending(&mailbox).await.unwrap(), effects);
    let decided = store.decided_uids(&mailbox).await.unwrap();
    assert_eq!(decided, BTreeSet::from([uid_of(5), uid_of(6), uid_of(7)]));
    assert!(store.plan(&mailbox, &chunk, at(2)).await.unwrap().is_empty());

    let done: Vec<_> = effects.into_iter().zip([EffectState::Done, EffectState::Done]).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(8), &done, at(3)).await.unwrap();
    assert_eq!(outcomes, [(uid_of(5), Outcome::Labelled)]);
    assert!(store.pending(&mailbox).await.unwrap().is_empty());
    assert!(store.decided_uids(&mailbox).await.unwrap().is_empty());
}

async fn a_message_is_labelled_only_when_all_its_effects_are_done(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let chunk = [planned(5, Action::Label, &["t-urgent", "t-billing"])];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    let ended: Vec<_> =
        effects.into_iter().zip([EffectState::Done, EffectState::Rejected]).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(6), &ended, at(2)).await.unwrap();
    assert_eq!(outcomes, [(uid_of(5), Outcome::Rejected)]);
}

async fn a_new_generation_gives_up_what_the_old_one_planned(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let chunk = [planned(5, Action::Label, &["t-urgent"])];
    store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    let anew = store.begin_mailbox(mailbox.account, "INBOX", cursor(2, 1)).await.unwrap();
    assert_eq!(anew.id, mailbox.id);
    assert!(store.pending(&anew).await.unwrap().is_empty());
    let mut history = History::open(database.location(), Timestamp::MIN).await.unwrap();
    assert_eq!(history.page().await.unwrap()[0].outcome, Outcome::Gone);
}

async fn history_reads_beside_the_daemon_and_in_pages(database: Database) {
    let nothing = History::open(database.location(), Timestamp::MIN).await;
    let nothing = nothing.expect_err("nobody has run with it");
    assert!(matches!(nothing, StoreError::Missing { .. } | StoreError::Empty { .. }), "{nothing}");
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let many: Vec<_> = (10..1_210).map(|n| planned(n, Action::Label, &["t-urgent"])).collect();
    store.plan(&mailbox, &many, at(5)).await.unwrap();
    let mut history = History::open(database.location(), at(1)).await.unwrap();
    assert_eq!(history.facts().await.unwrap().messages, 1_200);
    let mut uids = Vec::new();
    loop {
        let page = history.page().await.unwrap();
        let Some(row) = page.first() else { break };
        let answer = HistoryAnswer {
            head: "urgency".into(),
            label: "high".into(),
            confidence: 0.875,
            abstained: None,
        };
        assert_eq!(row.heads, [answer]);
        assert_eq!(row.keywords, [("t-urgent".into(), EffectState::Pending)]);
        assert_eq!(
            (row.outcome, row.defects.as_slice()),
            (Outcome::Pending, &["truncated".to_owned()][..])
        );
        uids.extend(page.iter().map(|row| row.uid));
    }
    assert_eq!(uids, (10..1_210).collect::<Vec<_>>());
    let mut none = History::open(database.location(), at(6)).await.unwrap();
    assert!(none.page().await.unwrap().is_empty());
}

/// Rows from before migration 2 have no reason: then there was only one.
async fn the_reason_of_an_abstention_is_remembered(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let reasons = [Abstention::Unsure, Abstention::Language, Abstention::TooLittleText];
    for (n, reason) in (10..).zip(reasons) {
        let mut message = planned(n, Action::Label, &[]);
        message.prediction = message.prediction.map(|prediction| prediction.abstaining(reason));
        store.plan(&mailbox, &[message], at(5)).await.unwrap();
    }
    database.change("UPDATE prediction SET abstention = NULL WHERE abstention = 'unsure'").await;
    let mut history = History::open(database.location(), at(1)).await.unwrap();
    let page = history.page().await.unwrap();
    let found: Vec<_> = page.iter().map(|row| row.heads[0].abstained).collect();
    assert_eq!(found, reasons.map(Some));
}

async fn what_somebody_answered_first_is_no_failure(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let chunk = [
        planned(5, Action::Label, &["t-urgent", "t-billing"]),
        planned(6, Action::Label, &["t-urgent"]),
    ];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    let states = [EffectState::Done, EffectState::Yielded, EffectState::Yielded];
    let ended: Vec<_> = effects.into_iter().zip(states).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(7), &ended, at(2)).await.unwrap();
    assert_eq!(outcomes, [(uid_of(5), Outcome::Labelled), (uid_of(6), Outcome::Unlabelled)]);
}

async fn text_may_hold_any_character(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let subject = "a\0b ' \" \\ \u{1F600} \u{FEFF} \u{202E}\n";
    let message = PlannedMessage {
        subject: Some(subject.to_owned()),
        ..planned(10, Action::Label, &["t-urgent"])
    };
    store.plan(&mailbox, &[message], at(1)).await.unwrap();
    let mut history = History::open(database.location(), at(0)).await.unwrap();
    let row = history.page().await.unwrap().remove(0);
    let stored = subject.replace('\0', "\u{FFFD}");
    assert_eq!(row.subject, Some(stored), "PostgreSQL has no NUL in its texts");
}

async fn many_are_planned_at_once_and_settled_at_once(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let keywords = ["t-a", "t-b", "t-c", "t-d"];
    let chunk: Vec<_> = (10..1_010).map(|n| planned(n, Action::Label, &keywords)).collect();
    let twice: Vec<_> = chunk.iter().chain(&chunk).cloned().collect();
    let effects = store.plan(&mailbox, &twice, at(1)).await.unwrap();
    assert_eq!(effects.len(), 4_000);
    assert!(effects.is_sorted_by_key(|effect| effect.uid), "in the order of the messages");
    assert_eq!(store.pending(&mailbox).await.unwrap(), effects);
    let done: Vec<_> = effects.into_iter().map(|effect| (effect, EffectState::Done)).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(1_010), &done, at(2)).await.unwrap();
    assert_eq!(outcomes.len(), 1_000);
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Labelled));
    assert!(store.pending(&mailbox).await.unwrap().is_empty());
}

/// UIDs and generations fill 32 bits, mod-sequences 63.
async fn the_largest_numbers_are_kept(database: Database) {
    let store = database.open().await;
    let account = store.account("alice", at(0)).await.unwrap().id;
    let last =
        Cursor { uid_validity: generation(u32::MAX), next: Uid::LAST, not_before: Some(at(3)) };
    let mailbox = store.begin_mailbox(account, "INBOX", last).await.unwrap();
    let chunk = [planned(u32::MAX, Action::Label, &["t-urgent"])];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    assert_eq!(effects[0].uid.get(), u32::MAX);
    assert_eq!(store.mailbox(account, "INBOX").await.unwrap(), Some(mailbox));
    assert_eq!(store.pending(&mailbox).await.unwrap(), effects);
}

async fn a_cursor_that_goes_back_forgets_what_was_decided_from_there(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let chunk = [5, 6, 7].map(|n| planned(n, Action::Label, &["t-urgent"]));
    store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    let again = store.begin_mailbox(mailbox.account, "INBOX", cursor(1, 6)).await.unwrap();
    assert_eq!(again.id, mailbox.id);
    let all = store.decided_between(&again, Uid::FIRST, Uid::LAST).await.unwrap();
    assert_eq!(all, BTreeSet::from([uid_of(5)]));
    assert_eq!(store.plan(&again, &chunk, at(2)).await.unwrap().len(), 2);
}

async fn checking_counts_and_changes_nothing(database: Database) {
    let nothing = Store::check(database.location()).await.expect_err("nobody has run with it");
    assert!(matches!(nothing, StoreError::Missing { .. } | StoreError::Empty { .. }), "{nothing}");
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let message =
        PlannedMessage { subject: Some("s".into()), ..planned(5, Action::Label, &["t-u"]) };
    store.plan(&mailbox, &[message], at(1)).await.unwrap();
    let checked = Store::check(database.location()).await.unwrap();
    assert_eq!((checked.to_migrate, checked.facts.messages), (0, 1));
    assert_eq!((checked.facts.subjects, checked.facts.pending), (1, 1));
    let newest = checked.schema;
    database
        .change(&format!("UPDATE _sqlx_migrations SET version = 999999 WHERE version = {newest}"))
        .await;
    let newer = Store::check(database.location()).await.expect_err("it is newer");
    assert!(matches!(newer, StoreError::Newer { .. }), "{newer}");
    drop(store);
    let newer = Store::open(database.location()).await.expect_err("it is newer");
    assert!(matches!(newer, StoreError::Newer { .. }), "{newer}");
}
