//! The outbox: what is to be sent is written once, claimed by one, and kept until it has ended.

use std::sync::Arc;

use triaged::store::{
    Action, Content, EffectState, History, Kind, Letter, LetterEnd, PlannedMessage, Store,
};
use triaged_core::alert::{Alert, Facts, Include, Raised};
use triaged_core::lease::{InstanceId, Shards};
use triaged_core::outcome::Outcome;

use super::{at, cursor, inbox, planned, uid_of};
use crate::harness::{Database, on_each_database};

on_each_database! {
    a_mail_is_written_once_for_each_address_and_claimed_once,
    what_was_being_sent_at_a_crash_is_sent_again_under_the_same_id,
    a_mail_that_is_not_taken_now_waits_and_one_that_never_is_shows_why,
    above_the_limit_alerts_are_counted_into_one_digest,
    only_what_is_planned_to_be_written_alerts,
    a_calendar_that_was_years_ahead_holds_nothing_up,
    no_word_of_a_mail_outlives_its_alert,
    a_row_that_can_not_be_read_is_given_up_and_holds_no_other_up,
    who_was_overtaken_changes_nothing_of_a_mail_that_another_has,
}

const ADDRESSES: [&str; 2] = ["one@example.org", "two@example.org"];

fn raised(per_hour: u32) -> Raised {
    let to = ADDRESSES.map(str::to_owned).to_vec();
    let (name, domain) = ("oncall".into(), "example.net".into());
    let alert = Alert { name, to, include: Include::default(), per_hour, domain };
    let facts = Facts {
        mailbox: "INBOX".to_owned(),
        subject: Some("Zebra\u{1b}fish".to_owned()),
        ..Facts::default()
    };
    Raised { rule: "escalate".into(), alert: Arc::new(alert), facts }
}

fn alerting(n: u32, per_hour: u32) -> PlannedMessage {
    let mut message = planned(n, Action::Label, &[]);
    message.decision.alerts.push(raised(per_hour));
    message
}

/// All that can be claimed at this second.
async fn claimed(store: &Store, second: i64) -> Vec<Letter> {
    let mut letters = Vec::new();
    while let Some(letter) = store.claim_letter(None, at(second)).await.unwrap() {
        letters.push(letter);
    }
    letters
}

async fn a_mail_is_written_once_for_each_address_and_claimed_once(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let identity = Some(store.identity(b"<one@host>", 1_000));
    let message = PlannedMessage { identity, ..alerting(5, 20) };
    let effects = store.plan(&mailbox, std::slice::from_ref(&message), at(1)).await.unwrap();
    assert_eq!(effects.len(), 1, "an alert is an effect");
    let outcomes: Vec<_> = effects.into_iter().map(|one| (one, EffectState::Done)).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(6), &outcomes, at(2)).await.unwrap();
    assert_eq!(outcomes, [(uid_of(5), Outcome::Unlabelled)], "and leaves the mail as it is");
    let letters = claimed(&store, 3).await;
    let to: Vec<&str> = letters.iter().map(|letter| letter.recipient.as_str()).collect();
    assert_eq!(to, ADDRESSES);
    let Content::Mail(facts) = &letters[0].content else { panic!("{letters:?}") };
    let told = (facts.account.as_str(), facts.mailbox.as_str(), facts.uid, facts.decided);
    assert_eq!(told, ("alice", "INBOX", 5, at(1)));
    let (one, two) = (&letters[0].message_id, &letters[1].message_id);
    assert!(one.ends_with(".triaged@example.net>") && one != two, "{one} {two}");
    for letter in &letters {
        store.end_letter(letter, LetterEnd::Sent, None, at(4)).await.unwrap();
    }
    // The server has gone back: the mail is decided anew, and nobody is told again.
    let mailbox = store.begin_mailbox(mailbox.account, "INBOX", cursor(1, 5)).await.unwrap();
    assert_eq!(store.plan(&mailbox, &[message], at(5)).await.unwrap().len(), 1);
    assert_eq!(claimed(&store, 6).await, []);
    assert_eq!(store.outbox(at(6)).await.unwrap().waiting, 0);
}

async fn what_was_being_sent_at_a_crash_is_sent_again_under_the_same_id(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    store.plan(&mailbox, &[alerting(5, 20)], at(1)).await.unwrap();
    let before = claimed(&store, 2).await;
    assert_eq!((before.len(), before[0].attempts), (2, 1));
    store.end_letter(&before[0], LetterEnd::Sent, None, at(3)).await.unwrap();
    store.close().await;
    drop(store);
    let store = database.open().await;
    assert_eq!(claimed(&store, 4).await, [], "somebody may be sending it");
    assert_eq!(store.retake_letters(None, at(60)).await.unwrap(), 1);
    let again = claimed(&store, 5).await;
    let mut same = before[1].clone();
    same.attempts = 2;
    assert_eq!(again, [same]);
    assert_eq!(store.retake_letters(Some("another"), at(60)).await.unwrap(), 1, "it has no owner");
    let shared = store.kind() == Kind::Postgresql;
    if shared {
        let register = "INSERT INTO instance (id, name, registered_at, shards) \
                        VALUES (7, 'here', 0, '')";
        database.change(register).await;
    }
    let mine = store.claim_letter(Some("7"), at(6)).await.unwrap();
    assert!(mine.is_some());
    let outbox = store.outbox(at(6)).await.unwrap();
    assert_eq!((outbox.waiting, outbox.next_due), (1, None), "nobody else has to look for it");
    assert_eq!(store.retake_letters(Some("8"), at(60)).await.unwrap(), 0, "it is another's");
    assert_eq!(store.retake_letters(Some("7"), at(60)).await.unwrap(), 1);
    if shared {
        let frozen = store.claim_letter(Some("7"), at(7)).await.unwrap().unwrap();
        database.change("DELETE FROM instance").await;
        assert_eq!(store.retake_letters(Some("8"), at(60)).await.unwrap(), 1, "its lease is over");
        assert_eq!(store.outbox(at(8)).await.unwrap().next_due, Some(at(60)));
        assert_eq!(store.claim_letter(Some("8"), at(59)).await.unwrap(), None, "it may come back");
        assert!(store.claim_letter(Some("8"), at(60)).await.unwrap().is_some());
        assert_eq!(store.retake_letters(Some("8"), at(90)).await.unwrap(), 1);
        assert!(store.claim_letter(Some("8"), at(61)).await.unwrap().is_some(), "its own is due");
        assert!(!store.end_letter(&frozen, LetterEnd::Sent, None, at(62)).await.unwrap());
        killed_and_started_again(&database, &store).await;
    }
}

/// That its process is gone is sure: what it had in hand is due at once.
async fn killed_and_started_again(database: &Database, store: &Store) {
    let mut leases = store.leases(database.state()).unwrap();
    let InstanceId(killed) = leases.register("here", &Shards::default(), at(70)).await.unwrap();
    store.retake_letters(Some("8"), at(70)).await.unwrap();
    store.claim_letter(Some(&killed.to_string()), at(71)).await.unwrap().unwrap();
    let InstanceId(next) = leases.register("here", &Shards::default(), at(72)).await.unwrap();
    assert_eq!(store.retake_letters(Some("8"), at(200)).await.unwrap(), 1, "it was only fenced");
    assert_eq!(store.claim_letter(Some("8"), at(199)).await.unwrap(), None);
    let mine = store.claim_letter(Some(&next.to_string()), at(200)).await.unwrap();
    assert!(mine.is_some());
    let mut process = store.leases(database.state()).unwrap();
    process.register("here", &Shards::default(), at(201)).await.unwrap();
    assert_eq!(store.retake_letters(Some("8"), at(300)).await.unwrap(), 1);
    assert!(store.claim_letter(Some("8"), at(202)).await.unwrap().is_some());
}

async fn a_mail_that_is_not_taken_now_waits_and_one_that_never_is_shows_why(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    store.plan(&mailbox, &[alerting(5, 20)], at(1)).await.unwrap();
    let letters = claimed(&store, 2).await;
    store.postpone_letter(&letters[0], at(100), "450 later").await.unwrap();
    store.end_letter(&letters[1], LetterEnd::Failed, Some("550 no"), at(3)).await.unwrap();
    let outbox = store.outbox(at(4)).await.unwrap();
    assert_eq!((outbox.waiting, outbox.next_due, outbox.oldest), (1, Some(at(100)), Some(at(1))));
    let failure = Some(("escalate".to_owned(), "550 no".to_owned()));
    assert_eq!((outbox.failed, outbox.last_failure), (1, failure));
    assert_eq!(claimed(&store, 99).await, []);
    assert_eq!(claimed(&store, 100).await.len(), 1);
    let week = 8 * 24 * 3_600;
    assert_eq!(store.outbox(at(week)).await.unwrap().failed, 0, "not for ever");
}

async fn above_the_limit_alerts_are_counted_into_one_digest(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    for n in 0..50 {
        let second = i64::from(n);
        store.plan(&mailbox, &[alerting(5 + n, 20)], at(second)).await.unwrap();
    }
    let alerts = claimed(&store, 60).await;
    assert_eq!(alerts.len(), 2 * 20, "twenty to each address");
    for letter in &alerts {
        store.end_letter(letter, LetterEnd::Sent, None, at(61)).await.unwrap();
    }
    let outbox = store.outbox(at(62)).await.unwrap();
    assert_eq!((outbox.waiting, outbox.next_due), (2, Some(at(3_600))));
    assert_eq!(outbox.oldest, None, "a digest that is not due is not late");
    assert_eq!(claimed(&store, 3_599).await, []);
    store.plan(&mailbox, &[alerting(100, 20)], at(3_599)).await.unwrap();
    let digests = claimed(&store, 3_600).await;
    let said: Vec<_> = digests.iter().map(|letter| (&letter.content, letter.created)).collect();
    let digest = Content::Digest { count: 31, per_hour: 20 };
    assert_eq!(said, [(&digest, at(20)), (&digest, at(20))]);
    // The hour is over: the first of the twenty makes room for one.
    store.plan(&mailbox, &[alerting(101, 20)], at(3_600)).await.unwrap();
    assert_eq!(claimed(&store, 3_601).await.len(), 2);
    store.plan(&mailbox, &[alerting(102, 20)], at(3_600)).await.unwrap();
    let outbox = store.outbox(at(3_601)).await.unwrap();
    assert_eq!((outbox.waiting, outbox.next_due), (2 + 2 + 2, Some(at(3_601))));
}

async fn only_what_is_planned_to_be_written_alerts(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let shadow = PlannedMessage { action: Action::Shadow, ..alerting(5, 20) };
    assert_eq!(store.plan(&mailbox, &[shadow], at(1)).await.unwrap(), []);
    assert_eq!(claimed(&store, 2).await, []);
    // Decided, and then the mode was changed before it was sent.
    let effects = store.plan(&mailbox, &[alerting(6, 20)], at(3)).await.unwrap();
    let ended: Vec<_> = effects.into_iter().map(|one| (one, EffectState::Shadow)).collect();
    store.settle(&mut mailbox, uid_of(7), &ended, at(4)).await.unwrap();
    assert_eq!(claimed(&store, 5).await, []);
    let mut history = History::open(database.location(), at(0)).await.unwrap();
    let states: Vec<Vec<String>> = history
        .page()
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.alerts.into_iter().map(|(rule, state)| format!("{rule} {state}")).collect())
        .collect();
    let suppressed = "escalate suppressed".to_owned();
    assert_eq!(states, [vec!["escalate shadow".to_owned()], vec![suppressed.clone(), suppressed]]);
}

async fn a_calendar_that_was_years_ahead_holds_nothing_up(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let years = 10 * 365 * 86_400;
    for n in 0..30 {
        store.plan(&mailbox, &[alerting(5 + n, 20)], at(years)).await.unwrap();
    }
    let first = store.claim_letter(None, at(years)).await.unwrap().unwrap();
    store.postpone_letter(&first, at(years + 60), "450 later").await.unwrap();
    // Then it is put right.
    let due = store.outbox(at(0)).await.unwrap().next_due.unwrap();
    assert!(due <= at(0), "{due}");
    assert_eq!(claimed(&store, 0).await.len(), 2 * (20 + 1), "alerts and digests");
    store.plan(&mailbox, &[alerting(50, 20)], at(1)).await.unwrap();
    let letters = claimed(&store, 1).await;
    let alerts = letters.iter().filter(|letter| matches!(letter.content, Content::Mail(_)));
    assert_eq!(alerts.count(), 2, "what seems to come later has no place in this hour");
}

async fn no_word_of_a_mail_outlives_its_alert(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    store.plan(&mailbox, &[alerting(5, 1), alerting(6, 1)], at(1)).await.unwrap();
    let letters = claimed(&store, 2).await;
    let Content::Mail(facts) = &letters[0].content else { panic!("{letters:?}") };
    assert_eq!(facts.subject.as_deref(), Some("Zebra\u{1b}fish"), "as it was written");
    let ends = [(LetterEnd::Sent, None), (LetterEnd::Failed, Some("550 no"))];
    for (letter, (end, reason)) in letters.iter().zip(ends) {
        store.end_letter(letter, end, reason, at(3)).await.unwrap();
    }
    let mut client = database.connect().await;
    let mut count = async |query: &'static str| -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut client).await.unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM outbox WHERE facts IS NOT NULL").await, 0);
    assert_eq!(count("SELECT count(*) FROM outbox").await, 4 + 2);
}

async fn who_was_overtaken_changes_nothing_of_a_mail_that_another_has(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    store.plan(&mailbox, &[alerting(5, 20)], at(1)).await.unwrap();
    let [frozen, late] = claimed(&store, 2).await.try_into().unwrap();
    assert_eq!(store.retake_letters(None, at(60)).await.unwrap(), 2);
    let [other, waiting] = claimed(&store, 3).await.try_into().unwrap();
    let (end, no) = (LetterEnd::Failed, Some("550 no"));
    assert!(!store.postpone_letter(&frozen, at(100), "450 later").await.unwrap());
    assert!(!store.end_letter(&frozen, end, no, at(4)).await.unwrap());
    assert!(store.end_letter(&other, LetterEnd::Sent, None, at(5)).await.unwrap());
    assert!(!store.end_letter(&frozen, end, no, at(6)).await.unwrap(), "it was sent");
    // What was taken back and is claimed by nobody was sent all the same.
    assert_eq!(store.retake_letters(None, at(60)).await.unwrap(), 1);
    assert!(!store.postpone_letter(&waiting, at(100), "450 later").await.unwrap());
    assert!(!store.end_letter(&late, LetterEnd::Sent, None, at(7)).await.unwrap(), "long ago");
    assert!(store.end_letter(&waiting, LetterEnd::Sent, None, at(7)).await.unwrap());
    let outbox = store.outbox(at(8)).await.unwrap();
    assert_eq!((outbox.waiting, outbox.failed), (0, 0));
}

async fn a_row_that_can_not_be_read_is_given_up_and_holds_no_other_up(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    store.plan(&mailbox, &[alerting(5, 20)], at(1)).await.unwrap();
    let spoil = "UPDATE outbox SET facts = '{zebra' WHERE recipient = 'one@example.org'";
    database.change(spoil).await;
    let [letter] = claimed(&store, 2).await.try_into().unwrap();
    assert_eq!(letter.recipient, ADDRESSES[1]);
    let outbox = store.outbox(at(3)).await.unwrap();
    assert_eq!((outbox.waiting, outbox.failed), (1, 1));
    let (_, reason) = outbox.last_failure.unwrap();
    assert!(reason.contains("the facts of an alert") && !reason.contains("zebra"), "{reason}");
}
