//! The mailboxes of an account that are to be watched, and how each stands: as few commands as the
//! server lets it be.

use triaged_core::choice::{Choice, Chosen, SpecialUse};
use triaged_core::sync::MailboxState;

use super::error::ImapError;
use super::list::{Listing, Question};
use super::name;
use super::session::Session;

/// What is there to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The main one first.
    pub watched: Vec<Surveyed>,
    /// Whether the server's answer was understood throughout: only then is a mailbox gone that is
    /// not among them.
    pub whole: bool,
}

/// A mailbox to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// Its name, as people read it.
    pub name: String,
    /// The configuration names it itself.
    pub named: bool,
    /// How it stands, where the listing says it.
    pub state: Option<MailboxState>,
}

impl Session {
    /// Finds what `choice` means on this server. Where mailboxes are only named and the server does
    /// not say in one answer how they stand, it is not asked at all.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn survey(&mut self, choice: &Choice) -> Result<Survey, ImapError> {
        self.view.elsewhere = false;
        let mut listing = Listing::default();
        let states = choice.only().is_none();
        if choice.is_open() || (states && self.lists_states) {
            let names = choice.names().map(name::argument);
            let patterns: Vec<String> =
                names.chain(choice.patterns().map(name::pattern)).collect::<Result<_, _>>()?;
            if !patterns.is_empty() {
                let question = Question { patterns, marked: false, states };
                self.list(&question, &mut listing).await?;
            }
            self.list_uses(choice, &mut listing).await?;
        }
        let states = std::mem::take(&mut listing.states);
        let whole = !listing.gaps;
        let surveyed = |Chosen { name, named }| {
            let state = states.get(triaged_core::choice::canonical(&name)).copied();
            Surveyed { name, named, state }
        };
        let watched = choice.choose(&listing.mailboxes()).into_iter().map(surveyed).collect();
        Ok(Survey { watched, whole })
    }

    /// The names of all mailboxes that can be opened.
    ///
    /// # Errors
    /// What the server refuses, and what ends the connection.
    pub async fn mailboxes(&mut self) -> Result<Vec<String>, ImapError> {
        let mut listing = Listing::default();
        let patterns = vec!["\"*\"".to_owned()];
        self.list(&Question { patterns, marked: false, states: false }, &mut listing).await?;
        let there = listing.mailboxes().into_iter().filter(|one| one.selectable);
        Ok(there.map(|one| one.name).collect())
    }

    /// Looks for mailboxes that are for something: those that the server has marked, and all of them
    /// where it has marked none for one of the wishes.
    async fn list_uses(&mut self, choice: &Choice, listing: &mut Listing) -> Result<(), ImapError> {
        let wished: Vec<SpecialUse> = choice.uses().collect();
        if wished.is_empty() {
            return Ok(());
        }
        let all = || vec!["\"*\"".to_owned()];
        let marks = ["SPECIAL-USE", "LIST-EXTENDED"].iter().all(|one| self.capabilities().has(one));
        if marks {
            let question = Question { patterns: all(), marked: true, states: true };
            self.list(&question, listing).await?;
        }
        if wished.iter().any(|&special| !listing.has(special)) {
            let question = Question { patterns: all(), marked: false, states: false };
            self.list(&question, listing).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use triaged_core::choice::Wish;
    use triaged_core::mailbox::Uid;

    use super::*;
    use crate::imap::scripted::session_with;

    fn names(names: &[&str]) -> Vec<Wish> {
        names.iter().map(|name| Wish::Name((*name).to_owned())).collect()
    }

    fn shown(survey: &Survey) -> Vec<(&str, Option<u32>)> {
        let next = |one: &Surveyed| one.state?.status.uid_next.map(Uid::get);
        survey.watched.iter().map(|one| (one.name.as_str(), next(one))).collect()
    }

    #[tokio::test]
    async fn one_command_says_what_there_is_and_how_it_stands() {
        let mut session = session_with(
            "LIST-EXTENDED LIST-STATUS SPECIAL-USE CONDSTORE",
            "C: LIST \"\" (\"INBOX\" \"Entw&APw-rfe\" \"L*\") RETURN (SPECIAL-USE STATUS (UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ))
             S: * LIST (\\HasNoChildren) \"\\\\\" INBOX
             S: * STATUS INBOX (UIDVALIDITY 7 UIDNEXT 5 MESSAGES 3 HIGHESTMODSEQ 99)
             S: * LIST () \"\\\\\" Entw&APw-rfe
             S: * LIST (\\Noselect) \"\\\\\" L
             S: * LIST () \"\\\\\" \"L\\\\say \\\"hi\\\"\"
             S: * STATUS \"L\\\\say \\\"hi\\\"\" (UIDNEXT 1 UIDVALIDITY 8)
             S: * LIST (\\Junk) \"\\\\\" Lagniappe
             S: %t OK done
             HANG",
        )
        .await;
        let mut wanted = names(&["INBOX", "Entwürfe"]);
        wanted.push(Wish::Pattern("L*".to_owned()));
        let survey = session.survey(&Choice::new(wanted, vec![])).await.expect("a survey");
        let expected = [("INBOX", Some(5)), ("Entwürfe", None), ("L\\say \"hi\"", Some(1))];
        assert_eq!((shown(&survey), survey.whole), (expected.to_vec(), true));
    }

    #[tokio::test]
    async fn a_server_that_refuses_what_it_promised_is_asked_for_less() {
        let mut session = session_with(
            "LIST-STATUS",
            "C: LIST \"\" \"INBOX\" RETURN (STATUS (UIDVALIDITY UIDNEXT MESSAGES))
             S: %t BAD what
             C: LIST \"\" \"INBOX\"
             S: * LIST () \"/\" INBOX
             S: %t OK done
             C: LIST \"\" \"Work\"
             S: * LIST () \"/\" Work (\"X-NEWS\" (()))
             S: %t OK done
             HANG",
        )
        .await;
        let choice = Choice::new(names(&["INBOX", "Work"]), vec![]);
        let survey = session.survey(&choice).await.expect("a survey");
        assert_eq!(shown(&survey), [("INBOX", None), ("Work", None)]);
        assert!(!survey.whole, "something was not understood");
        // From now on nothing is asked that has no answer.
        assert!(session.survey(&choice).await.expect("a survey").whole);
    }

    #[tokio::test]
    async fn what_mailboxes_are_for_is_asked_and_then_guessed() {
        let mut session = session_with(
            "LIST-EXTENDED SPECIAL-USE",
            "C: LIST (SPECIAL-USE) \"\" \"*\" RETURN (SPECIAL-USE)
             S: * LIST (\\Sent) \"/\" Gesendet
             S: %t OK done
             C: LIST \"\" \"*\" RETURN (SPECIAL-USE)
             S: * LIST () \"/\" Archive
             S: * LIST () \"/\" Other
             S: * LIST (\\Sent) \"/\" Gesendet
             S: %t OK done
             HANG",
        )
        .await;
        let wanted = vec![Wish::Use(SpecialUse::Archive), Wish::Use(SpecialUse::Sent)];
        let survey = session.survey(&Choice::new(wanted, vec![])).await.expect("a survey");
        assert_eq!(shown(&survey), [("Archive", None), ("Gesendet", None)]);
    }

    #[tokio::test]
    async fn one_named_mailbox_needs_no_survey() {
        let mut session = session_with("LIST-EXTENDED LIST-STATUS", "HANG").await;
        let survey = session.survey(&Choice::new(names(&["INBOX"]), vec![])).await;
        assert_eq!(shown(&survey.expect("a survey")), [("INBOX", None)]);
    }
}
