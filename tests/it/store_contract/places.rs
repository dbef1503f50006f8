//! Where mailboxes and messages are known from, and what came from a server.

use triaged::store::{Action, EffectState, Identity, PlannedMessage, Remarks};
use triaged_core::decision::Decision;

use super::{at, cursor, inbox, planned, uid_of};
use crate::harness::{Database, on_each_database};

on_each_database! {
    a_message_that_was_decided_elsewhere_is_found_by_its_identity,
    a_mailbox_is_found_by_its_generation_and_takes_its_messages_to_another_name,
    messages_are_found_by_either_mark_and_the_last_ones_are_told,
    traffic_is_counted_for_one_day,
    accounts_keep_their_first_start,
}

/// A message of which nothing but its marks is known.
fn known(n: u32, identity: Option<Identity>, email: Option<Identity>) -> PlannedMessage {
    let decision = Decision::adding([]);
    PlannedMessage { identity, email, decision, ..planned(n, Action::Skip, &[]) }
}

async fn a_message_that_was_decided_elsewhere_is_found_by_its_identity(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let identity = store.identity(b"<one@host>", 1_000);
    let message = PlannedMessage { identity: Some(identity), ..planned(5, Action::Label, &[]) };
    store.plan(&mailbox, &[message], at(1)).await.unwrap();
    let stranger = store.identity(b"<two@host>", 1_000);
    let found = store.earlier(mailbox.account, &[identity, stranger]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&identity][0].uid, uid_of(5));

    let moved = store.identity(b"<three@host>", 1_000);
    let cut = PlannedMessage { identity: Some(moved), ..planned(6, Action::Label, &["t-urgent"]) };
    let effects = store.plan(&mailbox, &[cut], at(1)).await.unwrap();
    let found = store.earlier(mailbox.account, &[moved]).await.unwrap();
    assert!(found.is_empty(), "its label is not confirmed");
    let done = effects.into_iter().map(|effect| (effect, EffectState::Done)).collect::<Vec<_>>();
    store.settle(&mut mailbox, uid_of(7), &done, at(2)).await.unwrap();
    let found = store.earlier(mailbox.account, &[moved]).await.unwrap();
    assert_eq!(found[&moved][0].uid, uid_of(6));
}

async fn a_mailbox_is_found_by_its_generation_and_takes_its_messages_to_another_name(
    database: Database,
) {
    let store = database.open().await;
    let account = store.account("alice", at(0)).await.unwrap().id;
    let work = store.begin_mailbox(account, "Work", cursor(7, 1)).await.unwrap();
    store.begin_mailbox(account, "Other", cursor(8, 1)).await.unwrap();
    assert_eq!(store.remarks(work.id).await.unwrap(), Remarks::default());
    let remarks = Remarks { object_id: Some("F2212".to_owned()), highest_mod_seq: Some(u64::MAX) };
    store.remark(work.id, &remarks).await.unwrap();
    assert_eq!(store.remarks(work.id).await.unwrap(), remarks);

    let found = store.of_generation(account, work.cursor.uid_validity).await.unwrap();
    assert_eq!(found, [("Work".to_owned(), work)]);
    store.rename_mailbox(work.id, "Attic").await.unwrap();
    assert_eq!(store.mailbox(account, "Attic").await.unwrap(), Some(work));
    assert_eq!(store.mailbox(account, "Work").await.unwrap(), None);
}

async fn messages_are_found_by_either_mark_and_the_last_ones_are_told(database: Database) {
    let store = database.open().await;
    let account = store.account("alice", at(0)).await.unwrap().id;
    let inbox = store.begin_mailbox(account, "INBOX", cursor(7, 1)).await.unwrap();
    let (identity, email) = (store.identity(b"<one@host>", 10), store.email("M1"));
    assert_ne!(store.email("<one@host>"), store.identity(b"<one@host>", 10));
    let messages =
        [known(1, Some(identity), None), known(2, None, None), known(3, None, Some(email))];
    store.plan(&inbox, &messages, at(0)).await.unwrap();

    let stranger = store.email("M2");
    let earlier = store.earlier(account, &[identity, email, stranger]).await.unwrap();
    let uids =
        |mark| earlier.get(mark).map(|places| places.iter().map(|one| one.uid.get()).collect());
    assert_eq!((uids(&identity), uids(&email)), (Some(vec![1]), Some(vec![3])));
    assert_eq!(uids(&stranger), None);
    let latest = async |most| {
        let latest = store.latest(&inbox, most).await.unwrap();
        latest
            .into_iter()
            .map(|(uid, marks)| (uid.get(), marks.email.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(latest(9).await, [(1, false), (3, true)]);
    assert_eq!(latest(1).await, [(3, true)]);
}

async fn traffic_is_counted_for_one_day(database: Database) {
    let store = database.open().await;
    let account = store.account("alice", at(0)).await.unwrap().id;
    assert_eq!(store.traffic(account, 19_000).await.unwrap(), 0);
    store.set_traffic(account, 19_000, 5_000_000_000).await.unwrap();
    store.set_traffic(account, 19_000, 6_000_000_000).await.unwrap();
    assert_eq!(store.traffic(account, 19_000).await.unwrap(), 6_000_000_000);
    store.set_traffic(account, 19_001, 1).await.unwrap();
    assert_eq!(store.traffic(account, 19_000).await.unwrap(), 0, "earlier days are forgotten");
}

async fn accounts_keep_their_first_start(database: Database) {
    let store = database.open().await;
    let names = ["alice", "bob", "x/with space", "b\u{f8}rge"];
    let first = store.accounts(&names, at(1)).await.unwrap();
    let again = store.accounts(&names, at(2)).await.unwrap();
    assert_eq!(first, again);
    assert!(first.iter().all(|account| account.first_start == at(1)));
}
