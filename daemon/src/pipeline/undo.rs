//! Taking back what was done to messages, where nobody has changed it since: flags come off, and then
//! a message goes back to where it was.
//!
//! Flags come first, as they do on the way there: under this UID the message is known for certain, and
//! UNCHANGEDSINCE makes sure that nobody changes it meanwhile, which no move can. What somebody has
//! changed is left as it is, as a whole.

use std::collections::{BTreeMap, BTreeSet};

use triaged_core::decision::{Flag, MailboxChange};
use triaged_core::mailbox::{AccountId, Uid, UidSet};
use triaged_core::undo::is_changed;

use super::moves::Source;
use super::{FlowError, Pipeline};
use crate::imap::{ImapError, Seen, Session};
use crate::store::{
    EffectState, Marks, PendingEffect, TakenBack, UndoBatch, UndoItem, UndoPlace, UndoState,
};

/// How often a change is tried at a message that others change at the same time.
const ROUNDS: usize = 4;
/// How often an error may come in between before messages are given up.
const MOST_ATTEMPTS: u32 = 20;

/// How a message ends of which nothing is taken back, and why.
type End = (UndoState, Option<String>);

/// Messages of one mailbox on their way.
struct Work {
    source: Source,
    /// Those that are taken back.
    open: Vec<UndoItem>,
    taken: Vec<TakenBack>,
}

impl Work {
    fn end(&mut self, item: UndoItem, (state, reason): End, flags_off: bool) {
        self.taken.push(TakenBack { item, state, reason, flags_off });
    }
}

impl Pipeline {
    /// Takes back what was done to the next messages that somebody has asked for. `false` where
    /// nothing is asked for, and no mailbox was opened.
    pub async fn undo(&self, session: &mut Session, account: AccountId) -> Result<bool, FlowError> {
        let Some(batch) = self.store.next_undo(account).await? else { return Ok(false) };
        match self.undo_batch(session, account, &batch).await {
            Err(FlowError::Imap(error)) if !passes(&error) => {
                let (reason, now) = (error.to_string(), self.clock.now());
                let tired =
                    self.store.count_undo_attempt(&batch, MOST_ATTEMPTS, &reason, now).await?;
                if tired > 0 {
                    tracing::warn!(mailbox = batch.place.mailbox, messages = tired, %error, "messages can not be taken back");
                }
                if error.ends_connection() { Err(error.into()) } else { Ok(true) }
            }
            done => done.map(|()| true),
        }
    }

    async fn undo_batch(
        &self,
        session: &mut Session,
        account: AccountId,
        batch: &UndoBatch,
    ) -> Result<(), FlowError> {
        let source = match self.enter(session, account, &batch.place).await? {
            Ok(source) => source,
            Err((state, reason)) => {
                let end = |item: &UndoItem| TakenBack {
                    item: item.clone(),
                    state,
                    reason: reason.clone(),
                    flags_off: false,
                };
                let taken: Vec<TakenBack> = batch.items.iter().map(end).collect();
                return self.settle_undo(batch.request, &taken, &[]).await;
            }
        };
        let mut work = Work { source, open: Vec::new(), taken: Vec::new() };
        let seen = session.look(&uids(&batch.items)).await?;
        self.sort_undo(session, &mut work, batch, &seen).await?;
        self.store.begin_undo(batch.request, &mut work.open).await?;
        let off = self.take_off(session, &mut work, seen).await?;
        let moves = self.move_back(session, &mut work, off).await?;
        self.settle_undo(batch.request, &work.taken, &moves).await
    }

    /// Opens the mailbox of messages; or how they end because they are not to be had.
    async fn enter(
        &self,
        session: &mut Session,
        account: AccountId,
        place: &UndoPlace,
    ) -> Result<Result<Source, End>, FlowError> {
        let name = &place.mailbox;
        let refused = |reason| Ok(Err((UndoState::Refused, Some(reason))));
        let Some(generation) = place.uid_validity else {
            return refused(format!("the server never said where it is in {name:?}"));
        };
        match session.select(name).await {
            Ok(selected) if selected.status.uid_validity == generation => {
                Ok(Ok(Source::new(session, name, account, selected)))
            }
            Ok(_) => Ok(Err((UndoState::Gone, None))),
            // Under another name all of it may still be there.
            Err(ImapError::MailboxGone(_)) => {
                refused(format!("there is no mailbox {name:?} any more"))
            }
            Err(error) if error.ends_connection() || passes(&error) => Err(error.into()),
            Err(error) => refused(error.to_string()),
        }
    }

    /// Finds out of which messages something may be taken back.
    async fn sort_undo(
        &self,
        session: &mut Session,
        work: &mut Work,
        batch: &UndoBatch,
        seen: &Seen,
    ) -> Result<(), FlowError> {
        let fresh = |item: &&UndoItem| !item.begun;
        let known =
            batch.items.iter().filter(fresh).filter_map(|item| Some((item.uid?, item.marks)));
        let known: Vec<(Uid, Marks)> = known.collect();
        let compared = self.compare(session, &known).await?;
        let others = compared.iter().filter(|(_, same)| !same).map(|(uid, _)| *uid);
        let others: BTreeSet<Uid> = others.collect();
        let targets = self.missing_targets(session, &batch.items).await?;
        for item in &batch.items {
            let end = if item.begun {
                gone_meanwhile(item, seen)
            } else {
                self.how_it_ends(item, work, seen, &others, &targets)
            };
            match end {
                Some(end) => work.end(item.clone(), end, false),
                None => work.open.push(item.clone()),
            }
        }
        Ok(())
    }

    /// Mailboxes that messages can not go back to, each with the reason.
    async fn missing_targets(
        &self,
        session: &mut Session,
        items: &[UndoItem],
    ) -> Result<BTreeMap<String, String>, FlowError> {
        let targets: BTreeSet<&String> = items.iter().filter_map(|i| i.back_to.as_ref()).collect();
        let mut missing = BTreeMap::new();
        for target in targets {
            match session.status(target).await {
                Ok(_) => {}
                Err(error) if error.ends_connection() || passes(&error) => return Err(error.into()),
                Err(error) => {
                    missing.insert(target.clone(), format!("it can not go back: {error}"));
                }
            }
        }
        Ok(missing)
    }

    /// How a message ends without anything being taken back; `None` where it is as we left it.
    fn how_it_ends(
        &self,
        item: &UndoItem,
        work: &Work,
        seen: &Seen,
        others: &BTreeSet<Uid>,
        missing: &BTreeMap<String, String>,
    ) -> Option<End> {
        if item.flags.is_empty() && item.back_to.is_none() {
            // Another request was faster.
            return Some((UndoState::Undone, None));
        }
        let selected = &work.source.selected;
        let there = item.uid.filter(|uid| !others.contains(uid));
        let Some(flags) = there.and_then(|uid| seen.messages.get(&uid)) else {
            return Some((UndoState::Gone, None));
        };
        if self.changed(item, flags) {
            return Some((UndoState::Kept, None));
        }
        let refused = |reason: &str| Some((UndoState::Refused, Some(reason.to_owned())));
        if selected.read_only {
            return refused("the mailbox is read-only for this login");
        }
        let labels = work.source.has_labels;
        let is_fixed =
            |flag: &&Flag| !(selected.can_store(flag) || labels && flag.keyword().is_some());
        if let Some(flag) = item.flags.iter().find(is_fixed) {
            return refused(&format!("{flag} may not be changed in this mailbox"));
        }
        let target = item.back_to.as_ref()?;
        missing.get(target).map(String::as_str).or(work.source.keeps_all()).and_then(refused)
    }

    fn changed(&self, item: &UndoItem, flags: &[String]) -> bool {
        is_changed(&item.flags, &item.ours, flags, &self.classifier.model().keywords)
    }

    /// Takes the flags off; the messages that have none of them any more.
    async fn take_off(
        &self,
        session: &mut Session,
        work: &mut Work,
        mut seen: Seen,
    ) -> Result<Vec<UndoItem>, FlowError> {
        let mut off = Vec::new();
        let mut waiting = std::mem::take(&mut work.open);
        let mut left_alone = UidSet::default();
        for round in 0..=ROUNDS {
            let mut again = Vec::new();
            for item in waiting {
                let flags = item.uid.and_then(|uid| seen.messages.get(&uid));
                let is_left = item.uid.is_some_and(|uid| left_alone.contains(uid));
                match flags {
                    // It had left already when we looked first, and its move was begun.
                    None if round == 0 => off.push(item),
                    None => work.end(item, (UndoState::Gone, None), false),
                    Some(flags) if has_none(flags, &item.flags) => off.push(item),
                    Some(_) if round == 0 => again.push(item),
                    Some(flags) if is_left && !item.begun && self.changed(&item, flags) => {
                        work.end(item, (UndoState::Kept, None), false);
                    }
                    Some(_) if is_left && round < ROUNDS => again.push(item),
                    Some(_) => {
                        let reason = if is_left { BUSY } else { STUBBORN };
                        let end = (UndoState::Refused, Some(reason.to_owned()));
                        work.end(item, end, false);
                    }
                }
            }
            if again.is_empty() {
                break;
            }
            left_alone = remove_flags(session, &again, seen.mod_seq).await?;
            seen = session.look(&uids(&again)).await?;
            waiting = again;
        }
        Ok(off)
    }

    /// Moves messages back that were moved, by the same steps as on the way there.
    async fn move_back(
        &self,
        session: &mut Session,
        work: &mut Work,
        off: Vec<UndoItem>,
    ) -> Result<Vec<(PendingEffect, EffectState)>, FlowError> {
        let mut moved: BTreeMap<Uid, UndoItem> = BTreeMap::new();
        for item in off {
            match (&item.back, item.uid) {
                (Some(_), Some(uid)) => drop(moved.insert(uid, item)),
                _ => work.end(item, (UndoState::Undone, None), true),
            }
        }
        let backs = moved.values().filter_map(|item| item.back.clone()).collect();
        let ended = self.move_all(session, &mut work.source, &Vec::new(), backs).await?;
        for (effect, state) in &ended {
            let Some(item) = moved.remove(&effect.uid) else { continue };
            let end = match state {
                EffectState::Done => (UndoState::Undone, None),
                EffectState::Gone => (UndoState::Gone, None),
                _ => {
                    let target = item.back_to.as_deref().unwrap_or_default();
                    let said = work.source.no_way_to.get(target).map(String::as_str);
                    let reason = said.or(work.source.keeps_all()).unwrap_or(STAYED);
                    (UndoState::Refused, Some(format!("it can not go back: {reason}")))
                }
            };
            work.end(item, end, true);
        }
        Ok(ended)
    }

    async fn settle_undo(
        &self,
        request: i64,
        taken: &[TakenBack],
        moves: &[(PendingEffect, EffectState)],
    ) -> Result<(), FlowError> {
        self.store.settle_undo(request, taken, moves, self.clock.now()).await?;
        for one in taken {
            self.metrics.taken_back(one.state.as_str());
        }
        Ok(())
    }
}

/// Why a flag is still there.
const STUBBORN: &str = "the server was told to take the flags off, and kept them";
/// Why a message was left alone each time.
const BUSY: &str = "somebody else changes the message at the same time";
/// Why a message is still there.
const STAYED: &str = "the server was told to move it, and did not";

/// How a message ends that was begun and is not there: where its move was begun, that has to be
/// looked for.
fn gone_meanwhile(item: &UndoItem, seen: &Seen) -> Option<End> {
    let is_there = item.uid.is_some_and(|uid| seen.messages.contains_key(&uid));
    let in_doubt = item.back.as_ref().is_some_and(PendingEffect::is_begun);
    (!is_there && !in_doubt).then_some((UndoState::Gone, None))
}

fn has_none(flags: &[String], of: &[Flag]) -> bool {
    !of.iter().any(|flag| flags.iter().any(|one| flag.matches(one)))
}

/// Tells the server, once for all messages that lose the same flags, and which messages it left alone
/// because somebody has changed them meanwhile.
async fn remove_flags(
    session: &mut Session,
    items: &[UndoItem],
    since: Option<u64>,
) -> Result<UidSet, FlowError> {
    let mut groups: BTreeMap<Vec<Flag>, Vec<Uid>> = BTreeMap::new();
    for item in items {
        groups.entry(item.flags.clone()).or_default().extend(item.uid);
    }
    let mut left_alone = Vec::new();
    for (flags, uids) in groups {
        let change = MailboxChange { adds: false, flags, uids: uids.into_iter().collect() };
        let stored = session.change(&change, since).await?;
        left_alone.extend(change.uids.iter().filter(|uid| stored.left_alone(*uid)));
    }
    Ok(left_alone.into_iter().collect())
}

fn uids<'a>(items: impl IntoIterator<Item = &'a UndoItem>) -> UidSet {
    items.into_iter().filter_map(|item| item.uid).collect()
}

/// Whether an error is about the moment, and passes by itself.
pub(super) fn passes(error: &ImapError) -> bool {
    matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_) | ImapError::Bye(_))
}
