//! R1 of the reliability bars: the daemon dies of SIGKILL at every point at which something has just
//! become durable, and the next one ends where one would have ended for which nothing went wrong.
//!
//! The points are every sync of the database (strace(1) delivers the signal, so the product has no code
//! for it), and every IMAP command: before the server hears it, and, where it changes anything, after it
//! was done and before anybody hears that. At each point a user of its own has the same mail, and the
//! daemon a new installation. The run labels, and moves by rules.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::{self, Display, Formatter};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use jiff::Timestamp;

use crate::harness::{
    Daemon, Dump, Dumped, Format, Installation, Mail, Mailserver, Proxy, Record, Settings, User,
    refusal,
};
use crate::workload::WRITES;

/// Angry and urgent mail leaves its mailbox, from either to one that is watched; what is sold goes to
/// a mailbox that the rule makes.
const RULES: &str = r#"rule = [
    { name = "escalate", when = { labels = ["sentiment.negative", "urgency.high"], mailboxes = ["INBOX", "Work"] }, then = { keyword = "triaged-escalated", flag = true, move = "Escalations" } },
    { name = "sales", when = { subject = ["autumn sale"] }, then = { move = "Sales", create = true } },
]"#;

/// Syncs with which the connection that made the database is closed: by its thread or by whoever holds
/// it last, so that none of them can be hit for certain.
const CLOSING: usize = 2;

/// How many points are tried at the same time: the daemons mostly wait.
const AT_ONCE: usize = 4;

/// A mail of the run: where it is, and with which flags.
struct Given {
    mailbox: &'static str,
    mail: Mail,
    flags: &'static str,
}

/// What every user has at the beginning.
fn given() -> Vec<Given> {
    let sale = || {
        Mail::new("Garden <news@garden.example>", "The autumn sale", "Everything is 20% off today.")
    };
    let of = |mailbox, mail, flags| Given { mailbox, mail, flags };
    vec![
        of("INBOX", Mail::outage(), ""),
        of("INBOX", Mail::newsletter(), "\\Seen"),
        of("INBOX", Mail::invoice_question(), ""),
        of("INBOX", Mail::newsletter(), "\\Deleted"),
        of("INBOX", Mail::outage(), "\\Answered somebody-elses"),
        of("INBOX", sale(), ""),
        of("Work", Mail::outage(), ""),
        of("Work", Mail::invoice_question(), ""),
        of("Work", Mail::invoice_question(), "\\Deleted"),
    ]
}

/// Where and how a daemon dies.
#[derive(Clone)]
enum Point {
    /// At this sync of the thread that makes the database, counted from 1.
    Making(usize),
    /// At this sync of the thread that works with it.
    Working(usize),
    /// At this command, counted from 1; `heard`: done, and the answer is lost.
    Command { number: usize, heard: bool, words: String },
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
        }
    }
}

/// One user, one installation, and the line between them.
struct Scene {
    user: User,
    proxy: Proxy,
    installation: Installation,
}

impl Scene {
    /// `hidden`: left out of what the server can do.
    fn new(mail: &Mailserver, name: &str, given: &[Given], hidden: Option<&'static str>) -> Scene {
        let user = mail.user(name);
        let mut client = user.client();
        for mailbox in ["Work", "Escalations"] {
            client.command(&format!("CREATE {mailbox}"));
        }
        let received: Timestamp = "2026-11-16T09:12:00Z".parse().unwrap();
        for Given { mailbox, mail, flags } in given {
            client.append(mailbox, mail.bytes(), flags, Some(received));
        }
        let proxy = Proxy::to(user.plain_port());
        if let Some(hidden) = hidden {
            proxy.hide(hidden);
        }
        let account = user.account().in_clear(proxy.port()).backfill("all");
        let account = account.mailboxes(&["INBOX", "Work", "Escalations"]);
        let settings = Settings::label().with(account).and(RULES);
        Scene { user, proxy, installation: Installation::new(&settings) }
    }

    /// Lets a daemon make the database that can not reach the server: strace counts by threads, so those
    /// that only the first start has must be over before the other ones can be hit.
    fn make_database(&self) {
        self.proxy.refuse();
        let mut daemon = self.installation.start();
        daemon.wait_until("it has tried", |daemon| daemon.log().contains("is not watched for now"));
        daemon.stop();
        self.proxy.pass();
    }

    /// A run to its end for which nothing goes wrong: the syncs of each thread and the commands that it
    /// has up to where it waits for news for the first time.
    fn play(&self) -> (Vec<usize>, Vec<String>) {
        let traced = may_trace();
        self.proxy.hold("IDLE");
        let mut daemon =
            if traced { self.installation.start_traced(None) } else { self.installation.start() };
        daemon.wait_until("all is done", |_| self.proxy.is_holding());
        let (syncs, commands) = (self.installation.syncs(), self.proxy.said_commands());
        self.proxy.let_go();
        daemon.wait_until("all is settled", |daemon| self.is_settled(daemon));
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

    /// What has come of it.
    fn end(&self) -> End {
        let decided_here = |record: &Record| record.mailbox != "Escalations";
        let history = self.installation.history().into_iter().filter(decided_here);
        let outcome = |one: Record| (one.mailbox, one.uid, one.keywords, one.outcome);
        End { dump: Dump::of(&self.user), outcomes: history.map(outcome).collect() }
    }

    /// The commands that change anything of a daemon that finds all done.
    fn writes_of_an_idle_pass(&self) -> Vec<String> {
        self.proxy.forget_said();
        let mut daemon = self.installation.start();
        daemon.wait_until("an idle pass is over", |daemon| self.is_settled(daemon));
        let mut said = self.proxy.said_commands();
        said.retain(|command| writes(command));
        said
    }

    /// A point, and what must hold afterwards.
    fn survives(&self, point: &Point, expected: &End) {
        self.die_at(point);
        let mut daemon = self.installation.start();
        daemon.wait_until("all is settled", |daemon| self.is_settled(daemon));
        let end = self.end();
        end.dump.assert_equals(&expected.dump, &format!("after {point}"));
        assert_eq!(end.outcomes, expected.outcomes, "in the history, after {point}");
        daemon.kill();
        assert_eq!(self.writes_of_an_idle_pass(), Vec::<String>::new(), "after {point}");
        Dump::of(&self.user).assert_equals(&expected.dump, &format!("later, after {point}"));
    }
}

/// What is on the server, and what the history says of the messages where they came in: a copy that the
/// next life finds before it knows whose it is has an entry of its own.
struct End {
    dump: Dump,
    outcomes: BTreeSet<(String, u32, BTreeSet<String>, String)>,
}

fn writes(command: &str) -> bool {
    WRITES.iter().any(|write| command.starts_with(write))
}

/// Whether a command puts messages into another mailbox.
fn takes(command: &str) -> bool {
    command.starts_with("UID MOVE") || command.starts_with("UID COPY")
}

/// Every sync, every command, and every command again that changes anything.
fn points(making: usize, working: usize, commands: &[String]) -> VecDeque<Point> {
    let mut points: VecDeque<Point> = (1..=making).map(Point::Making).collect();
    points.extend((1..=working).map(Point::Working));
    for (number, words) in (1..).zip(commands) {
        let words = words.split(" (").next().unwrap_or_default().to_owned();
        points.push_back(Point::Command { number, heard: false, words: words.clone() });
        if writes(&words) {
            points.push_back(Point::Command { number, heard: true, words });
        }
    }
    points
}

/// Dies at every point of a run. `hidden`: left out of what the server can do.
fn die_everywhere(hidden: Option<&'static str>) {
    let (mail, given, began) = (Mailserver::start(Format::Sdbox), given(), Instant::now());
    let fresh = Scene::new(&mail, "nobody-dies", &given, hidden);
    let (syncs, commands) = fresh.play();
    let expected = fresh.end();
    assert_is_worth_it(&expected.dump);
    let later = Scene::new(&mail, "nobody-dies-later", &given, hidden);
    later.make_database();
    let (working, _) = later.play();
    // One connection makes the database, and then another one works with it.
    assert!(working.len() <= 1, "one thread alone works with the database: {working:?}");
    let working = working.iter().sum::<usize>();
    let syncs = syncs.split_last().map_or(0, |(_, made)| {
        let making = made.iter().sum::<usize>() - CLOSING;
        making + working
    });
    let points = points(syncs - working, working, &commands);
    let (count, waiting) = (points.len(), Mutex::new(points));
    thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            let (mail, given, expected, waiting) = (&mail, &given, &expected, &waiting);
            scope.spawn(move || {
                for turn in 0.. {
                    let next = waiting.lock().unwrap().pop_front();
                    let Some(point) = next else { return };
                    let name = format!("dies-{worker}-{turn}");
                    let scene = Scene::new(mail, &name, given, hidden);
                    let noted = Noted(&point);
                    scene.survives(&point, expected);
                    drop(noted);
                }
            });
        }
    });
    eprintln!(
        "R1: {count} points ({syncs} syncs of the database, {} before and {} after commands): killed at \
         each, 0 lost, 0 doubled, 0 writes of an idle pass, in {:.0?}",
        commands.len(),
        count - syncs - commands.len(),
        began.elapsed()
    );
}

/// The run labels, moves to a mailbox that is there and to one that is made, and leaves alone what
/// others have marked as deleted.
fn assert_is_worth_it(dump: &Dump) {
    let count = |mailbox: &str, flag: &str| {
        let has = |one: &&Dumped| one.flags.contains(flag);
        dump.mailboxes[mailbox].iter().filter(has).count()
    };
    assert_eq!((count("Escalations", "triaged-urgent"), count("Escalations", "\\Flagged")), (3, 3));
    assert_eq!(count("Escalations", "somebody-elses"), 1);
    assert_eq!((count("Sales", "triaged-newsletter"), count("Work", "triaged-billing")), (1, 1));
    assert_eq!((count("INBOX", "\\Deleted"), count("Work", "\\Deleted")), (1, 1));
    let count: usize = dump.mailboxes.values().map(Vec::len).sum();
    assert_eq!(count, given().len());
    dump.assert_once();
}

/// Says at which point it was when something fails.
struct Noted<'a>(&'a Point);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- killed at: {} ---", self.0);
        }
    }
}

/// What can not be traced dies at commands alone, and that is said where it is seen.
fn may_trace() -> bool {
    let Some(refusal) = refusal() else { return true };
    eprintln!("**********************************************************************");
    eprintln!("*** NOT RUN: the kill points at syncs. Nothing may be traced here: {refusal}");
    eprintln!("**********************************************************************");
    false
}

#[test]
fn killed_at_every_sync_and_every_command_it_ends_where_it_would_have_ended() {
    die_everywhere(None);
}

#[test]
fn killed_at_every_sync_and_every_command_where_moves_are_copies() {
    die_everywhere(Some("MOVE"));
}
