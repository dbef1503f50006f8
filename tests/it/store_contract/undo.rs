//! Taking back: what a request means, what is known of one that was cut off, and what of it stays.

use jiff::Timestamp;
use triaged::store::{
    Action, Begun, Deed, EffectState, History, HistoryRow, Landed, MessageName, PlannedMessage,
    RemovalMailbox, RemovalState, Selection, Store, StoredMailbox, TakenBack, UndoItem, UndoState,
    Undos,
};
use triaged_core::decision::{Asked, Flag, Mark, Target};
use triaged_core::mailbox::AccountId;
use triaged_core::outcome::Outcome;

use super::{at, generation, inbox, planned, uid_of};
use crate::harness::{Database, on_each_database};

on_each_database! {
    a_request_means_what_was_done_when_it_was_made,
    what_was_begun_is_known_after_a_restart_and_a_move_back_is_decided_there,
    what_is_let_go_after_it_was_looked_up_is_not_begun,
    what_somebody_changed_is_kept_and_may_be_asked_for_again,
    messages_are_named_by_message_id_and_rules_by_their_name,
    what_is_refused_time_and_again_is_given_up,
    what_was_only_copied_back_is_where_it_was_and_its_copy_is_looked_for,
    where_a_moved_message_is_may_be_unknown,
    a_removal_goes_through_its_mailboxes_and_marks_what_was_written_before,
    a_removal_that_is_asked_for_again_searches_all_mailboxes_again,
    a_removal_that_is_cancelled_marks_nothing,
}

/// A message with a label, and what a rule adds: a star, and the way to Work.
fn handled(store: &Store, n: u32) -> PlannedMessage {
    let mut message = planned(n, Action::Label, &["t-urgent"]);
    let by_rule = |what| Asked { what, rule: Some("handle".into()) };
    message.decision.marks.push(by_rule(Mark::Add(Flag::Flagged)));
    let target = Target::existing("Work");
    message.decision.move_to = Some(Asked { what: target, rule: Some("handle".into()) });
    let identity = Some(store.identity(format!("{n}@host").as_bytes(), 1_000));
    PlannedMessage { identity, message_id: Some(store.message_id(&format!("{n}@host"))), ..message }
}

/// Messages of the INBOX that are labelled and were moved to Work, the first one to the UID 20 there.
async fn done(store: &Store, numbers: &[u32]) -> StoredMailbox {
    let mut mailbox = inbox(store).await;
    let messages: Vec<_> = numbers.iter().map(|n| handled(store, *n)).collect();
    let effects = store.plan(&mailbox, &messages, at(1)).await.unwrap();
    let mut uid = 20;
    let ended: Vec<_> = effects
        .into_iter()
        .map(|mut effect| {
            if let Deed::Move(one) = &mut effect.deed {
                one.landed = Some(Landed { uid_validity: generation(3), uid: uid_of(uid) });
                uid += 1;
            }
            (effect, EffectState::Done)
        })
        .collect();
    store.settle(&mut mailbox, uid_of(9), &ended, at(2)).await.unwrap();
    mailbox
}

fn all(account: AccountId) -> Selection {
    Selection { since: Some(at(0)), accounts: vec![account], ..Selection::default() }
}

async fn rows(database: &Database) -> Vec<HistoryRow> {
    let mut history = History::open(database.location(), Timestamp::MIN).await.unwrap();
    history.page().await.unwrap()
}

fn ended(item: &UndoItem, state: UndoState) -> TakenBack {
    TakenBack { item: item.clone(), state, reason: None, flags_off: state == UndoState::Undone }
}

async fn a_request_means_what_was_done_when_it_was_made(database: Database) {
    let store = database.open().await;
    let mailbox = done(&store, &[5, 6]).await;
    let undos = Undos::open(database.location()).await.unwrap();
    let (expected, messages) = undos.expect(&all(mailbox.account)).await.unwrap();
    let shown: Vec<_> = expected
        .iter()
        .map(|one| (&*one.mailbox, &*one.argument, one.back_to.as_deref(), one.messages))
        .collect();
    let lines = [
        ("Work", "Work", Some("INBOX"), 2),
        ("Work", "\\Flagged", None, 2),
        ("Work", "t-urgent", None, 2),
    ];
    for line in lines {
        assert!(shown.contains(&line), "{line:?} in {shown:?}");
    }
    assert_eq!((shown.len(), messages), (3, 2));
    assert!(store.next_undo(mailbox.account).await.unwrap().is_none(), "nothing was asked for");

    let (request, count) = undos.ask(&all(mailbox.account), at(3)).await.unwrap();
    assert_eq!(count, 2);
    let waiting = store.accounts_with_requests().await.unwrap();
    assert!(waiting.contains(&mailbox.account));
    let batch = store.next_undo(mailbox.account).await.unwrap().unwrap();
    assert_eq!((batch.request, &*batch.place.mailbox), (request, "Work"));
    let item = &batch.items[0];
    assert_eq!((item.uid, item.back_to.as_deref()), (Some(uid_of(20)), Some("INBOX")));
    assert_eq!(item.flags.len(), 2, "the keyword and the star");
    assert!(!item.begun && item.back.is_none());

    let before = at(-1);
    let nothing = Selection { since: Some(at(2)), ..all(mailbox.account) };
    assert_eq!(undos.ask(&nothing, before).await.unwrap().1, 0, "decided earlier");
    let nobody = Selection { accounts: vec![], ..all(mailbox.account) };
    assert_eq!(undos.ask(&nobody, before).await.unwrap().1, 0, "of no account");
    assert_eq!(undos.cancel().await.unwrap(), 2);
    assert!(store.next_undo(mailbox.account).await.unwrap().is_none());
}

async fn what_was_begun_is_known_after_a_restart_and_a_move_back_is_decided_there(
    database: Database,
) {
    let store = database.open().await;
    let mailbox = done(&store, &[5]).await;
    let undos = Undos::open(database.location()).await.unwrap();
    let (request, _) = undos.ask(&all(mailbox.account), at(3)).await.unwrap();
    let mut items = store.next_undo(mailbox.account).await.unwrap().unwrap().items;
    store.begin_undo(request, &mut items).await.unwrap();
    assert!(rows(&database).await[0].effects.iter().all(|one| one.state == EffectState::Undoing));
    assert_eq!(store.pending(&mailbox).await.unwrap(), [], "nothing is to be done there");

    // Another life of the daemon: what was begun comes back, with its move.
    let again = store.next_undo(mailbox.account).await.unwrap().unwrap().items.remove(0);
    assert!(again.begun && again.back.is_some());
    assert_eq!((&again.back, &again.flags), (&items[0].back, &items[0].flags));
    // A cancel does not leave it half-way.
    assert_eq!(undos.cancel().await.unwrap(), 0);

    let mut back = again.back.clone().unwrap();
    let Deed::Move(one) = &mut back.deed else { panic!("it is a move") };
    assert_eq!(one.target, Target::existing("INBOX"));
    one.landed = Some(Landed { uid_validity: generation(1), uid: uid_of(30) });
    let moves = [(back, EffectState::Done)];
    let taken = [ended(&again, UndoState::Undone)];
    store.settle_undo(request, &taken, &moves, at(4)).await.unwrap();
    let decided = store.decided_uids(&mailbox).await.unwrap();
    assert!(decided.contains(&uid_of(30)), "it is not decided again where it came back to");
    let identity = store.identity(b"5@host", 1_000);
    let found = store.earlier(mailbox.account, &[identity]).await.unwrap();
    assert_eq!(found.len(), 1, "nor anywhere else");
    let row = rows(&database).await.remove(0);
    assert_eq!(row.outcome, Outcome::Undone);
    let states: Vec<_> = row.effects.iter().map(|one| (&*one.kind, one.state)).collect();
    let undone = EffectState::Undone;
    let expected = [
        ("add-keyword", undone),
        ("flag", undone),
        ("move", undone),
        ("move-back", EffectState::Done),
    ];
    assert_eq!(states, expected);
    let progress = undos.progress(request).await.unwrap();
    assert_eq!((progress.total(), progress.left(), progress.count(UndoState::Undone)), (1, 0, 1));
    assert_eq!(undos.ask(&all(mailbox.account), at(5)).await.unwrap().1, 0, "nothing is left");
}

/// Its effects once became `undoing` all the same, and stayed that for ever when a crash came then.
async fn what_is_let_go_after_it_was_looked_up_is_not_begun(database: Database) {
    let store = database.open().await;
    let account = done(&store, &[5, 6, 7]).await.account;
    let undos = Undos::open(database.location()).await.unwrap();
    let (request, _) = undos.ask(&all(account), at(3)).await.unwrap();
    let mut first = store.next_undo(account).await.unwrap().unwrap().items;
    first.truncate(1);
    store.begin_undo(request, &mut first).await.unwrap();
    let mut items = store.next_undo(account).await.unwrap().unwrap().items;
    assert_eq!(undos.cancel().await.unwrap(), 2);
    store.begin_undo(request, &mut items).await.unwrap();
    let begun: Vec<_> = items.iter().map(|item| (item.uid, item.begun)).collect();
    assert_eq!(begun, [(Some(uid_of(20)), true)], "the one that was begun before");
    for row in &rows(&database).await[1..] {
        let kinds: Vec<_> = row.effects.iter().map(|one| (&*one.kind, one.state)).collect();
        let done = ["add-keyword", "flag", "move"].map(|kind| (kind, EffectState::Done));
        assert_eq!(kinds, done, "it is as it was");
    }

    let (_, stars) = undos.ask_removal(account, at(4)).await.unwrap();
    let settled = [ended(&items[0], UndoState::Undone)];
    store.settle_undo(request, &settled, &[], at(4)).await.unwrap();
    let mut items = store.next_undo(account).await.unwrap().unwrap().items;
    assert_eq!(items.len(), 2);
    assert!(undos.cancel_removal(account).await.unwrap());
    store.begin_undo(stars, &mut items).await.unwrap();
    assert_eq!(items, [], "stars, too");
    assert_eq!(undos.ask(&all(account), at(5)).await.unwrap().1, 2, "they may be asked for again");
}

async fn what_somebody_changed_is_kept_and_may_be_asked_for_again(database: Database) {
    let store = database.open().await;
    let mailbox = done(&store, &[5, 6]).await;
    let undos = Undos::open(database.location()).await.unwrap();
    let (request, _) = undos.ask(&all(mailbox.account), at(3)).await.unwrap();
    let items = store.next_undo(mailbox.account).await.unwrap().unwrap().items;
    let taken = [ended(&items[0], UndoState::Kept), ended(&items[1], UndoState::Gone)];
    store.settle_undo(request, &taken, &[], at(4)).await.unwrap();
    let progress = undos.progress(request).await.unwrap();
    let counts = [UndoState::Kept, UndoState::Gone].map(|state| progress.count(state));
    assert_eq!((counts, progress.waiting.len()), ([1, 1], 0));
    for row in rows(&database).await {
        assert_eq!(row.outcome, Outcome::Moved, "it is as it was");
        assert!(row.effects.iter().all(|one| one.state == EffectState::Kept), "{row:?}");
    }
    assert_eq!(undos.ask(&all(mailbox.account), at(5)).await.unwrap().1, 2);
}

async fn messages_are_named_by_message_id_and_rules_by_their_name(database: Database) {
    let store = database.open().await;
    let mailbox = done(&store, &[5, 6]).await;
    let undos = Undos::open(database.location()).await.unwrap();
    let count = async |selection: Selection| undos.expect(&selection).await.unwrap().1;
    let none = Selection { accounts: vec![mailbox.account], ..Selection::default() };
    let id = |id: &str| Some(MessageName::Id(id.to_owned()));
    assert_eq!(count(Selection { message: id("6@host"), ..none.clone() }).await, 1);
    assert_eq!(count(Selection { message: id("7@host"), ..none.clone() }).await, 0);
    let number = Some(MessageName::Number(rows(&database).await[0].number));
    assert_eq!(count(Selection { message: number, ..none.clone() }).await, 1);
    let model = |name: &str| Selection { model: Some(name.to_owned()), ..none.clone() };
    assert_eq!((count(model("default-1")).await, count(model("default-2")).await), (2, 0));
    let rule = |name: &str| Selection { rule: Some(name.to_owned()), ..none.clone() };
    assert_eq!((count(rule("handle")).await, count(rule("other")).await), (2, 0));

    undos.ask(&rule("handle"), at(3)).await.unwrap();
    let item = store.next_undo(mailbox.account).await.unwrap().unwrap().items.remove(0);
    assert_eq!((item.flags, item.ours.len()), (vec![Flag::Flagged], 2));
    assert!(item.back_to.is_some(), "the move is the rule's");
}

async fn what_is_refused_time_and_again_is_given_up(database: Database) {
    let store = database.open().await;
    let mailbox = done(&store, &[5]).await;
    let undos = Undos::open(database.location()).await.unwrap();
    let (request, _) = undos.ask(&all(mailbox.account), at(3)).await.unwrap();
    let batch = store.next_undo(mailbox.account).await.unwrap().unwrap();
    assert_eq!(store.count_undo_attempt(&batch, 2, "no", at(4)).await.unwrap(), 0);
    assert_eq!(store.count_undo_attempt(&batch, 2, "no", at(4)).await.unwrap(), 1);
    assert!(store.next_undo(mailbox.account).await.unwrap().is_none());
    let progress = undos.progress(request).await.unwrap();
    assert_eq!(progress.reasons, [("no".to_owned(), 1)]);
    assert_eq!(undos.ask(&all(mailbox.account), at(5)).await.unwrap().1, 1, "it is still there");
}

/// Asked for again, such a message once counted as taken back and stayed, or was copied anew.
async fn what_was_only_copied_back_is_where_it_was_and_its_copy_is_looked_for(database: Database) {
    let store = database.open().await;
    let account = done(&store, &[5]).await.account;
    let undos = Undos::open(database.location()).await.unwrap();
    let (request, _) = undos.ask(&all(account), at(3)).await.unwrap();
    let mut items = store.next_undo(account).await.unwrap().unwrap().items;
    store.begin_undo(request, &mut items).await.unwrap();
    let mut backs = [items[0].back.clone().unwrap()];
    let begun = Begun { at: at(3), uid_validity: generation(1), next: uid_of(30) };
    store.begin_moves(&[], &mut backs, begun).await.unwrap();
    let Deed::Move(one) = &mut backs[0].deed else { panic!("it is a move") };
    one.landed = Some(Landed { uid_validity: generation(1), uid: uid_of(30) });
    store.copied(&mut backs).await.unwrap();
    let moves = backs.map(|back| (back, EffectState::Rejected));
    let refused = TakenBack { flags_off: true, ..ended(&items[0], UndoState::Refused) };
    store.settle_undo(request, &[refused], &moves, at(4)).await.unwrap();
    assert_eq!(rows(&database).await[0].moved_to.as_deref(), Some("Work"), "its copy is no move");

    let (request, _) = undos.ask(&all(account), at(5)).await.unwrap();
    let batch = store.next_undo(account).await.unwrap().unwrap();
    assert_eq!((batch.request, &*batch.place.mailbox), (request, "Work"));
    assert_eq!(batch.place.uid_validity, Some(generation(3)));
    let mut items = batch.items;
    assert_eq!((items[0].uid, &*items[0].flags), (Some(uid_of(20)), &[][..]));
    assert_eq!(items[0].back_to.as_deref(), Some("INBOX"));
    store.begin_undo(request, &mut items).await.unwrap();
    let Deed::Move(back) = items[0].back.clone().unwrap().deed else { panic!("it is a move") };
    assert_eq!((back.begun, back.copied), (Some(begun), false));
    let again = store.next_undo(account).await.unwrap().unwrap().items.remove(0);
    assert_eq!(again.back, items[0].back, "the next life knows it, too");
}

async fn where_a_moved_message_is_may_be_unknown(database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let effects = store.plan(&mailbox, &[handled(&store, 5)], at(1)).await.unwrap();
    let ended: Vec<_> = effects.into_iter().map(|one| (one, EffectState::Done)).collect();
    store.settle(&mut mailbox, uid_of(9), &ended, at(2)).await.unwrap();
    let undos = Undos::open(database.location()).await.unwrap();
    undos.ask(&all(mailbox.account), at(3)).await.unwrap();
    let batch = store.next_undo(mailbox.account).await.unwrap().unwrap();
    assert_eq!((&*batch.place.mailbox, batch.place.uid_validity), ("Work", None));
    assert_eq!((batch.items[0].uid, batch.items[0].back_to.as_deref()), (None, Some("INBOX")));
}

async fn a_removal_goes_through_its_mailboxes_and_marks_what_was_written_before(
    database: Database,
) {
    let store = database.open().await;
    let mailbox = done(&store, &[5]).await;
    let account = mailbox.account;
    let undos = Undos::open(database.location()).await.unwrap();
    let written = undos.written(account).await.unwrap();
    let written: Vec<_> = written.iter().map(|one| (&*one.keyword, one.messages)).collect();
    assert!(written.contains(&("t-urgent", 1)) && written.contains(&("\\Flagged", 1)));
    let (removal, stars) = undos.ask_removal(account, at(3)).await.unwrap();
    assert_eq!(undos.ask_removal(account, at(3)).await.unwrap().0, removal, "it is taken up");
    assert_eq!(undos.progress(stars).await.unwrap().total(), 1);
    let item = store.next_undo(account).await.unwrap().unwrap().items.remove(0);
    assert_eq!((item.flags, item.back_to), (vec![Flag::Flagged], None), "only the star");

    let next = store.next_removal(account).await.unwrap().unwrap();
    assert!(!next.listed && next.written.is_empty());
    let known = store.known_mailboxes(account).await.unwrap();
    assert!(known.contains(&"INBOX".to_owned()) && known.contains(&"Work".to_owned()));
    let added = store.list_removal(removal, account, &known).await.unwrap();
    assert_eq!(added, known.len() as u64);
    let next = store.next_removal(account).await.unwrap().unwrap();
    assert_eq!((next.listed, next.written), (true, vec!["t-urgent".parse().unwrap()]));
    store.end_removal(removal, account).await.unwrap();
    assert!(store.next_removal(account).await.unwrap().is_some(), "some are not gone through");
    while let Some(name) = store.next_removal_mailbox(removal).await.unwrap() {
        assert!(store.count_removal_attempt(removal, &name).await.unwrap() > 0);
        let done = RemovalMailbox { name, removed: 2, state: RemovalState::Done, reason: None };
        store.advance_removal(removal, &done).await.unwrap();
    }
    store.end_removal(removal, account).await.unwrap();
    let removed = undos.removed(removal).await.unwrap();
    assert!(removed.ended && removed.mailboxes.iter().all(|one| one.removed == 2));
    assert!(store.next_removal(account).await.unwrap().is_none());
    let effects = rows(&database).await.remove(0).effects;
    assert_eq!(effects[0].state, EffectState::Undone, "{effects:?}");
    assert_eq!(effects[2].state, EffectState::Done, "it stays where it was moved to");
}

async fn a_removal_that_is_asked_for_again_searches_all_mailboxes_again(database: Database) {
    let store = database.open().await;
    let account = done(&store, &[5]).await.account;
    let undos = Undos::open(database.location()).await.unwrap();
    let (removal, _) = undos.ask_removal(account, at(3)).await.unwrap();
    let names = ["INBOX", "Work"].map(str::to_owned);
    assert_eq!(store.list_removal(removal, account, &names).await.unwrap(), 2);
    let ends = [(RemovalState::Done, None), (RemovalState::Failed, Some("no".to_owned()))];
    for (name, (state, reason)) in names.iter().cloned().zip(ends) {
        store.count_removal_attempt(removal, &name).await.unwrap();
        let ended = RemovalMailbox { name, removed: 2, state, reason };
        store.advance_removal(removal, &ended).await.unwrap();
    }
    assert_eq!(store.next_removal_mailbox(removal).await.unwrap(), None);

    assert_eq!(undos.ask_removal(account, at(4)).await.unwrap().0, removal, "it is taken up");
    // The daemon was about to end it.
    store.end_removal(removal, account).await.unwrap();
    let next = store.next_removal(account).await.unwrap().expect("it goes on");
    assert!(!next.listed, "a mailbox may have been made since");
    let more = [names[0].clone(), names[1].clone(), "Made".to_owned()];
    assert_eq!(store.list_removal(removal, account, &more).await.unwrap(), 1);
    let open = |name: &str, removed| RemovalMailbox {
        name: name.to_owned(),
        removed,
        state: RemovalState::Open,
        reason: None,
    };
    let removed = undos.removed(removal).await.unwrap();
    assert_eq!(removed.mailboxes, [open("INBOX", 2), open("Made", 0), open("Work", 2)]);
    assert_eq!(store.count_removal_attempt(removal, "Work").await.unwrap(), 1, "counted anew");
}

async fn a_removal_that_is_cancelled_marks_nothing(database: Database) {
    let store = database.open().await;
    let account = done(&store, &[5]).await.account;
    let undos = Undos::open(database.location()).await.unwrap();
    assert!(!undos.cancel_removal(account).await.unwrap(), "nothing is asked for");
    let (removal, stars) = undos.ask_removal(account, at(3)).await.unwrap();
    store.list_removal(removal, account, &[]).await.unwrap();
    assert!(!undos.cancel_removal(AccountId(account.0 + 1)).await.unwrap(), "of another account");
    assert!(store.removal_is_open(removal).await.unwrap());
    assert!(undos.cancel_removal(account).await.unwrap());
    assert!(!store.removal_is_open(removal).await.unwrap());
    assert!(store.next_removal(account).await.unwrap().is_none());
    assert!(store.next_undo(account).await.unwrap().is_none(), "its stars stay");
    assert_eq!(undos.progress(stars).await.unwrap().total(), 0);
    // The daemon was about to end it.
    store.end_removal(removal, account).await.unwrap();
    let removed = undos.removed(removal).await.unwrap();
    assert!(removed.cancelled && !removed.ended);
    let effects = rows(&database).await.remove(0).effects;
    assert!(effects.iter().all(|one| one.state == EffectState::Done), "{effects:?}");

    let (again, _) = undos.ask_removal(account, at(4)).await.unwrap();
    assert_ne!(again, removal, "it begins anew");
}
