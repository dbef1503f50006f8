//! One run of the kill points: a user, an installation and the lines between them.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

use super::{Given, RULES, may_trace};
use crate::harness::{
    Daemon, Dump, Fault, Installation, Mailserver, Moment, PATIENCE, Proxy, Record, Settings, Sink,
    Taken, User, until_within,
};
use crate::workload::WRITES;

/// When all mail came: of mail from before the first start nobody is alerted, and Dovecot takes no time
/// that lies far ahead.
static RECEIVED: LazyLock<Timestamp> =
    LazyLock::new(|| Timestamp::now() + SignedDuration::from_mins(30));

/// Where and how a daemon dies.
#[derive(Clone)]
pub(super) enum Point {
    /// At this sync of the thread that makes the database, counted from 1.
    Making(usize),
    /// At this sync of the thread that works with it.
    Working(usize),
    /// At this command, counted from 1; `heard`: done, and the answer is lost.
    Command { number: usize, heard: bool, words: String },
    /// At this moment of the conversation with the server of the alerts.
    Letter(Moment),
}

impl Display for Point {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Making(number) => write!(formatter, "sync {number} of a new database"),
            Self::Working(number) => write!(formatter, "sync {number}"),
            Self::Command { number, heard, words } => {
                let when = if *heard { "after" } else { "before" };
                write!(formatter, "{when} command {number}, {words}")
            }
            Self::Letter(moment) => write!(formatter, "an alert, {moment:?}"),
        }
    }
}

/// One user, one installation, and the line between them.
pub(super) struct Scene<'a> {
    user: User,
    proxy: Proxy,
    sink: &'a Sink,
    installation: Installation,
}

impl<'a> Scene<'a> {
    /// `hidden`: left out of what the server can do.
    pub(super) fn new(
        (mail, sink): (&Mailserver, &'a Sink),
        name: &str,
        given: &[Given],
        hidden: Option<&'static str>,
    ) -> Scene<'a> {
        let user = mail.user(name);
        let mut client = user.client();
        for mailbox in ["Work", "Escalations"] {
            client.command(&format!("CREATE {mailbox}"));
        }
        let received = *RECEIVED;
        for Given { mailbox, mail, flags } in given {
            client.append(mailbox, mail.bytes(), flags, Some(received));
        }
        let proxy = Proxy::to(user.plain_port());
        if let Some(hidden) = hidden {
            proxy.hide(hidden);
        }
        let account = user.account().in_clear(proxy.port()).backfill("all");
        let account = account.mailboxes(&["INBOX", "Work", "Escalations"]);
        let settings = Settings::label().with(account).and(RULES).and(&sink.section(""));
        Scene { user, proxy, sink, installation: Installation::new(&settings) }
    }

    /// Lets a daemon make the database that can not reach the server: strace counts by threads, so those
    /// that only the first start has must be over before the other ones can be hit.
    pub(super) fn make_database(&self) {
        self.proxy.refuse();
        let mut daemon = self.installation.start();
        daemon.wait_until("it has tried", |daemon| daemon.log().contains("is not watched for now"));
        daemon.stop();
        self.proxy.pass();
    }

    /// A run to its end for which nothing goes wrong: the syncs of each thread and the commands that it
    /// has up to where it waits for news for the first time.
    pub(super) fn play(&self) -> (Vec<usize>, Vec<String>) {
        let traced = may_trace();
        self.proxy.hold("IDLE");
        let mut daemon =
            if traced { self.installation.start_traced(None) } else { self.installation.start() };
        daemon.wait_until("all is done", |_| self.proxy.is_holding());
        self.installation.wait_alerted(1);
        let (syncs, commands) = (self.installation.syncs(), self.proxy.said_commands());
        self.proxy.let_go();
        self.wait_settled(&mut daemon);
        (syncs.into_iter().map(|(_, count)| count).collect(), commands)
    }

    /// A run that ends at a point, and nowhere else.
    fn die_at(&self, point: &Point) {
        match point {
            Point::Making(number) | Point::Working(number) => {
                if matches!(point, Point::Working(_)) {
                    self.make_database();
                }
                self.installation.start_traced(Some(*number)).wait_killed();
                let syncs: usize = self.installation.syncs().iter().map(|(_, count)| count).sum();
                assert_eq!(syncs, *number, "it died there");
            }
            Point::Command { number, heard, .. } => {
                self.proxy.stop_at(*number, *heard);
                let mut daemon = self.installation.start();
                daemon.wait_until("it is at that command", |_| self.proxy.has_stopped());
                daemon.kill();
            }
            Point::Letter(moment) => {
                self.sink.holds(*moment);
                if matches!(moment, Moment::Text(_)) {
                    // What the kernel has taken of a mail is not the whole of it.
                    self.sink.fails(*moment, Fault::Die);
                }
                let daemon = self.installation.start();
                self.sink.wait_held();
                daemon.kill();
                self.sink.lets_go();
            }
        }
        self.proxy.cut();
        self.proxy.pass();
        self.proxy.forget_said();
    }

    /// Whether the daemon waits for news, and what was moved was looked at where it is.
    fn is_settled(&self, daemon: &Daemon) -> bool {
        let said = self.proxy.said_commands();
        let last = |is: &dyn Fn(&str) -> bool| said.iter().rposition(|command| is(command));
        let moved = last(&|command| takes(command) && command.ends_with("\"Escalations\""));
        let looked = last(&|command| command == "SELECT \"Escalations\"");
        said.last().is_some_and(|last| last == "IDLE") && moved <= looked && daemon.ready()
    }

    /// Dovecot leaves out an announcement by NOTIFY now and then; what it did not tell of is found a minute
    /// later.
    fn wait_settled(&self, daemon: &mut Daemon) {
        until_within(2 * PATIENCE, "all is settled", || {
            assert!(daemon.is_running(), "it ended");
            self.is_settled(daemon).then_some(())
        });
    }

    /// What has come of it.
    pub(super) fn end(&self) -> End {
        let decided_here = |record: &Record| record.mailbox != "Escalations";
        let history = self.installation.history().into_iter().filter(decided_here);
        let outcome = |one: Record| (one.mailbox, one.uid, one.keywords, one.outcome);
        End { dump: Dump::of(&self.user), outcomes: history.map(outcome).collect() }
    }

    /// The commands that change anything of a daemon that finds all done.
    fn writes_of_an_idle_pass(&self) -> Vec<String> {
        self.proxy.forget_said();
        let mut daemon = self.installation.start();
        self.wait_settled(&mut daemon);
        let mut said = self.proxy.said_commands();
        said.retain(|command| writes(command));
        said
    }

    /// A point, and what must hold afterwards.
    pub(super) fn survives(&self, point: &Point, expected: &End) -> usize {
        self.die_at(point);
        let mut daemon = self.installation.start();
        self.wait_settled(&mut daemon);
        self.installation.wait_alerted(1);
        let end = self.end();
        end.dump.assert_equals(&expected.dump, &format!("after {point}"));
        assert_eq!(end.outcomes, expected.outcomes, "in the history, after {point}");
        daemon.kill();
        assert_eq!(self.writes_of_an_idle_pass(), Vec::<String>::new(), "after {point}");
        Dump::of(&self.user).assert_equals(&expected.dump, &format!("later, after {point}"));
        let again = self.alerts_sent_again();
        let whole = [Moment::Dot, Moment::Kept, Moment::Answered];
        let torn = matches!(point, Point::Letter(moment) if !whole.contains(moment));
        assert!(again == 0 || !torn, "the server never had all of the first one, after {point}");
        again
    }

    /// How often the one alert arrived beyond the first time; each time it is the same one.
    fn alerts_sent_again(&self) -> usize {
        let ours = |alert: &Taken| alert.text().contains(self.user.name());
        let alerts = self.sink.taken().into_iter().filter(ours);
        let ids: Vec<String> = alerts.map(|alert| alert.field("Message-ID").unwrap()).collect();
        assert!((1..=2).contains(&ids.len()), "{ids:?}");
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        ids.len() - 1
    }
}

/// What is on the server, and what the history says of the messages where they came in: a copy that the
/// next life finds before it knows whose it is has an entry of its own.
pub(super) struct End {
    pub(super) dump: Dump,
    outcomes: BTreeSet<(String, u32, BTreeSet<String>, String)>,
}

pub(super) fn writes(command: &str) -> bool {
    WRITES.iter().any(|write| command.starts_with(write))
}

/// Whether a command puts messages into another mailbox.
fn takes(command: &str) -> bool {
    command.starts_with("UID MOVE") || command.starts_with("UID COPY")
}
