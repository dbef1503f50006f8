//! Servers that mean harm, or are broken: each of the transcripts in `hostile/` is played by a
//! listener of its own to the real daemon. Whatever they do, the daemon says what is wrong or goes
//! on, in time; it stays within memory, sends no credential but at the login, and another account,
//! on a real Dovecot, keeps getting its labels.
//!
//! All of them play at the same time, each to an account of one daemon.

mod server;
mod transcript;

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{
    Daemon, Format, Installation, Mail, Mailserver, PASSWORD, Record, Settings, until_within,
};
use server::Server;
use transcript::{Expected, Transcript};

const MIB: u64 = 1024 * 1024;
/// What all transcripts together may cost: the promise is that much for one connection.
const MOST_GROWTH: u64 = 64 * MIB;
/// The longest deadline is a minute, behind back-offs of half a minute; this bears a slow machine.
const IN_TIME: Duration = Duration::from_mins(8);

/// The files in `hostile/`.
const TOPICS: [&str; 7] = ["greeting", "login", "select", "listing", "message", "write", "wait"];

#[test]
fn hostile_servers_cost_nobody_else_anything_and_little_memory() {
    let transcripts = TOPICS.map(|topic| (topic, transcript::of(topic)));
    let count: usize = transcripts.iter().map(|(_, of_topic)| of_topic.len()).sum();
    assert!(count >= 60, "{count} transcripts");
    let named = |(topic, of_topic): (&'static str, Vec<Transcript>)| {
        (0..).zip(of_topic).map(move |(n, transcript)| (format!("{topic}-{n:02}"), transcript))
    };
    let mut play = Play::begin(transcripts.into_iter().flat_map(named));
    play.wait_for_all();
    let grown = play.end();
    println!("{count} hostile transcripts, memory grew by {grown} bytes");
    assert!(grown <= MOST_GROWTH, "memory grew by {grown} bytes");
}

/// More than there are turns for chunks in hand.
const SILENT: usize = 12;
/// Well before the minute after which silence ends a command.
const SOON: Duration = Duration::from_secs(40);

#[test]
fn servers_that_fall_silent_in_a_message_do_not_hold_up_the_others() {
    let silent = || {
        let all = transcript::of("message");
        all.into_iter().find(|one| one.title == "silence in the middle of a literal").unwrap()
    };
    let mut play = Play::begin((0..SILENT).map(|n| (format!("silent-{n:02}"), silent())));
    // Each stays so for a minute: they would come in two rounds if each kept its turn.
    let start = Instant::now();
    until_within(IN_TIME, "all of them are silent", || {
        play.accounts.iter().all(|one| one.server.heard("BODY.PEEK")).then_some(())
    });
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let start = Instant::now();
    play.label_one();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    play.end();
}

/// Commands that come in from a daemon that is woken again and again: fifty looks at once, and then
/// five a second of three commands each.
const COMMANDS: u64 = 600;

#[test]
fn a_server_that_always_has_news_is_not_asked_all_the_time() {
    let all = transcript::of("wait").into_iter();
    let news = all.filter(|one| one.title == "always news and never mail");
    let play = Play::begin(news.map(|one| ("news".to_owned(), one)));
    let commands = || play.accounts[0].server.commands();
    let seconds = until_within(IN_TIME, "it is asked and asked", || {
        Some(commands()).filter(|(count, _)| *count >= COMMANDS).map(|(_, seconds)| seconds)
    });
    assert!(seconds >= 20, "{COMMANDS} commands in {seconds} s");
    play.end();
}

/// An account with a server of its own.
struct Account {
    name: String,
    server: Server,
}

/// A daemon, one account of which is on a real server.
struct Play {
    good: Mailserver,
    accounts: Vec<Account>,
    installation: Installation,
    daemon: Daemon,
    /// Resident, before the others had their say.
    memory: u64,
}

impl Play {
    /// Starts the daemon, and lets the servers play when their memory can be told from the rest.
    fn begin(transcripts: impl Iterator<Item = (String, Transcript)>) -> Play {
        let good = Mailserver::start(Format::Sdbox);
        let account = |(name, transcript)| Account { name, server: Server::start(transcript) };
        let accounts: Vec<Account> = transcripts.map(account).collect();
        let add = |settings: Settings, Account { name, server }: &Account| {
            let hostile = good.user(name).account().in_clear(server.port()).backfill("all");
            settings.with(hostile.and("poll_seconds = 1"))
        };
        let anna = good.user("anna");
        let settings = accounts.iter().fold(Settings::label().with(anna.account()), add);
        let installation = Installation::new(&settings);
        let mut daemon = installation.start();
        daemon.wait_until("anna is watched", |daemon| {
            daemon.get("/metrics").is_some()
                && daemon.metric("triaged_accounts", &[("state", "watching")]) >= 1.0
        });
        // The model has read its longest text once before memory is measured.
        let long = Mail::new("A <a@example.org>", "Long", &"All orders of the day. ".repeat(2000));
        anna.deliver(&long);
        installation.wait_decided(&anna, &long);
        let memory = daemon.memory();
        daemon.forget_peak();
        for account in &accounts {
            account.server.open();
        }
        let mut play = Play { good, accounts, installation, daemon, memory };
        play.label_one();
        play
    }

    /// A mail on the real server gets its labels.
    fn label_one(&mut self) {
        let (anna, outage) = (self.good.user("anna"), Mail::outage());
        anna.deliver(&outage);
        assert_eq!(self.installation.wait_decided(&anna, &outage).outcome, "labelled");
    }

    /// Waits until everything that is expected of the accounts has come about, and names what has
    /// not.
    fn wait_for_all(&mut self) {
        let start = Instant::now();
        loop {
            assert!(self.daemon.is_running(), "the daemon ended");
            let (log, history) = (self.daemon.log(), self.installation.history());
            let missing = |account: &Account| account.missing(&log, &history);
            let missing: Vec<String> = self.accounts.iter().flat_map(missing).collect();
            if missing.is_empty() {
                return;
            }
            let late = start.elapsed() > IN_TIME;
            assert!(!late, "after {IN_TIME:?}:\n{}", missing.join("\n"));
            sleep(Duration::from_millis(500));
        }
    }

    /// What holds at the end of any of them; by how much memory has grown at most.
    fn end(mut self) -> u64 {
        self.label_one();
        let grown = self.daemon.peak_memory().saturating_sub(self.memory);
        for Account { name, server } in &self.accounts {
            let (_, misplaced) = server.credentials();
            assert_eq!(misplaced, 0, "{name}: a credential outside of the login");
        }
        let log = self.daemon.stop();
        assert!(!log.contains("panicked") && !log.contains(PASSWORD), "{log}");
        grown
    }
}

impl Account {
    /// What is expected and has not come about; fails at once where the opposite has.
    fn missing(&self, log: &str, history: &[Record]) -> Vec<String> {
        let transcript = self.server.transcript();
        let what = format!("{}, {}", self.name, transcript.title);
        let (credentials, _) = self.server.credentials();
        let missing = |expected: &Expected| match expected {
            Expected::Says(text) => {
                (!self.said(log, text)).then(|| format!("{what}: it does not say {text:?}"))
            }
            Expected::Outcome(word) => match self.outcome(history) {
                Some(outcome) => {
                    assert_eq!(outcome, *word, "{what}");
                    None
                }
                None => Some(format!("{what}: not {word}, and nothing else")),
            },
            Expected::NoSecret => {
                assert_eq!(credentials, 0, "{what}");
                None
            }
            Expected::Reaches(text) => {
                (!self.server.heard(text)).then(|| format!("{what}: it does not reach {text:?}"))
            }
            Expected::Calm(most) => {
                let (commands, seconds) = self.server.commands();
                assert!(commands <= 300 + seconds * most, "{what}: {commands} commands");
                None
            }
        };
        transcript.expected.iter().filter_map(missing).collect()
    }

    fn said(&self, log: &str, text: &str) -> bool {
        let of_this = format!("account={}", self.name);
        log.lines().any(|line| line.contains(&of_this) && line.contains(text))
    }

    /// What became of the one mail that the server has.
    fn outcome(&self, history: &[Record]) -> Option<String> {
        let record = history.iter().find(|one| one.account == self.name && one.uid == 1)?;
        (record.outcome != "pending").then(|| record.outcome.clone())
    }
}
