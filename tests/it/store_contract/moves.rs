//! Moves: what is known of one that was cut off.

use std::collections::BTreeSet;

use jiff::Timestamp;
use triaged::store::{Action, Begun, Deed, EffectState, History, Identity, Landed, PlannedMessage};
use triaged_core::decision::Target;
use triaged_core::outcome::Outcome;

use super::{at, cursor, generation, inbox, planned, uid_of};
use crate::harness::{Database, on_each_database};

on_each_database! {
    a_move_that_was_begun_is_known_for_it_after_a_restart,
    a_neighbour_of_what_is_moved_is_settled_before_the_server_is_told,
    a_copy_that_somebody_has_removed_is_forgotten,
}

fn work() -> Target {
    Target::existing("Work").or_created()
}

/// A message that gets a keyword and is to be moved.
fn moved(n: u32, identity: Identity) -> PlannedMessage {
    let mut message = planned(n, Action::Label, &["t-urgent"]);
    message.decision.move_to = Some(work().into());
    PlannedMessage { identity: Some(identity), ..message }
}

fn landed(validity: u32, uid: u32) -> Landed {
    Landed { uid_validity: generation(validity), uid: uid_of(uid) }
}

async fn a_move_that_was_begun_is_known_for_it_after_a_restart(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let identity = store.identity(b"<one@host>", 1_000);
    let effects = store.plan(&mailbox, &[moved(5, identity)], at(1)).await.unwrap();
    let (marks, mut moves): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| effect.mark().is_some());
    assert_eq!((marks.len(), moves.len()), (1, 1));
    let Landed { uid_validity, uid } = landed(3, 20);
    let begun = Begun { at: at(2), uid_validity, next: uid };
    let marks: Vec<_> = marks.into_iter().map(|mark| (mark, EffectState::Done)).collect();
    store.begin_moves(&marks, &mut moves, begun).await.unwrap();

    let pending = store.pending(&mailbox).await.unwrap();
    assert_eq!(pending, moves, "its keyword is ticked off, the move is not");
    let Deed::Move(one) = &pending[0].deed else { panic!("it is the move") };
    assert_eq!((one.begun, one.copied, &one.target), (Some(begun), false, &work()));
    let found = store.earlier(mailbox.account, &[identity]).await.unwrap();
    assert_eq!(found.len(), 1, "whoever finds it elsewhere knows it");

    let Deed::Move(one) = &mut moves[0].deed else { panic!("it is the move") };
    one.landed = Some(landed(3, 21));
    store.copied(&mut moves).await.unwrap();
    let pending = store.pending(&mailbox).await.unwrap();
    assert!(matches!(&pending[0].deed, Deed::Move(one) if one.copied));
    let there = store.landed(mailbox.account, "Work", &begun, &[]).await.unwrap();
    assert_eq!(there, BTreeSet::from([uid_of(21)]));
    let others = store.landed(mailbox.account, "Work", &begun, &[&moves[0]]).await.unwrap();
    assert_eq!(others, BTreeSet::new(), "whoever looks for its copy may find it");

    let ended = [(moves.remove(0), EffectState::Done)];
    let outcomes = store.settle(&mut mailbox, uid_of(6), &ended, at(3)).await.unwrap();
    assert_eq!(outcomes, [(uid_of(5), Outcome::Moved)]);
    let work = store.begin_mailbox(mailbox.account, "Work", cursor(3, 1)).await.unwrap();
    let decided = store.decided_uids(&work).await.unwrap();
    assert_eq!(decided, BTreeSet::from([uid_of(21)]), "it is not decided again where it is");
    let mut history = History::open(database.location(), Timestamp::MIN).await.unwrap();
    let row = history.page().await.unwrap().remove(0);
    assert_eq!((row.moved_to.as_deref(), row.outcome), (Some("Work"), Outcome::Moved));
}

/// A crash in the move once left it pending for ever, without an effect that anybody would finish.
async fn a_neighbour_of_what_is_moved_is_settled_before_the_server_is_told(database: Database) {
    let store = database.open().await;
    let mailbox = inbox(&store).await;
    let neighbour = planned(4, Action::Label, &["t-urgent"]);
    let chunk = [neighbour, moved(5, store.identity(b"<one@host>", 1_000))];
    let effects = store.plan(&mailbox, &chunk, at(1)).await.unwrap();
    let (marks, mut moves): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| effect.mark().is_some());
    let marks: Vec<_> = marks.into_iter().map(|mark| (mark, EffectState::Done)).collect();
    let begun = Begun { at: at(2), uid_validity: generation(3), next: uid_of(20) };
    store.begin_moves(&marks, &mut moves, begun).await.unwrap();
    let mut history = History::open(database.location(), Timestamp::MIN).await.unwrap();
    let rows = history.page().await.unwrap();
    let outcomes: Vec<Outcome> = rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Labelled, Outcome::Pending]);
}

async fn a_copy_that_somebody_has_removed_is_forgotten(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let begun = Begun { at: at(2), uid_validity: generation(3), next: uid_of(20) };
    for (n, begins_anew) in [(5, false), (6, true)] {
        let identity = store.identity(b"<one@host>", u64::from(n));
        let effects = store.plan(&mailbox, &[moved(n, identity)], at(1)).await.unwrap();
        let (marks, mut moves): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|effect| effect.mark().is_some());
        let marks: Vec<_> = marks.into_iter().map(|mark| (mark, EffectState::Done)).collect();
        store.begin_moves(&marks, &mut moves, begun).await.unwrap();
        let Deed::Move(one) = &mut moves[0].deed else { panic!("it is the move") };
        one.landed = Some(landed(3, 20 + n));
        store.copied(&mut moves).await.unwrap();
        let there = store.landed(mailbox.account, "Work", &begun, &[]).await.unwrap();
        assert_eq!(there, BTreeSet::from([uid_of(20 + n)]));
        let Deed::Move(one) = &mut moves[0].deed else { panic!("it is the move") };
        (one.copied, one.landed) = (false, None);
        if begins_anew {
            store.begin_moves(&[], &mut moves, begun).await.unwrap();
        }
        let ended = [(moves.remove(0), EffectState::Rejected)];
        store.settle(&mut mailbox, uid_of(n + 1), &ended, at(3)).await.unwrap();
        let there = store.landed(mailbox.account, "Work", &begun, &[]).await.unwrap();
        assert_eq!(there, BTreeSet::new(), "it is where it was");
    }
}
