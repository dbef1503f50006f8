//! What daemons that share the work tell people, as the mail server and the database see it.

use std::collections::BTreeSet;

use super::{ALERTS, Office};
use crate::harness::Moment;

impl Office {
    /// Delivers an urgent mail to an account, and gives back who is sending its alert: the server has all
    /// of it, and its answer is on its way when [`Self::answer`] is called.
    pub(in crate::sharing) fn alert_in_hand(&mut self, account: &str) -> String {
        self.sink.holds(Moment::Kept);
        self.append(account, 1);
        self.sink.wait_held();
        let sends = "SELECT name FROM instance WHERE CAST(id AS TEXT) = \
                     (SELECT owner FROM outbox WHERE state = 'sending')";
        self.database.query(sends).remove(0)
    }

    /// Lets the mail server say that it has taken a mail.
    pub(in crate::sharing) fn answer(&self) {
        self.sink.lets_go();
    }

    /// How many mails of alerts are in this state.
    pub(in crate::sharing) fn alerts(&self, state: &str) -> usize {
        let query = format!("SELECT count(*) FROM outbox WHERE state = '{state}'");
        self.database.query(&query)[0].parse().unwrap()
    }

    /// Nobody was alerted twice of a mail, and, up to the limit, of each mail once.
    pub(in crate::sharing) fn each_alert_came_once(&self) {
        let mails: usize = self.mails.values().sum();
        let taken = self.sink.wait_taken(mails.min(ALERTS));
        let ids: BTreeSet<_> = taken.iter().map(|one| one.field("Message-ID")).collect();
        eprintln!("{mails} urgent mails, {} alerts, of {} mails", taken.len(), ids.len());
        assert_eq!(ids.len(), taken.len(), "none came twice");
    }
}
