//! What follows from what was read: the model is asked, its answers are judged, and the decisions are
//! written down before anything is done.

use std::sync::Arc;

use triaged_core::budget::Mail;
use triaged_core::config::{HistoryText, Mode};
use triaged_core::decision::{Applied, Considered, Decision, Mark};
use triaged_core::mailbox::{Uid, UidSet};
use triaged_core::score::Prediction;

use super::mark::Basis;
use super::read::Draft;
use super::write::Chunk;
use super::{FlowError, OpenMailbox, Pipeline};
use crate::imap::{Listed, Session};
use crate::metrics::Stage;
use crate::model::{Answers, ServedModel};
use crate::store::{Action, PlannedMessage};

impl Pipeline {
    /// Decides about messages, writes the decisions down, and does and settles what follows.
    pub(super) async fn chunk(
        &self,
        session: &mut Session,
        mailbox: &mut OpenMailbox,
        listed: &[Listed],
        uids: &UidSet,
        drafts: Vec<Draft>,
        mail: Mail,
    ) -> Result<(), FlowError> {
        let known = self.known(session, mailbox, &drafts).await?;
        let (model, predictions) = self.classify(&drafts, &known).await?;
        let planned: Vec<PlannedMessage> = drafts
            .into_iter()
            .zip(predictions)
            .map(|(draft, prediction)| self.planned(draft, prediction, &model, &known, mailbox))
            .collect();
        let timer = self.metrics.stage(Stage::Plan);
        let effects = self.store.plan(&mailbox.stored, &planned, self.clock.now()).await?;
        timer.done(planned.len());
        if planned.iter().any(|message| !message.decision.alerts.is_empty()) {
            self.outbox.notify_one();
        }
        self.count_planned(&planned);
        let Some(last) = uids.iter().last() else { return Ok(()) };
        // The cursor tells how far new mail is settled; older mail lies behind it. Nor does it say
        // how quick we are.
        let (next, fresh) = match mail {
            // Messages that failed come behind later ones.
            Mail::New => (last.next().max(mailbox.stored.cursor.next), listed),
            Mail::Old => (mailbox.stored.cursor.next, &[][..]),
        };
        let mod_seqs: Option<Vec<u64>> = listed.iter().map(|listed| listed.mod_seq).collect();
        let basis = Basis::Fresh(mod_seqs.and_then(|all| all.into_iter().max()));
        let chunk = Chunk { next, listed: fresh, basis };
        self.write(session, mailbox, effects, &chunk, &model).await
    }

    /// The model's answers for the drafts that are not known, in the order of the drafts; and the
    /// model that gave all of them.
    async fn classify(
        &self,
        drafts: &[Draft],
        known: &UidSet,
    ) -> Result<(Arc<ServedModel>, Vec<Option<Prediction>>), FlowError> {
        let asked = |draft: &&Draft| !known.contains(draft.uid);
        let texts: Vec<String> =
            drafts.iter().filter(asked).filter_map(|draft| draft.text.clone()).collect();
        let timer = self.metrics.stage(Stage::Classify);
        let _waiting = self.metrics.waiting_for_model(texts.len());
        let Answers { model, answers } = self.classifier.classify(texts).await?;
        timer.done(answers.len());
        let mut answers = answers.into_iter();
        let predictions = drafts
            .iter()
            .map(|draft| {
                if known.contains(draft.uid) || draft.text.is_none() {
                    return None;
                }
                answers
                    .next()?
                    .inspect_err(|error| {
                        tracing::warn!(uid = draft.uid.get(), %error, "a message got no answer from the model");
                    })
                    .ok()
            })
            .collect();
        Ok((model, predictions))
    }

    fn planned(
        &self,
        draft: Draft,
        prediction: Option<Prediction>,
        model: &ServedModel,
        known: &UidSet,
        mailbox: &OpenMailbox,
    ) -> PlannedMessage {
        let action = match mailbox.mode {
            _ if known.contains(draft.uid) => Action::Skip,
            Mode::Label => Action::Label,
            Mode::Shadow => Action::Shadow,
        };
        let decision = prediction.as_ref().map(|prediction| {
            self.judge.judge(&Considered {
                mailbox: &mailbox.source.name,
                from: &draft.from,
                subject: &draft.subject,
                message_id: &draft.id,
                automatic: draft.automatic,
                is_older: mailbox.is_older(draft.received),
                flags: &draft.flags,
                prediction,
                keywords: &model.keywords,
            })
        });
        let mut decision = decision.unwrap_or_default();
        if action != Action::Skip {
            self.count_rules(mailbox, draft.uid, &decision);
            self.count_withheld(mailbox, draft.uid, &decision);
        }
        if let Some(prediction) = &prediction
            && mailbox.stores_none_of(model.keywords.all())
        {
            let instead = &mailbox.without_keywords;
            decision = instead.instead_of(decision, prediction, &draft.flags);
        }
        decision.move_to.take_if(|target| target.what.mailbox == mailbox.source.name);
        let is_marked = draft.flags.iter().any(|flag| self.unreadable.matches(flag));
        if draft.given_up {
            decision = Decision::adding([self.unreadable.clone()]);
        } else if is_marked && action != Action::Skip {
            decision.marks.push(Mark::Remove(self.unreadable.clone()).into());
        }
        PlannedMessage {
            uid: draft.uid,
            identity: draft.identity,
            email: draft.email,
            message_id: draft.message_id,
            subject: (self.history_text == HistoryText::Subject).then_some(draft.subject),
            action,
            model: prediction.is_some().then(|| model.version.clone()),
            prediction,
            defects: draft.defects,
            decision,
            quarantined: draft.given_up,
        }
    }

    fn count_rules(&self, mailbox: &OpenMailbox, uid: Uid, decision: &Decision) {
        for Applied { name, dry_run } in &decision.rules {
            self.metrics.rule_applied(name, *dry_run);
            let (mailbox, uid) = (&mailbox.source.name, uid.get());
            if *dry_run {
                tracing::info!(rule = %name, mailbox, uid, "a rule would do something, and is only tried out");
            } else {
                tracing::debug!(rule = %name, mailbox, uid, "a rule is for a message");
            }
        }
    }

    fn count_withheld(&self, mailbox: &OpenMailbox, uid: Uid, decision: &Decision) {
        for (rule, reason) in &decision.withheld {
            self.metrics.alert_withheld(reason);
            let (mailbox, uid) = (&mailbox.source.name, uid.get());
            tracing::info!(%rule, mailbox, uid, reason, "nobody is alerted of mail like this");
        }
    }

    fn count_planned(&self, planned: &[PlannedMessage]) {
        for message in planned {
            for defect in &message.defects {
                self.metrics.defect(defect);
            }
            for head in message.prediction.iter().flat_map(|prediction| &prediction.heads) {
                self.metrics.answered(&head.head, &head.label, head.abstained);
            }
            // What is still to be done is counted when it is settled.
            let settled = message.action == Action::Label && !message.decision.is_empty();
            if !settled {
                self.metrics.message(message.outcome());
            }
        }
    }
}
