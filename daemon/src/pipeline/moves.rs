//! Moves: keywords first, then the message, once, whatever happens on the way.
//!
//! Before the server is told, the store knows what the target was like. After a connection that was
//! lost nobody knows what became of the command: what has left is looked for in the target, and where
//! a copy comes before the removal, no second copy is made before it is sure that there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use triaged_core::decision::Target;
use triaged_core::mailbox::{AccountId, Uid, UidSet};

use super::mark::{Ended, uids};
use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::{ImapError, MoveWay, Moved, Seen, Selected, Session};
use crate::store::{Begun, Deed, EffectState, Landed, Move, PendingEffect};

/// A server that has heard a command goes on with it although the connection is lost. It is given
/// this time before anybody looks what it did, counted from when we are back: when it was told is only
/// known by a clock that may have been set since.
const GRACE: Duration = Duration::from_secs(5);

/// A mailbox that is selected, as messages are taken out of it.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) account: AccountId,
    pub(super) selected: Selected,
    /// Whether keywords are labels there, which every mailbox takes.
    pub(super) has_labels: bool,
    /// How messages can be taken out of it.
    pub(super) way: Option<MoveWay>,
    /// Whether single messages can be removed.
    pub(super) can_remove: bool,
    /// Mailboxes that took no message out of it at the last attempt, with the reason.
    pub(super) no_way_to: BTreeMap<String, String>,
}

impl Source {
    /// A mailbox that the session has just selected.
    pub(super) fn new(
        session: &Session,
        name: &str,
        account: AccountId,
        selected: Selected,
    ) -> Self {
        Self {
            name: name.to_owned(),
            account,
            selected,
            has_labels: session.has_labels(),
            way: session.move_way(),
            can_remove: session.capabilities().has("UIDPLUS"),
            no_way_to: BTreeMap::new(),
        }
    }

    /// Why no message can be taken out of this mailbox.
    pub(super) fn keeps_all(&self) -> Option<&'static str> {
        if self.selected.read_only {
            Some("it is read-only for this login")
        } else if !self.selected.can_delete() {
            Some("nothing may be marked as deleted in it (the ACL rights t and e)")
        } else if self.way.is_none() {
            Some(
                "the server has neither MOVE nor UIDPLUS, and EXPUNGE would remove what others have marked",
            )
        } else {
            None
        }
    }
}

impl Pipeline {
    /// Moves messages whose marks have ended as `marks` says; how each move ended.
    pub(super) async fn move_all(
        &self,
        session: &mut Session,
        mailbox: &mut Source,
        marks: &Ended,
        moves: Vec<PendingEffect>,
    ) -> Result<Ended, FlowError> {
        let mut ended = Vec::with_capacity(moves.len());
        if moves.is_empty() {
            return Ok(ended);
        }
        if moves.iter().any(|effect| begun(effect).is_some()) {
            tokio::time::sleep(GRACE).await;
        }
        let seen = session.look(&uids(&moves)).await?;
        let mut by_target: BTreeMap<Target, Vec<PendingEffect>> = BTreeMap::new();
        for effect in moves {
            if let Some(target) = target(&effect) {
                by_target.entry(target.clone()).or_default().push(effect);
            }
        }
        for (target, group) in by_target {
            let Sorted { open, copied } =
                self.sort(session, mailbox, &target, group, &seen, &mut ended).await?;
            self.move_to(session, mailbox, &target, open, copied, marks, &mut ended).await?;
        }
        Ok(ended)
    }

    /// Finds out how far each move is.
    async fn sort(
        &self,
        session: &mut Session,
        mailbox: &mut Source,
        target: &Target,
        group: Vec<PendingEffect>,
        seen: &Seen,
        ended: &mut Ended,
    ) -> Result<Sorted, FlowError> {
        let copies = mailbox.way == Some(MoveWay::CopyAndExpunge);
        // What has left must be somewhere; what is still here may be there, too, unless the server
        // can not remove it here then: MOVE does both or nothing (RFC 6851 §3.3).
        let (mut here, mut gone): (Vec<_>, Vec<_>) = group
            .iter()
            .filter(|effect| begun(effect).is_some())
            .partition(|effect| seen.messages.contains_key(&effect.uid));
        here.retain(|effect| mailbox.can_remove || is_copied(effect));
        gone.retain(|effect| !is_copied(effect));
        let search = self.search(session, mailbox, target, &gone, &here).await?;
        let (mut sorted, mut marked_by_us) = (Sorted::default(), Vec::new());
        for mut effect in group {
            let landed = search.found(effect.uid);
            set_landed(&mut effect, landed);
            let state = match seen.messages.get(&effect.uid) {
                None if landed.is_some() || is_copied(&effect) => Some(EffectState::Done),
                None if begun(&effect).is_some() && search.is_blind() => Some(EffectState::Done),
                None => Some(EffectState::Gone),
                Some(_)
                    if landed.is_some() || (is_copied(&effect) && !search.is_sure(effect.uid)) =>
                {
                    sorted.copied.push(effect);
                    continue;
                }
                // Somebody has removed the copy, perhaps as one too many: without another one the
                // original stays.
                Some(_) if is_copied(&effect) => {
                    marked_by_us.push(effect.uid);
                    forget_copy(&mut effect);
                    mailbox.refuses_moves()
                }
                // Whoever marked it as deleted wants it gone.
                Some(flags) if is_deleted(flags) => Some(EffectState::Gone),
                Some(_) if copies && begun(&effect).is_some() && search.is_blind() => {
                    Some(EffectState::Rejected)
                }
                Some(_) => mailbox.refuses_moves(),
            };
            match state {
                Some(state) => ended.push((effect, state)),
                None => sorted.open.push(effect),
            }
        }
        unmark(session, &marked_by_us.into_iter().collect(), seen).await?;
        Ok(sorted)
    }

    #[expect(clippy::too_many_arguments, reason = "one step of one function, cut in two")]
    async fn move_to(
        &self,
        session: &mut Session,
        mailbox: &mut Source,
        target: &Target,
        mut open: Vec<PendingEffect>,
        mut copied: Vec<PendingEffect>,
        marks: &Ended,
        ended: &mut Ended,
    ) -> Result<(), FlowError> {
        let way = mailbox.way.unwrap_or(MoveWay::Move);
        let mut told = Moved::default();
        if !open.is_empty() {
            match self.begin(session, target, &mut open, marks).await? {
                Some(refused) => {
                    tracing::warn!(messages = open.len(), error = %refused, "messages can not be moved: their target can not be used");
                    mailbox.no_way_to.insert(target.mailbox.clone(), refused.to_string());
                    ended.extend(open.drain(..).map(|effect| (effect, EffectState::Rejected)));
                }
                None => told = session.take_to(way, &uids(&open), &target.mailbox).await?,
            }
        }
        for effect in &mut open {
            let landed = told.landed.get(&effect.uid).copied();
            let place = landed.map(|(uid_validity, uid)| Landed { uid_validity, uid });
            set_landed(effect, place);
        }
        if !told.landed.is_empty() {
            mailbox.no_way_to.remove(&target.mailbox);
        }
        if let Some((uid, error)) = told.refused.first_key_value() {
            mailbox.no_way_to.insert(target.mailbox.clone(), error.to_string());
            tracing::warn!(messages = told.refused.len(), first_uid = uid.get(), %error, "messages were not moved");
        }
        let (refused, mut open): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|effect| told.refused.contains_key(&effect.uid));
        ended.extend(refused.into_iter().map(|effect| (effect, EffectState::Rejected)));
        if way == MoveWay::CopyAndExpunge {
            self.store.copied(&mut open).await?;
            copied.append(&mut open);
        }
        let marked = uids(&copied);
        if !copied.is_empty() {
            self.remove(session, &copied).await?;
            open.append(&mut copied);
        }
        self.verify_moves(session, open, &marked, told.landed.is_empty(), ended).await
    }

    /// Writes down that the server will be told, and how the target is now. What comes back is why
    /// it can not be used.
    async fn begin(
        &self,
        session: &mut Session,
        target: &Target,
        moves: &mut [PendingEffect],
        marks: &Ended,
    ) -> Result<Option<ImapError>, FlowError> {
        let mut state = session.status(&target.mailbox).await;
        if target.create && matches!(state, Err(ImapError::MailboxGone(_))) {
            tracing::info!("a mailbox that mail is to be moved to is made");
            state = match session.create(&target.mailbox).await {
                Err(error) if error.ends_connection() => Err(error),
                // A command of an earlier life, or somebody else, may have made it meanwhile.
                made => match (session.status(&target.mailbox).await, made) {
                    (Err(ImapError::MailboxGone(_)), Err(refused)) => Err(refused),
                    (state, _) => state,
                },
            };
        }
        let state = match state {
            Err(error) if concerns_target(&error) => return Ok(Some(error)),
            state => state?,
        };
        let begun = Begun {
            at: self.clock.now(),
            uid_validity: state.status.uid_validity,
            // Without UIDNEXT all of it is looked through, should that be needed.
            next: state.status.uid_next.unwrap_or(Uid::FIRST),
        };
        self.store.begin_moves(marks, moves, begun).await?;
        Ok(None)
    }

    /// Removes originals whose copies are there. A refusal leaves them where they are, and shows
    /// when they are looked at.
    async fn remove(
        &self,
        session: &mut Session,
        copied: &[PendingEffect],
    ) -> Result<(), FlowError> {
        match session.remove(&uids(copied)).await {
            Err(error) if concerns_target(&error) => {
                tracing::warn!(messages = copied.len(), %error, "messages were copied, and the originals can not be removed");
                Ok(())
            }
            removed => Ok(removed?),
        }
    }

    /// What is gone from here was moved; of a server that says where copies are, what it does not
    /// name had gone before.
    async fn verify_moves(
        &self,
        session: &mut Session,
        moves: Vec<PendingEffect>,
        marked: &UidSet,
        untold: bool,
        ended: &mut Ended,
    ) -> Result<(), FlowError> {
        if moves.is_empty() {
            return Ok(());
        }
        let seen = session.look(&uids(&moves)).await?;
        unmark(session, marked, &seen).await?;
        ended.extend(moves.into_iter().map(|effect| {
            let state = match &effect.deed {
                _ if seen.messages.contains_key(&effect.uid) => EffectState::Rejected,
                Deed::Move(one) if untold || one.landed.is_some() || one.copied => {
                    EffectState::Done
                }
                _ => EffectState::Gone,
            };
            (effect, state)
        }));
        Ok(())
    }
}

/// What was marked as deleted and is still there may not be removed, whatever the server said: Dovecot
/// says OK to UID EXPUNGE without the ACL right e. It does not stay marked.
async fn unmark(session: &mut Session, marked: &UidSet, seen: &Seen) -> Result<(), FlowError> {
    let stays = |uid: &Uid| seen.messages.get(uid).is_some_and(|flags| is_deleted(flags));
    match session.unmark(&marked.iter().filter(stays).collect()).await {
        Err(error) if !concerns_target(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Moves by how far they are.
#[derive(Default)]
struct Sorted {
    /// The server is to be told.
    open: Vec<PendingEffect>,
    /// Only the originals are to be removed.
    copied: Vec<PendingEffect>,
}

impl OpenMailbox {
    /// Why no message can be taken out of this mailbox.
    pub fn keeps_all(&self) -> Option<&'static str> {
        self.source.keeps_all()
    }
}

impl Source {
    /// How a move out of this mailbox ends that is not even tried.
    fn refuses_moves(&self) -> Option<EffectState> {
        match self.keeps_all() {
            Some(_) if self.selected.read_only => Some(EffectState::ReadOnly),
            Some(_) => Some(EffectState::NotPermitted),
            None => None,
        }
    }
}

fn target(effect: &PendingEffect) -> Option<&Target> {
    match &effect.deed {
        Deed::Move(Move { target, .. }) => Some(target),
        Deed::Mark(_) | Deed::Alert(_) => None,
    }
}

pub(super) fn begun(effect: &PendingEffect) -> Option<&Begun> {
    match &effect.deed {
        Deed::Move(Move { begun, .. }) => begun.as_ref(),
        Deed::Mark(_) | Deed::Alert(_) => None,
    }
}

pub(super) fn is_deleted(flags: &[String]) -> bool {
    flags.iter().any(|flag| flag.eq_ignore_ascii_case("\\Deleted"))
}

fn is_copied(effect: &PendingEffect) -> bool {
    matches!(effect.deed, Deed::Move(Move { copied: true, .. }))
}

fn forget_copy(effect: &mut PendingEffect) {
    if let Deed::Move(one) = &mut effect.deed {
        one.copied = false;
    }
}

fn set_landed(effect: &mut PendingEffect, place: Option<Landed>) {
    if let (Deed::Move(one), Some(place)) = (&mut effect.deed, place) {
        one.landed = Some(place);
    }
}

/// Whether an error is about the target, or about single messages, and neither passes by itself nor
/// ends the connection.
fn concerns_target(error: &ImapError) -> bool {
    !error.ends_connection()
        && !matches!(error, ImapError::Throttled(_) | ImapError::Unavailable(_))
}
