//! What the daemon and the commands beside it ask of each other: attempts, quarantine, older mail.

use std::collections::BTreeSet;

use triaged::store::{
    Action, BackfillProgress, BackfillState, Backfills, EffectState, History, Quarantine,
};
use triaged_core::mailbox::UidSet;
use triaged_core::outcome::Outcome;

use super::{at, cursor, generation, inbox, planned, uid_of};
use crate::harness::{Database, on_each_database};

on_each_database! {
    attempts_outlive_a_crash_and_end_with_a_decision,
    a_request_for_older_mail_goes_its_way,
    attempts_at_what_is_gone_are_forgotten,
    the_history_knows_mailboxes_and_what_is_decided_in_them,
}

async fn attempts_outlive_a_crash_and_end_with_a_decision(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let all: UidSet = [5, 6].map(uid_of).into_iter().collect();
    store.begin_reading(&mailbox, &all).await.unwrap();
    store.begin_reading(&mailbox, &uid_of(6).into()).await.unwrap();
    let attempts = store.attempts(&mailbox).await.unwrap();
    assert_eq!(attempts, [(uid_of(5), 1), (uid_of(6), 2)].into());
    store.take_back(&mailbox, &all).await.unwrap();
    assert_eq!(store.attempts(&mailbox).await.unwrap(), [(uid_of(6), 1)].into());
    let mut bad = planned(6, Action::Label, &["t-unreadable"]);
    bad.quarantined = true;
    let effects =
        store.plan(&mailbox, &[planned(5, Action::Label, &[]), bad], at(1)).await.unwrap();
    assert!(store.attempts(&mailbox).await.unwrap().is_empty());
    let mut settled = mailbox;
    let ended: Vec<_> = effects.into_iter().map(|effect| (effect, EffectState::Done)).collect();
    let outcomes = store.settle(&mut settled, uid_of(7), &ended, at(2)).await.unwrap();
    assert_eq!(outcomes, [(uid_of(6), Outcome::Quarantined)]);
    assert_eq!(store.quarantined(&mailbox).await.unwrap(), 1);

    let beside = Quarantine::open(database.location()).await.unwrap();
    assert_eq!(beside.release(Some("nobody")).await.unwrap(), 0);
    assert_eq!(beside.release(Some("alice")).await.unwrap(), 1);
    assert_eq!(store.quarantined(&mailbox).await.unwrap(), 0);
    let asked = store.mailboxes_to_retry(mailbox.account).await.unwrap();
    assert_eq!(asked, ["INBOX"]);
    let accounts = store.accounts_with_requests().await.unwrap();
    assert_eq!(accounts, BTreeSet::from([mailbox.account]));
}

async fn a_request_for_older_mail_goes_its_way(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let requests = Backfills::open(database.location()).await.unwrap();
    requests.ask("nobody", "INBOX", at(0), 60, at(9)).await.expect_err("no such account");
    let id = requests.ask("alice", "INBOX", at(100), 60, at(200)).await.unwrap();
    let waiting = store.accounts_with_requests().await.unwrap();
    assert_eq!(waiting, BTreeSet::from([mailbox.account]));
    let request = store.next_backfill(mailbox.account).await.unwrap().unwrap();
    assert_eq!((request.id, request.since, request.per_minute), (id, at(100), 60));
    assert_eq!((request.progress, request.looked_at), (None, 0));

    store.begin_backfill(&request, generation(1), uid_of(900), 300).await.unwrap();
    assert!(store.accounts_with_requests().await.unwrap().is_empty(), "it has begun");
    store.advance_backfill(id, uid_of(800), 100).await.unwrap();
    assert_eq!(store.count_attempt(id).await.unwrap(), 1);
    assert_eq!(store.count_attempt(id).await.unwrap(), 2);
    store.advance_backfill(id, uid_of(700), 100).await.unwrap();
    assert_eq!(store.count_attempt(id).await.unwrap(), 1, "what went well begins the count anew");
    let progress = BackfillProgress { uid_validity: generation(1), below: uid_of(700), found: 300 };
    let request = requests.find(id).await.unwrap().unwrap();
    assert_eq!((request.progress, request.looked_at), (Some(progress), 200));

    let same = requests.ask("alice", "INBOX", at(150), 30, at(201)).await.unwrap();
    let request = requests.find(id).await.unwrap().unwrap();
    assert_eq!((same, request.since, request.per_minute), (id, at(100), 30));
    assert_eq!(request.progress, Some(progress), "it reaches no further back");
    let same = requests.ask("alice", "INBOX", at(50), 30, at(202)).await.unwrap();
    // Who was at work on it has not heard yet.
    store.begin_backfill(&request, generation(1), uid_of(600), 100).await.unwrap();
    store.end_backfill(&request, BackfillState::Done, None).await.unwrap();
    let request = requests.find(id).await.unwrap().unwrap();
    assert_eq!((same, request.since, request.progress), (id, at(50), None), "it begins anew");
    assert_eq!(request.state, BackfillState::Open);

    store.end_backfill(&request, BackfillState::Failed, Some("gone")).await.unwrap();
    let request = requests.find(id).await.unwrap().unwrap();
    assert_eq!((request.state, request.reason.as_deref()), (BackfillState::Failed, Some("gone")));
    let other = requests.ask("alice", "INBOX", at(50), 30, at(203)).await.unwrap();
    assert_ne!(other, id);
    let request = requests.find(other).await.unwrap().unwrap();
    assert_eq!(requests.cancel("alice").await.unwrap(), 1);
    assert_eq!(requests.cancel("alice").await.unwrap(), 0);
    store.end_backfill(&request, BackfillState::Done, None).await.unwrap();
    let request = requests.find(other).await.unwrap().unwrap();
    assert_eq!(request.state, BackfillState::Cancelled, "who thought better of it keeps his word");
    assert_eq!(store.next_backfill(mailbox.account).await.unwrap(), None);
}

async fn attempts_at_what_is_gone_are_forgotten(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let none = UidSet::default();
    store.begin_reading(&mailbox, &none).await.unwrap();
    store.take_back(&mailbox, &none).await.unwrap();
    store.forget_attempts(&mailbox, &none).await.unwrap();
    let all: UidSet = [5, 6, u32::MAX].map(uid_of).into_iter().collect();
    store.begin_reading(&mailbox, &all).await.unwrap();
    store.forget_attempts(&mailbox, &uid_of(6).into()).await.unwrap();
    let left = store.attempts(&mailbox).await.unwrap();
    assert_eq!(left, [(uid_of(5), 1), (uid_of(u32::MAX), 1)].into());
    database.change("UPDATE attempt SET asked = 1").await;
    assert_eq!(store.mailboxes_to_retry(mailbox.account).await.unwrap(), ["INBOX"]);
    store.not_now(mailbox.account, "INBOX").await.unwrap();
    assert!(store.mailboxes_to_retry(mailbox.account).await.unwrap().is_empty());
}

async fn the_history_knows_mailboxes_and_what_is_decided_in_them(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    store.begin_mailbox(mailbox.account, "Work", cursor(3, 1)).await.unwrap();
    store.plan(&mailbox, &[planned(7, Action::Label, &[])], at(1)).await.unwrap();
    let history = History::open(database.location(), at(0)).await.unwrap();
    assert_eq!(history.mailboxes("alice").await.unwrap(), ["INBOX", "Work"]);
    assert!(history.mailboxes("bob").await.unwrap().is_empty());
    let decided = history.decided("alice", "INBOX").await.unwrap();
    assert_eq!(decided, BTreeSet::from([uid_of(7)]));
    store.begin_mailbox(mailbox.account, "INBOX", cursor(2, 1)).await.unwrap();
    assert!(history.decided("alice", "INBOX").await.unwrap().is_empty(), "those UIDs are over");
}
