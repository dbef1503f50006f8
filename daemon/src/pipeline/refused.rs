//! Keywords that a mailbox has refused: they are left out for an hour, and the others go on.
//!
//! A full keyword table (26 in Dovecot's Maildir, 100 in Cyrus) or a name that a server does not
//! like is no reason to trouble it with each message. The refusal is forgotten when the mailbox is
//! opened anew, and after an hour, for tables can be cleared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use triaged_core::decision::Flag;

use crate::store::EffectState;

/// Between two attempts at a keyword that was refused.
const PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// What one mailbox has refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    keywords: BTreeMap<Flag, (Timestamp, EffectState)>,
}

impl Refused {
    /// How an effect ends that would write this keyword; `None` where it may be tried.
    pub(super) fn state_of(&self, keyword: &Flag) -> Option<EffectState> {
        let (_, state) = self.keywords.get(keyword)?;
        // What PERMANENTFLAGS say is asked each time, and may have changed.
        (*state == EffectState::Rejected).then_some(*state)
    }

    /// Lets keywords be tried again whose pause is over at `now`.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.keywords.retain(|_, (since, _)| now.duration_since(*since) < PAUSE);
    }

    /// Takes notice of how effects ended. A keyword counts as refused that no message kept and at
    /// least one refused; those that are new here are given back with the reason.
    pub(super) fn learn(
        &mut self,
        states: &[(Flag, EffectState)],
        now: Timestamp,
    ) -> Vec<(Flag, &'static str)> {
        let kept: BTreeSet<&Flag> = states
            .iter()
            .filter(|(_, state)| *state == EffectState::Done)
            .map(|(keyword, _)| keyword)
            .collect();
        for keyword in &kept {
            self.keywords.remove(*keyword);
        }
        let mut new = Vec::new();
        for (keyword, state) in states {
            if let Some(reason) = reason(*state)
                && !kept.contains(keyword)
                && !self.keywords.contains_key(keyword)
            {
                self.keywords.insert(keyword.clone(), (now, *state));
                new.push((keyword.clone(), reason));
            }
        }
        new
    }

    /// The keywords that are left out, with the reason.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Flag, &'static str)> {
        self.keywords.iter().filter_map(|(keyword, (_, state))| Some((keyword, reason(*state)?)))
    }
}

/// Why the keyword is left out, where that is the mailbox's doing and not the message's.
fn reason(state: EffectState) -> Option<&'static str> {
    match state {
        EffectState::NotPermitted => Some("the mailbox takes no keyword of this name"),
        EffectState::Rejected => {
            Some("the server refused it, or said OK and did not keep it: its table may be full")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(
        refused: &mut Refused,
        states: &[(&str, EffectState)],
        second: i64,
    ) -> Vec<(Flag, &'static str)> {
        let states: Vec<_> = states.iter().map(|(name, state)| (keyword(name), *state)).collect();
        refused.learn(&states, at(second))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn keyword(name: &str) -> Flag {
        Flag::Keyword(name.parse().expect("valid"))
    }

    #[test]
    fn a_refused_keyword_is_left_out_for_an_hour_and_the_others_are_not() {
        let mut refused = Refused::default();
        let states = [("a", EffectState::Rejected), ("b", EffectState::Done)];
        assert_eq!(learn(&mut refused, &states, 0).len(), 1);
        assert_eq!(refused.state_of(&keyword("a")), Some(EffectState::Rejected));
        assert_eq!(refused.state_of(&keyword("b")), None);
        assert!(learn(&mut refused, &states, 60).is_empty(), "it is said once");
        refused.forget_old(at(3_599));
        assert_eq!(refused.all().count(), 1);
        refused.forget_old(at(3_600));
        assert_eq!(refused.state_of(&keyword("a")), None);
    }

    #[test]
    fn a_keyword_that_one_message_kept_is_not_refused() {
        let mut refused = Refused::default();
        let states = [("a", EffectState::Rejected), ("a", EffectState::Done)];
        assert!(learn(&mut refused, &states, 0).is_empty());
        assert!(learn(&mut refused, &[("a", EffectState::Gone)], 1).is_empty());
    }

    #[test]
    fn what_the_mailbox_does_not_permit_is_shown_and_asked_anew() {
        let mut refused = Refused::default();
        assert_eq!(learn(&mut refused, &[("a", EffectState::NotPermitted)], 0).len(), 1);
        assert_eq!((refused.all().count(), refused.state_of(&keyword("a"))), (1, None));
        learn(&mut refused, &[("a", EffectState::Done)], 1);
        assert_eq!(refused.all().count(), 0);
    }
}
