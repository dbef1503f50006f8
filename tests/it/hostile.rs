//! Servers that mean harm, or are broken: each of the transcripts in `hostile/` is played by a
//! listener of its own to the real daemon. Whatever they do, the daemon says what is wrong or goes
//! on, in time; it stays within memory, sends no credential but at the login, and another account,
//! on a real Dovecot, keeps getting its labels.
//!
//! Each file is one daemon with an account for each transcript in it, all at the same time.

mod server;
mod transcript;

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{Daemon, Format, Installation, Mail, Mailserver, PASSWORD, Record, Settings};
use server::Server;
use transcript::Expected;

const MIB: u64 = 1024 * 1024;
/// What all transcripts of a file together may cost: the promise is that much for one connection.
const MOST_GROWTH: u64 = 64 * MIB;
/// The longest deadline is a minute, behind back-offs of half a minute; this bears a slow machine.
const IN_TIME: Duration = Duration::from_secs(150);

/// The files in `hostile/`.
const TOPICS: [&str; 7] = ["greeting", "login", "select", "listing", "message", "write", "wait"];

#[test]
fn greetings() {
    play("greeting");
}

#[test]
fn logins() {
    play("login");
}

#[test]
fn selects() {
    play("select");
}

#[test]
fn listings() {
    play("listing");
}

#[test]
fn messages() {
    play("message");
}

#[test]
fn writes() {
    play("write");
}

#[test]
fn waits() {
    play("wait");
}

#[test]
fn there_are_enough_of_them() {
    let count: usize = TOPICS.map(|topic| transcript::of(topic).len()).iter().sum();
    assert!(count >= 60, "{count} transcripts");
    println!("{count} hostile transcripts");
}

/// An account with a server of its own.
struct Account {
    name: String,
    server: Server,
}

fn play(topic: &str) {
    let good = Mailserver::start(Format::Sdbox);
    let anna = good.user("anna");
    let transcripts = transcript::of(topic).into_iter().enumerate();
    let accounts: Vec<Account> = transcripts
        .map(|(n, transcript)| Account {
            name: format!("{topic}-{n:02}"),
            server: Server::start(transcript),
        })
        .collect();
    let add = |settings: Settings, Account { name, server }: &Account| {
        let hostile = good.user(name).account().in_clear(server.port()).backfill("all");
        settings.with(hostile.and("poll_seconds = 1"))
    };
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

    accounts.iter().for_each(|account| account.server.open());
    let meanwhile = Mail::outage();
    anna.deliver(&meanwhile);
    wait_for_all(&accounts, &installation, &mut daemon);
    assert_eq!(installation.wait_decided(&anna, &meanwhile).outcome, "labelled");
    let afterwards = Mail::outage();
    anna.deliver(&afterwards);
    assert_eq!(installation.wait_decided(&anna, &afterwards).outcome, "labelled");

    let grown = daemon.peak_memory().saturating_sub(memory);
    println!("{topic}: {} transcripts, memory grew by {grown} bytes", accounts.len());
    assert!(grown <= MOST_GROWTH, "memory grew by {grown} bytes");
    let log = daemon.stop();
    assert!(!log.contains("panicked") && !log.contains(PASSWORD), "{log}");
}

/// Waits until everything that is expected of the accounts has come about, and names what has not.
fn wait_for_all(accounts: &[Account], installation: &Installation, daemon: &mut Daemon) {
    let start = Instant::now();
    loop {
        assert!(daemon.is_running(), "the daemon ended");
        let (log, history) = (daemon.log(), installation.history());
        let missing = |account: &Account| account.missing(&log, &history);
        let missing: Vec<String> = accounts.iter().flat_map(missing).collect();
        if missing.is_empty() {
            return;
        }
        let late = start.elapsed() > IN_TIME;
        assert!(!late, "after {IN_TIME:?}:\n{}", missing.join("\n"));
        sleep(Duration::from_millis(500));
    }
}

impl Account {
    /// What is expected and has not come about; fails at once where the opposite has.
    fn missing(&self, log: &str, history: &[Record]) -> Vec<String> {
        let transcript = self.server.transcript();
        let what = format!("{}, {}", self.name, transcript.title);
        let (credentials, misplaced) = self.server.credentials();
        assert_eq!(misplaced, 0, "{what}: a credential outside of the login");
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
