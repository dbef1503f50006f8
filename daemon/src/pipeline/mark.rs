//! Changing flags, and believing only what the server shows afterwards.
//!
//! Where the mailbox counts its changes, a message is left alone that somebody has touched since we
//! looked at it; then it is looked at again, and whoever has answered one of our questions meanwhile
//! is right.

use triaged_core::decision::{MailboxChange, merge, yields};
use triaged_core::label::KeywordMap;
use triaged_core::mailbox::{Uid, UidSet};

use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::{Seen, Session, Stored};
use crate::metrics::Stage;
use crate::store::{EffectState, PendingEffect};

/// How often a change is tried at a message that others change at the same time; the last time it is
/// made whatever they do, as on servers that do not count changes.
const ROUNDS: usize = 4;

/// What is known of the messages that are to be marked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Basis {
    /// What was decided about them was decided on flags of this moment, where the mailbox counts.
    Fresh(Option<u64>),
    /// They were decided in an earlier life.
    Stale,
}

/// Effects, and how they ended.
pub(super) type Ended = Vec<(PendingEffect, EffectState)>;

impl Pipeline {
    /// Makes all changes to flags that `effects` are, and looks how each message is then.
    pub(super) async fn mark(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        effects: Vec<PendingEffect>,
        basis: Basis,
        keywords: &KeywordMap,
    ) -> Result<Ended, FlowError> {
        let mut ended = Vec::with_capacity(effects.len());
        let mut open = sort(effects, &mut ended, |effect| {
            effect.mark().and_then(|mark| mailbox.permitted(&mark.flag()))
        });
        let mut since = match basis {
            Basis::Fresh(since) => since,
            Basis::Stale if open.is_empty() => None,
            Basis::Stale => {
                let seen = session.look(&uids(&open)).await?;
                open = sort(open, &mut ended, |effect| before(effect, &seen, keywords));
                seen.mod_seq
            }
        };
        for round in 1..=ROUNDS {
            if open.is_empty() {
                break;
            }
            since = since.filter(|_| round < ROUNDS);
            let timer = self.metrics.stage(Stage::Apply);
            let left_alone = apply(session, &open, since).await?;
            timer.done(open.len());
            let timer = self.metrics.stage(Stage::Verify);
            let seen = session.look(&uids(&open)).await?;
            timer.done(open.len());
            open = sort(open, &mut ended, |effect| {
                let again = since.is_some() && left_alone.contains(effect.uid);
                match before(effect, &seen, keywords) {
                    None if again => None,
                    None => Some(EffectState::Rejected),
                    // It was not left alone, so what is there was there before, or beside it.
                    Some(EffectState::Yielded) if !again => Some(EffectState::Rejected),
                    state => state,
                }
            });
            since = seen.mod_seq;
        }
        Ok(ended)
    }
}

/// Takes those effects out that have come to an end.
fn sort(
    effects: Vec<PendingEffect>,
    ended: &mut Ended,
    state: impl Fn(&PendingEffect) -> Option<EffectState>,
) -> Vec<PendingEffect> {
    let mut open = Vec::new();
    for effect in effects {
        match state(&effect) {
            Some(state) => ended.push((effect, state)),
            None => open.push(effect),
        }
    }
    open
}

/// How an effect ends that is done already, or must not be done any more; `None` where it may.
fn before(effect: &PendingEffect, seen: &Seen, keywords: &KeywordMap) -> Option<EffectState> {
    let Some(flags) = seen.messages.get(&effect.uid) else { return Some(EffectState::Gone) };
    let mark = effect.mark()?;
    if mark.is_done(flags) {
        return Some(EffectState::Done);
    }
    (mark.adds() && yields(&mark.flag(), keywords, flags)).then_some(EffectState::Yielded)
}

/// Tells the server, and which messages it left alone.
async fn apply(
    session: &mut Session,
    effects: &[PendingEffect],
    since: Option<u64>,
) -> Result<UidSet, FlowError> {
    let marks = effects.iter().filter_map(|effect| Some((effect.uid, effect.mark()?)));
    let mut answers: Vec<(UidSet, Stored)> = Vec::new();
    for change in merge(marks) {
        let stored = session.change(&change, since).await?;
        let refused = !stored.is_ok();
        answers.push((change.uids.clone(), stored));
        if refused && change.flags.len() > 1 {
            // One keyword that the mailbox can not take must not cost the others.
            for flag in change.flags {
                let alone =
                    MailboxChange { flags: vec![flag], uids: change.uids.clone(), ..change };
                let stored = session.change(&alone, since).await?;
                answers.push((alone.uids, stored));
            }
        }
    }
    let left_alone = |(uids, stored): &(UidSet, Stored)| -> Vec<Uid> {
        uids.iter().filter(|uid| stored.left_alone(*uid)).collect()
    };
    Ok(answers.iter().flat_map(left_alone).collect())
}

/// The messages that effects are about.
pub(super) fn uids<'a>(effects: impl IntoIterator<Item = &'a PendingEffect>) -> UidSet {
    effects.into_iter().map(|effect| effect.uid).collect()
}
