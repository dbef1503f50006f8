//! The store's promises, on a real database in a temporary folder.

use super::*;
use triaged_core::decision::{Decision, Target};
use triaged_core::mailbox::UidSet;
use triaged_core::outcome::Outcome;
use triaged_core::score::{Abstention, HeadPrediction, Prediction};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn uid_of(n: u32) -> Uid {
    Uid::new(n).expect("not zero")
}

fn cursor(validity: u32, next: u32) -> Cursor {
    Cursor {
        uid_validity: UidValidity::new(validity).expect("not zero"),
        next: uid_of(next),
        not_before: None,
    }
}

fn planned(n: u32, action: Action, add: &[&str]) -> PlannedMessage {
    PlannedMessage {
        uid: uid_of(n),
        identity: None,
        email: None,
        subject: None,
        action,
        prediction: Some(Prediction {
            heads: vec![HeadPrediction {
                head: "urgency".into(),
                label: "high".into(),
                confidence: 0.875,
                abstained: None,
                scores: vec![],
            }],
        }),
        model: Some("default-1".into()),
        defects: vec!["truncated"],
        decision: Decision::adding(add.iter().map(|text| text.parse().expect("a keyword"))),
        quarantined: false,
    }
}

async fn inbox(store: &Store) -> StoredMailbox {
    let account = store.account("alice", at(0)).await.expect("stored");
    store.begin_mailbox(account.id, "INBOX", cursor(1, 5)).await.expect("begun")
}

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
async fn the_first_start_and_the_cursor_outlive_a_restart() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mut mailbox = inbox(&store).await;
    store.settle(&mut mailbox, uid_of(9), &[], at(1)).await.expect("settled");
    let identity = store.identity(b"<a@b>", 7);
    store.close().await;
    drop(store);

    let store = Store::open(state.path()).await.expect("opened again");
    let account = store.account("alice", at(99)).await.expect("stored");
    assert_eq!(account.first_start, at(0));
    let again = store.mailbox(account.id, "INBOX").await.expect("read").expect("begun");
    assert_eq!(again.cursor, cursor(1, 9));
    assert_eq!(store.identity(b" <a@b>", 7), identity);
    assert_ne!(store.identity(b"<a@b>", 8), identity);
}

#[tokio::test]
async fn what_was_planned_and_not_settled_comes_back_once() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mut mailbox = inbox(&store).await;
    let chunk = [
        planned(5, Action::Label, &["t-urgent", "t-billing"]),
        planned(6, Action::Shadow, &["t-urgent"]),
        planned(7, Action::Label, &[]),
    ];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.expect("planned");
    assert_eq!(effects.len(), 2, "shadow and empty decisions have nothing to apply");
    assert_eq!(store.pending(&mailbox).await.expect("read"), effects);
    let decided = store.decided_uids(&mailbox).await.expect("read");
    assert_eq!(decided, BTreeSet::from([uid_of(5), uid_of(6), uid_of(7)]));
    assert!(store.plan(&mailbox, &chunk, at(2)).await.expect("planned again").is_empty());

    let done: Vec<_> = effects.into_iter().zip([EffectState::Done, EffectState::Done]).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(8), &done, at(3)).await.expect("settled");
    assert_eq!(outcomes, [(uid_of(5), Outcome::Labelled)]);
    assert!(store.pending(&mailbox).await.expect("read").is_empty());
    assert!(store.decided_uids(&mailbox).await.expect("read").is_empty());
}

#[tokio::test]
async fn a_message_is_labelled_only_when_all_its_effects_are_done() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mut mailbox = inbox(&store).await;
    let chunk = [planned(5, Action::Label, &["t-urgent", "t-billing"])];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.expect("planned");
    let ended: Vec<_> =
        effects.into_iter().zip([EffectState::Done, EffectState::Rejected]).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(6), &ended, at(2)).await.expect("settled");
    assert_eq!(outcomes, [(uid_of(5), Outcome::Rejected)]);
}

#[tokio::test]
async fn a_new_generation_gives_up_what_the_old_one_planned() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mailbox = inbox(&store).await;
    let chunk = [planned(5, Action::Label, &["t-urgent"])];
    store.plan(&mailbox, &chunk, at(1)).await.expect("planned");
    let anew =
        store.begin_mailbox(mailbox.account, "INBOX", cursor(2, 1)).await.expect("begun anew");
    assert_eq!(anew.id, mailbox.id);
    assert!(store.pending(&anew).await.expect("read").is_empty());
    let mut history = History::open(state.path(), Timestamp::MIN).await.expect("opened");
    assert_eq!(history.page().await.expect("read")[0].outcome, Outcome::Gone);
}

#[tokio::test]
async fn history_reads_beside_the_daemon_and_in_pages() {
    let state = tempfile::tempdir().expect("a folder");
    assert!(matches!(
        History::open(state.path(), Timestamp::MIN).await,
        Err(StoreError::Missing { .. })
    ));
    let store = Store::open(state.path()).await.expect("opened");
    let mailbox = inbox(&store).await;
    let many: Vec<_> = (10..1_210).map(|n| planned(n, Action::Label, &["t-urgent"])).collect();
    store.plan(&mailbox, &many, at(5)).await.expect("planned");
    let mut history = History::open(state.path(), at(1)).await.expect("opened");
    assert_eq!(history.facts().await.expect("read").messages, 1_200);
    history.verify(state.path()).await.expect("sound");
    let mut uids = Vec::new();
    loop {
        let page = history.page().await.expect("read");
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
    let mut none = History::open(state.path(), at(6)).await.expect("opened");
    assert!(none.page().await.expect("read").is_empty());
}

/// Rows from before migration 2 have no reason: then there was only one.
#[tokio::test]
async fn the_reason_of_an_abstention_is_remembered() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mailbox = inbox(&store).await;
    let reasons = [Abstention::Unsure, Abstention::Language, Abstention::TooLittleText];
    for (n, reason) in (10..).zip(reasons) {
        let mut message = planned(n, Action::Label, &[]);
        message.prediction = message.prediction.map(|prediction| prediction.abstaining(reason));
        store.plan(&mailbox, &[message], at(5)).await.expect("planned");
    }
    let old = "UPDATE prediction SET abstention = NULL WHERE abstention = 'unsure'";
    sqlx::query(old).execute(&store.pool).await.expect("made old");
    let mut history = History::open(state.path(), at(1)).await.expect("opened");
    let page = history.page().await.expect("read");
    let found: Vec<_> = page.iter().map(|row| row.heads[0].abstained).collect();
    assert_eq!(found, reasons.map(Some));
}

#[tokio::test]
async fn a_message_that_was_decided_elsewhere_is_found_by_its_identity() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mut mailbox = inbox(&store).await;
    let identity = store.identity(b"<one@host>", 1_000);
    let message = PlannedMessage { identity: Some(identity), ..planned(5, Action::Label, &[]) };
    store.plan(&mailbox, &[message], at(1)).await.expect("planned");
    let stranger = store.identity(b"<two@host>", 1_000);
    let found = store.earlier(mailbox.account, &[identity, stranger]).await.expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!(found[&identity][0].uid, uid_of(5));

    let moved = store.identity(b"<three@host>", 1_000);
    let cut = PlannedMessage { identity: Some(moved), ..planned(6, Action::Label, &["t-urgent"]) };
    let effects = store.plan(&mailbox, &[cut], at(1)).await.expect("planned");
    let found = store.earlier(mailbox.account, &[moved]).await.expect("read");
    assert!(found.is_empty(), "its label is not confirmed");
    let done = effects.into_iter().map(|effect| (effect, EffectState::Done)).collect::<Vec<_>>();
    store.settle(&mut mailbox, uid_of(7), &done, at(2)).await.expect("settled");
    let found = store.earlier(mailbox.account, &[moved]).await.expect("read");
    assert_eq!(found[&moved][0].uid, uid_of(6));
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mailbox = inbox(&store).await;
    let many: Vec<_> = (10..500).map(|n| planned(n, Action::Label, &["t-urgent"])).collect();
    store.plan(&mailbox, &many, at(5)).await.expect("planned");
    store.close().await;
    let path = store.path().to_owned();
    drop(store);
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

fn work() -> Target {
    Target::existing("Work").or_created()
}

/// A message that gets a keyword and is to be moved.
fn moved(n: u32, identity: Identity) -> PlannedMessage {
    let mut message = planned(n, Action::Label, &["t-urgent"]);
    message.decision.move_to = Some(work());
    PlannedMessage { identity: Some(identity), ..message }
}

fn landed(validity: u32, uid: u32) -> Landed {
    Landed { uid_validity: UidValidity::new(validity).expect("not zero"), uid: uid_of(uid) }
}

#[tokio::test]
async fn a_move_that_was_begun_is_known_for_it_after_a_restart() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mut mailbox = inbox(&store).await;
    let identity = store.identity(b"<one@host>", 1_000);
    let neighbour = planned(4, Action::Label, &["t-urgent"]);
    let chunk = [neighbour, moved(5, identity)];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.expect("planned");
    let (marks, mut moves): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| effect.mark().is_some());
    assert_eq!((marks.len(), moves.len()), (2, 1));
    let Landed { uid_validity, uid } = landed(3, 20);
    let begun = Begun { at: at(2), uid_validity, next: uid };
    let marks: Vec<_> = marks.into_iter().map(|mark| (mark, EffectState::Done)).collect();
    store.begin_moves(&marks, &mut moves, begun).await.expect("begun");

    let pending = store.pending(&mailbox).await.expect("read");
    assert_eq!(pending, moves, "its keyword is ticked off, the move is not");
    // A crash here once left it pending for ever, without an effect that anybody would finish.
    let mut history = History::open(state.path(), Timestamp::MIN).await.expect("opened");
    let outcomes: Vec<_> =
        history.page().await.expect("read").iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Labelled, Outcome::Pending], "a neighbour is settled");
    let Deed::Move(one) = &pending[0].deed else { panic!("it is the move") };
    assert_eq!((one.begun, one.copied, &one.target), (Some(begun), false, &work()));
    let found = store.earlier(mailbox.account, &[identity]).await.expect("read");
    assert_eq!(found.len(), 1, "whoever finds it elsewhere knows it");

    let Deed::Move(one) = &mut moves[0].deed else { panic!("it is the move") };
    one.landed = Some(landed(3, 21));
    store.copied(&mut moves).await.expect("written");
    let pending = store.pending(&mailbox).await.expect("read");
    assert!(matches!(&pending[0].deed, Deed::Move(one) if one.copied));
    let there = store.landed(mailbox.account, "Work", &begun).await.expect("read");
    assert_eq!(there, BTreeSet::from([uid_of(21)]));

    let ended = [(moves.remove(0), EffectState::Done)];
    let outcomes = store.settle(&mut mailbox, uid_of(6), &ended, at(3)).await.expect("settled");
    assert_eq!(outcomes, [(uid_of(5), Outcome::Moved)]);
    let work = store.begin_mailbox(mailbox.account, "Work", cursor(3, 1)).await.expect("begun");
    let decided = store.decided_uids(&work).await.expect("read");
    assert_eq!(decided, BTreeSet::from([uid_of(21)]), "it is not decided again where it is");
    let mut history = History::open(state.path(), Timestamp::MIN).await.expect("opened");
    let row = history.page().await.expect("read").remove(1);
    assert_eq!((row.moved_to.as_deref(), row.outcome), (Some("Work"), Outcome::Moved));
}

#[tokio::test]
async fn what_somebody_answered_first_is_no_failure() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mut mailbox = inbox(&store).await;
    let chunk = [
        planned(5, Action::Label, &["t-urgent", "t-billing"]),
        planned(6, Action::Label, &["t-urgent"]),
    ];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.expect("planned");
    let states = [EffectState::Done, EffectState::Yielded, EffectState::Yielded];
    let ended: Vec<_> = effects.into_iter().zip(states).collect();
    let outcomes = store.settle(&mut mailbox, uid_of(7), &ended, at(2)).await.expect("settled");
    assert_eq!(outcomes, [(uid_of(5), Outcome::Labelled), (uid_of(6), Outcome::Unlabelled)]);
}

#[tokio::test]
async fn attempts_outlive_a_crash_and_end_with_a_decision() {
    let state = tempfile::tempdir().expect("a folder");
    let store = Store::open(state.path()).await.expect("opened");
    let mailbox = inbox(&store).await;
    let all: UidSet = [5, 6].map(uid_of).into_iter().collect();
    store.begin_reading(&mailbox, &all).await.expect("written");
    store.begin_reading(&mailbox, &uid_of(6).into()).await.expect("written");
    let attempts = store.attempts(&mailbox).await.expect("read");
    assert_eq!(attempts, [(uid_of(5), 1), (uid_of(6), 2)].into());
    store.take_back(&mailbox, &all).await.expect("taken back");
    assert_eq!(store.attempts(&mailbox).await.expect("read"), [(uid_of(6), 1)].into());
    let mut bad = planned(6, Action::Label, &["t-unreadable"]);
    bad.quarantined = true;
    let effects =
        store.plan(&mailbox, &[planned(5, Action::Label, &[]), bad], at(1)).await.expect("planned");
    assert!(store.attempts(&mailbox).await.expect("read").is_empty());
    let mut settled = mailbox;
    let ended: Vec<_> = effects.into_iter().map(|effect| (effect, EffectState::Done)).collect();
    let outcomes = store.settle(&mut settled, uid_of(7), &ended, at(2)).await.expect("settled");
    assert_eq!(outcomes, [(uid_of(6), Outcome::Quarantined)]);
    assert_eq!(store.quarantined(&mailbox).await.expect("counted"), 1);

    let beside = Quarantine::open(state.path()).await.expect("opened beside");
    assert_eq!(beside.release(Some("nobody")).await.expect("none"), 0);
    assert_eq!(beside.release(Some("alice")).await.expect("released"), 1);
    assert_eq!(store.quarantined(&mailbox).await.expect("counted"), 0);
    let asked = store.mailboxes_to_retry(mailbox.account).await.expect("read");
    assert_eq!(asked, ["INBOX"]);
    let accounts = store.accounts_with_requests().await.expect("read");
    assert_eq!(accounts, BTreeSet::from([mailbox.account]));
}
