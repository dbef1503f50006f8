//! Writing what was planned, and believing only what the server shows afterwards.

use std::collections::{BTreeMap, HashMap};

use triaged_core::config::Mode;
use triaged_core::decision::{Decision, merge};
use triaged_core::label::{Keyword, KeywordMap};
use triaged_core::mailbox::{Uid, UidSet};
use triaged_core::outcome::Outcome;

use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::{Listed, Session};
use crate::metrics::Stage;
use crate::model::ServedModel;
use crate::store::{EffectState, PendingEffect};

impl Pipeline {
    /// Applies what an earlier life planned, as it was decided, without asking the model again.
    pub(super) async fn finish_pending(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
    ) -> Result<(), FlowError> {
        let effects = self.store.pending(&mailbox.stored).await?;
        if effects.is_empty() {
            return Ok(());
        }
        let next = mailbox.stored.cursor.next;
        if mailbox.mode == Mode::Shadow {
            // Shadow mode writes nothing, also nothing that was decided before it was chosen.
            let given_up: Vec<_> =
                effects.into_iter().map(|effect| (effect, EffectState::Shadow)).collect();
            let now = self.clock.now();
            for (_, outcome) in self.store.settle(&mut mailbox.stored, next, &given_up, now).await?
            {
                self.metrics.message(outcome);
            }
            return Ok(());
        }
        tracing::info!(effects = effects.len(), "finishing what was decided before the restart");
        let model = self.classifier.model();
        self.write(session, mailbox, effects, next, &[], &model).await
    }

    /// Applies effects, reads back what the server keeps, and settles both with the cursor. What
    /// is counted goes by the keywords of `model`.
    pub(super) async fn write(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        effects: Vec<PendingEffect>,
        next: Uid,
        listed: &[Listed],
        model: &ServedModel,
    ) -> Result<(), FlowError> {
        let timer = self.metrics.stage(Stage::Apply);
        let now = self.clock.now();
        mailbox.refused.forget_old(now);
        self.apply(session, mailbox, &effects).await?;
        timer.done(effects.len());
        let timer = self.metrics.stage(Stage::Verify);
        let states = self.verify(session, mailbox, effects).await?;
        let ended: Vec<_> =
            states.iter().map(|(effect, state)| (&effect.keyword, *state)).collect();
        for (keyword, reason) in mailbox.refused.learn(&ended, now) {
            tracing::warn!(%keyword, reason, "a keyword is not written to this mailbox for an hour");
        }
        timer.done(states.len());
        let timer = self.metrics.stage(Stage::Settle);
        let now = self.clock.now();
        let outcomes = self.store.settle(&mut mailbox.stored, next, &states, now).await?;
        timer.done(outcomes.len());
        self.metrics.succeeded(now);
        self.count_settled(&states, &outcomes, listed, &model.keywords);
        Ok(())
    }

    async fn apply(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        effects: &[PendingEffect],
    ) -> Result<(), FlowError> {
        let mut by_uid: BTreeMap<Uid, Vec<Keyword>> = BTreeMap::new();
        for effect in effects {
            if permitted(mailbox, &effect.keyword).is_none() {
                by_uid.entry(effect.uid).or_default().push(effect.keyword.clone());
            }
        }
        let decisions: Vec<Decision> =
            by_uid.into_iter().map(|(uid, add)| Decision { uid, add }).collect();
        for change in merge(&decisions) {
            let accepted = session.add_keywords(&change.uids, &change.add).await?;
            if !accepted.is_ok() && change.add.len() > 1 {
                // One keyword that the mailbox can not take must not cost the others.
                for keyword in change.add {
                    session.add_keywords(&change.uids, &[keyword]).await?;
                }
            }
        }
        Ok(())
    }

    /// A tagged OK does not mean that a keyword is stored, so each message's flags are read back.
    async fn verify(
        &self,
        session: &mut Session,
        mailbox: &OpenMailbox,
        effects: Vec<PendingEffect>,
    ) -> Result<Vec<(PendingEffect, EffectState)>, FlowError> {
        let written: UidSet = effects
            .iter()
            .filter(|effect| permitted(mailbox, &effect.keyword).is_none())
            .map(|effect| effect.uid)
            .collect();
        let flags: HashMap<Uid, Vec<String>> = session.flags(&written).await?.into_iter().collect();
        let state = |effect: &PendingEffect| {
            permitted(mailbox, &effect.keyword).unwrap_or_else(|| match flags.get(&effect.uid) {
                None => EffectState::Gone,
                Some(flags) if flags.iter().any(|flag| effect.keyword.matches(flag)) => {
                    EffectState::Done
                }
                Some(_) => EffectState::Rejected,
            })
        };
        Ok(effects
            .into_iter()
            .map(|effect| {
                let state = state(&effect);
                (effect, state)
            })
            .collect())
    }

    fn count_settled(
        &self,
        states: &[(PendingEffect, EffectState)],
        outcomes: &[(Uid, Outcome)],
        listed: &[Listed],
        keywords: &KeywordMap,
    ) {
        for (effect, state) in states {
            if *state == EffectState::Done
                && let Some((head, label)) = keywords.label_of(&effect.keyword)
            {
                self.metrics.label_written(head, label);
            }
        }
        let now = self.clock.now();
        for (uid, outcome) in outcomes {
            self.metrics.message(*outcome);
            let received = listed.iter().find(|listed| listed.uid == *uid).and_then(|l| l.received);
            if let (Outcome::Labelled, Some(received)) = (outcome, received) {
                self.metrics.delivered_to_labelled(received, now);
            }
        }
        let refused = outcomes.iter().filter(|(_, outcome)| *outcome != Outcome::Labelled);
        if let Some((uid, outcome)) = refused.clone().next() {
            tracing::warn!(
                messages = refused.count(),
                first_uid = uid.get(),
                outcome = outcome.as_str(),
                "messages did not get their keywords"
            );
        }
    }
}

/// Why a keyword must not even be tried in this mailbox; `None` where it may.
fn permitted(mailbox: &OpenMailbox, keyword: &Keyword) -> Option<EffectState> {
    if mailbox.selected.read_only {
        Some(EffectState::ReadOnly)
    } else if !mailbox.selected.can_store(keyword) {
        Some(EffectState::NotPermitted)
    } else {
        mailbox.refused.state_of(keyword)
    }
}
