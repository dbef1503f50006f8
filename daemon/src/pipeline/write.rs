//! Doing what was planned and settling it: marks, then moves, then the cursor.

use triaged_core::config::Mode;
use triaged_core::decision::{Flag, Mark};
use triaged_core::label::{Keyword, KeywordMap};
use triaged_core::mailbox::Uid;
use triaged_core::outcome::Outcome;

use super::mark::{Basis, Ended};
use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::{Listed, Session};
use crate::metrics::Stage;
use crate::model::ServedModel;
use crate::store::{Deed, EffectState, PendingEffect};

/// What is settled together with effects, and what is known of their messages.
pub(super) struct Chunk<'a> {
    /// Where the cursor goes.
    pub(super) next: Uid,
    /// New messages as they were listed; they say how quick we are.
    pub(super) listed: &'a [Listed],
    /// What the decisions were made on.
    pub(super) basis: Basis,
}

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
        let chunk = Chunk { next, listed: &[], basis: Basis::Stale };
        self.write(session, mailbox, effects, &chunk, &model).await
    }

    /// Applies effects, reads back what the server keeps, and settles both with the cursor. What
    /// is counted goes by the keywords of `model`.
    pub(super) async fn write(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        effects: Vec<PendingEffect>,
        chunk: &Chunk<'_>,
        model: &ServedModel,
    ) -> Result<(), FlowError> {
        let now = self.clock.now();
        mailbox.refused.forget_old(now);
        let (alerts, effects): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|effect| matches!(effect.deed, Deed::Alert(_)));
        let (marks, moves): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|effect| effect.mark().is_some());
        let mut ended = self.mark(session, mailbox, marks, chunk.basis, &model.keywords).await?;
        learn(mailbox, &ended, now);
        let gone = self.move_all(session, &mut mailbox.source, &ended, moves).await?;
        ended.extend(gone);
        // They lie in the outbox since the plan, whose affair they are.
        ended.extend(alerts.into_iter().map(|alert| (alert, EffectState::Done)));
        let timer = self.metrics.stage(Stage::Settle);
        let now = self.clock.now();
        let outcomes = self.store.settle(&mut mailbox.stored, chunk.next, &ended, now).await?;
        timer.done(outcomes.len());
        self.metrics.succeeded(now);
        self.count_settled(&ended, &outcomes, chunk.listed, &model.keywords);
        Ok(())
    }

    fn count_settled(
        &self,
        states: &Ended,
        outcomes: &[(Uid, Outcome)],
        listed: &[Listed],
        keywords: &KeywordMap,
    ) {
        for (effect, state) in states {
            if *state == EffectState::Done
                && let Some(Mark::Add(Flag::Keyword(keyword))) = effect.mark()
                && let Some((head, label)) = keywords.label_of(keyword)
            {
                self.metrics.label_written(head, label);
            }
        }
        let now = self.clock.now();
        for (uid, outcome) in outcomes {
            self.metrics.message(*outcome);
            let received = listed.iter().find(|listed| listed.uid == *uid).and_then(|l| l.received);
            if let (Outcome::Labelled | Outcome::Moved, Some(received)) = (outcome, received) {
                self.metrics.delivered_to_labelled(received, now);
            }
        }
        let fine = [Outcome::Labelled, Outcome::Moved, Outcome::Unlabelled];
        let refused = outcomes.iter().filter(|(_, outcome)| !fine.contains(outcome));
        if let Some((uid, outcome)) = refused.clone().next() {
            tracing::warn!(
                messages = refused.count(),
                first_uid = uid.get(),
                outcome = outcome.as_str(),
                "messages are not as they were to be"
            );
        }
    }
}

/// Takes notice of flags that the mailbox does not keep.
fn learn(mailbox: &mut OpenMailbox, marks: &Ended, now: jiff::Timestamp) {
    let states: Vec<(Flag, EffectState)> = marks
        .iter()
        .filter_map(|(effect, state)| {
            let mark = effect.mark().filter(|mark| mark.adds())?;
            Some((mark.flag(), *state))
        })
        .collect();
    for (flag, reason) in mailbox.refused.learn(&states, now) {
        tracing::warn!(%flag, reason, "a keyword is not written to this mailbox for an hour");
    }
}

impl OpenMailbox {
    /// Whether it takes changes to flags, and no keyword of these at all.
    pub(super) fn stores_none_of<'a>(&self, keywords: impl Iterator<Item = &'a Keyword>) -> bool {
        let stored =
            |keyword: &Keyword| self.source.selected.can_store(&Flag::Keyword(keyword.clone()));
        !self.source.has_labels
            && !self.source.selected.read_only
            && !keywords.into_iter().any(stored)
    }

    /// Why a flag must not even be tried in this mailbox; `None` where it may.
    pub(super) fn permitted(&self, flag: &Flag) -> Option<EffectState> {
        let label = self.source.has_labels && flag.keyword().is_some();
        if self.source.selected.read_only {
            Some(EffectState::ReadOnly)
        } else if !label && !self.source.selected.can_store(flag) {
            Some(EffectState::NotPermitted)
        } else {
            self.refused.state_of(flag)
        }
    }
}
