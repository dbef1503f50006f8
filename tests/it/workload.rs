//! Mail that many users get in the same way, so that what a run makes of it can be compared with what
//! another one made: daemons that label it, and move some of it by rules.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

use crate::harness::{Dump, ImapClient, Mail, Mailserver, Proxy, Settings, User};

/// Angry and urgent mail leaves the mailboxes where it comes in for one that is watched, too; questions
/// about invoices go to one that the rule makes.
const RULES: &str = r#"rule = [
    { name = "escalate", when = { labels = ["sentiment.negative", "urgency.high"], mailboxes = ["INBOX", "Work"] }, then = { keyword = "triaged-escalated", flag = true, move = "Escalations" } },
    { name = "invoices", when = { subject = ["about invoice"], mailboxes = ["Work"] }, then = { move = "Invoices", create = true } },
]"#;

/// Commands that change something on the server.
pub(crate) const WRITES: [&str; 5] = ["UID STORE", "UID MOVE", "UID COPY", "UID EXPUNGE", "CREATE"];

/// The mail of so many users.
pub(crate) struct Workload {
    mails: Vec<Vec<Mail>>,
}

impl Workload {
    /// So many users with so many mails each.
    pub(crate) fn new(users: usize, mails: usize) -> Workload {
        let some_mail = |number: usize| match number % 3 {
            0 => Mail::outage(),
            1 => Mail::invoice_question(),
            _ => Mail::newsletter(),
        };
        Workload { mails: (0..users).map(|_| (0..mails).map(some_mail).collect()).collect() }
    }

    /// How many messages there are in all.
    pub(crate) fn messages(&self) -> usize {
        self.mails.iter().map(Vec::len).sum()
    }

    /// How many each user has.
    pub(crate) fn each(&self) -> usize {
        self.messages() / self.mails.len()
    }

    /// Lets users of this name have it.
    pub(crate) fn run(&self, mail: &Mailserver, name: &str) -> Run {
        let users: Vec<User> =
            (0..self.mails.len()).map(|number| mail.user(&format!("{name}-{number}"))).collect();
        for user in &users {
            let mut client = user.client();
            for mailbox in ["Work", "Escalations"] {
                client.command(&format!("CREATE {mailbox}"));
            }
        }
        let proxy = Proxy::to(users[0].plain_port());
        Run { users, proxy }
    }

    /// Puts a part of it, from one number to another, into the mailboxes of a run.
    pub(crate) fn arrive(&self, run: &Run, numbers: Range<usize>) {
        for (user, mails) in run.users.iter().zip(&self.mails) {
            let mut client = user.client();
            for number in numbers.clone() {
                append(&mut client, &mails[number], number);
            }
        }
    }
}

fn append(client: &mut ImapClient, mail: &Mail, number: usize) {
    let received: Timestamp = "2026-11-16T09:12:00Z".parse().unwrap();
    let to = if number % 4 == 3 { "Work" } else { "INBOX" };
    // Some have been read; what others have marked as deleted is not ours.
    let flags = match number % 10 {
        4 => "\\Seen somebody-elses",
        7 => "\\Deleted",
        _ => "",
    };
    client.append(to, mail.bytes(), flags, Some(received));
}

/// Users who have a workload, and the line to their server.
pub(crate) struct Run {
    pub(crate) users: Vec<User>,
    pub(crate) proxy: Proxy,
}

impl Run {
    /// The settings of a daemon that watches all of them.
    pub(crate) fn settings(&self) -> Settings {
        let account = |user: &User| {
            let account = user.account().in_clear(self.proxy.port()).backfill("all");
            account.mailboxes(&["INBOX", "Work", "Escalations"])
        };
        self.users.iter().map(account).fold(Settings::label().and(RULES), Settings::with)
    }

    /// What each of them has, in their order.
    pub(crate) fn dumps(&self) -> Vec<Dump> {
        self.users.iter().map(Dump::of).collect()
    }

    /// Whether each of them has what another one has.
    pub(crate) fn equals(&self, expected: &[Dump]) -> bool {
        self.users.iter().zip(expected).all(|(user, expected)| Dump::of(user) == *expected)
    }

    /// Fails where somebody has something else.
    pub(crate) fn assert_equals(&self, expected: &[Dump], what: &str) {
        for (user, expected) in self.users.iter().zip(expected) {
            Dump::of(user).assert_equals(expected, &format!("{what}, {}", user.name()));
        }
    }

    /// How many messages have a keyword of ours.
    pub(crate) fn labelled(&self) -> usize {
        let mut labelled = 0;
        for user in &self.users {
            let mut client = user.client();
            for mailbox in ["INBOX", "Work", "Escalations", "Invoices"] {
                if client.attempt(&format!("EXAMINE {mailbox}")).starts_with("OK") {
                    let flags = client.command("UID FETCH 1:* (FLAGS)");
                    labelled += flags.iter().filter(|line| line.contains("triaged-")).count();
                }
            }
        }
        labelled
    }

    /// The commands that were said and change anything.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut said = self.proxy.said_commands();
        said.retain(|command| WRITES.iter().any(|write| command.starts_with(write)));
        said
    }
}

/// How many messages each mailbox has, over all dumps: a workload that tells nothing tells it here.
pub(crate) fn counts(dumps: &[Dump]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (name, messages) in dumps.iter().flat_map(|dump| &dump.mailboxes) {
        *counts.entry(name.as_str()).or_default() += messages.len();
    }
    counts
}
