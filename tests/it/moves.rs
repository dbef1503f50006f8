//! Moves, whatever happens to the connection: each message is once where it is to be, with its
//! keywords, and what others have marked as deleted stays. They are decided by rules of a
//! configuration, or by a judge of the tests; through the pipeline's own doors, over the real store and
//! servers, because the daemon waits longer after each line that is cut.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use triaged_core::config::parse_bytes;
use triaged_core::decision::{Considered, Decision, Flag, Judge, Mark, Target};
use triaged_core::label::KeywordMap;
use triaged_core::outcome::Outcome;
use triaged_core::rule::Rules;

use crate::harness::{Flow, Format, Mailserver, Proxy, Settings, Software, User};

/// Where mail goes, by the flag that a test puts on it.
const TARGETS: [&str; 4] = ["Work", "Küche", "R&D", "Lists"];
/// What is put on everything before it is moved.
const KEYWORD: &str = "triaged-moved";

/// Moves each message to the mailbox that a flag on it names by number.
struct ByFlag;

impl Judge for ByFlag {
    fn judge(&self, mail: &Considered<'_>) -> Decision {
        let number = mail.flags.iter().find_map(|flag| flag.strip_prefix("to-"));
        let target = number.and_then(|number| TARGETS.get(number.parse::<usize>().ok()?));
        let keyword = Flag::Keyword(KEYWORD.parse().unwrap());
        Decision {
            marks: vec![Mark::Add(keyword).into()],
            move_to: target.map(|target| Target::existing(target).or_created().into()),
            ..Decision::default()
        }
    }

    fn moves(&self) -> bool {
        true
    }
}

/// Rules of a configuration, which move each message to the mailbox that its sender names by number.
fn by_rule() -> Rules {
    let mut rules = "rule = [".to_owned();
    for (number, target) in TARGETS.iter().enumerate() {
        let when = format!("when = {{ from = [\"to-{number}@moves.example\"] }}");
        let then =
            format!("then = {{ keyword = \"{KEYWORD}\", move = \"{target}\", create = true }}");
        write!(rules, "{{ name = \"rule-{number}\", {when}, {then} }}, ").unwrap();
    }
    let settings = Settings::label().with_nobody().and(&(rules + "]"));
    let folder = Path::new("/nowhere");
    let config = parse_bytes(settings.toml(folder, folder, 1).as_bytes()).unwrap();
    Rules::new(config.rules.into_iter().map(|one| one.rule).collect())
}

/// Who decides.
#[derive(Clone, Copy)]
enum By {
    Flag,
    Rule,
}

impl By {
    async fn flow(self, port: u16) -> Flow {
        match self {
            Self::Flag => Flow::new(port, ByFlag, KeywordMap::default()).await,
            Self::Rule => Flow::new(port, by_rule(), KeywordMap::default()).await,
        }
    }
}

/// A linear congruential generator (Knuth, MMIX): the same cuts on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The name of a mailbox as it goes over the wire (RFC 3501 §5.1.3).
fn wire(name: &str) -> String {
    format!("\"{}\"", name.replace('&', "&-").replace('ü', "&APw-"))
}

/// The subjects in a mailbox, each with the flags of its message, sorted.
fn found_in(anna: &User, mailbox: &str) -> Vec<(String, String)> {
    let mut client = anna.client();
    if !client.attempt(&format!("EXAMINE {}", wire(mailbox))).starts_with("OK") {
        return Vec::new();
    }
    let lines = client.command("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    let mut found: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| {
            let subject = line.split("Subject: ").nth(1)?.lines().next()?;
            let flags = line.split_once("FLAGS (")?.1.split_once(')')?.0;
            Some((subject.to_owned(), flags.to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// Messages that somebody else has marked as deleted and not expunged.
const PLANTED: usize = 5;
/// Messages that come together; each lot meets cuts of its own.
const LOT: usize = 50;

/// What a run is like.
struct Run {
    software: Software,
    by: By,
    messages: usize,
    /// Left out of what the server can do.
    hidden: Option<&'static str>,
    /// What the connection is cut after, in two of three cases.
    moments: &'static [&'static str],
    seed: u64,
}

impl Run {
    /// Moves all messages over connections that are cut again and again.
    fn play(&self) {
        let mail = Mailserver::of(self.software);
        let anna = mail.user("anna");
        let proxy = Proxy::to(anna.plain_port());
        if let Some(hidden) = self.hidden {
            proxy.hide(hidden);
        }
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let flow = self.by.flow(proxy.port()).await;
            let (mut chance, mut cuts, begun) = (Chance(self.seed), 0, Instant::now());
            for lot in 0..self.messages / LOT {
                self.fill(&anna, lot);
                cuts += self.cut_and_go_on(&flow, &proxy, &anna, &mut chance).await;
            }
            eprintln!("{} moves, {cuts} connections cut, {:?}", self.messages, begun.elapsed());
            assert!(cuts >= self.messages / LOT, "{cuts}");
            self.assert_moved_once(&anna);
            let expected = [(Outcome::Moved.as_str(), self.messages)].into();
            assert_eq!(flow.outcomes().await, expected, "by the store");
            for target in TARGETS {
                let caught = flow.look_at(target).await.unwrap();
                assert_eq!(caught.messages, 0, "what we moved to {target} is known there");
            }
            proxy.count("UID STORE");
            flow.look_at("INBOX").await.unwrap();
            assert_eq!(proxy.heard(), 0, "nothing is left to do");
            assert_eq!(flow.outcomes().await, expected, "nothing was decided anew");
        });
        self.assert_moved_once(&anna);
    }

    /// Puts a lot of messages into the INBOX, and among them those that somebody has marked as
    /// deleted.
    fn fill(&self, anna: &User, lot: usize) {
        let mut client = anna.client();
        for number in lot * LOT..(lot + 1) * LOT {
            if number % (self.messages / PLANTED) == 3 {
                let planted = format!("Subject: planted {number}\r\n\r\nstay\r\n");
                client.append("INBOX", planted.as_bytes(), "\\Deleted", None);
            }
            // Every tenth has no Message-ID.
            let id = format!("Message-ID: <{number}@moves.example>\r\n");
            let id = if number % 10 == 0 { "" } else { &id };
            let to = format!("to-{}", number % TARGETS.len());
            let from = format!("From: {to}@moves.example\r\n");
            let text =
                format!("{id}{from}Subject: move {number:04}\r\n\r\nHello, hello, hello.\r\n");
            client.append("INBOX", text.as_bytes(), &to, None);
        }
    }

    /// Looks at the INBOX over connections that are cut, until nothing is left to be done; how many
    /// were cut.
    async fn cut_and_go_on(
        &self,
        flow: &Flow,
        proxy: &Proxy,
        anna: &User,
        chance: &mut Chance,
    ) -> usize {
        let begun = Instant::now();
        let mut cuts = 0;
        loop {
            let mut below = |limit: usize| usize::try_from(chance.below(limit as u64)).unwrap();
            if below(4) == 0 {
                proxy.cut_after("", 0, below(30_000));
            } else {
                let moment = self.moments[below(self.moments.len())];
                proxy.cut_after(moment, 1 + u32::try_from(below(4)).unwrap(), below(500));
            }
            let looked = flow.look_at("INBOX").await;
            cuts += usize::from(!proxy.will_cut());
            let left = found_in(anna, "INBOX").iter().any(|(one, _)| one.starts_with("move"));
            if looked.is_ok() && !left {
                proxy.cut_after("NEVER SAID", 1, 0);
                return cuts;
            }
            assert!(begun.elapsed() < Duration::from_mins(8), "it does not come to an end");
        }
    }

    fn assert_moved_once(&self, anna: &User) {
        let planted = found_in(anna, "INBOX");
        assert_eq!(planted.len(), PLANTED, "{planted:?}");
        for (subject, flags) in &planted {
            assert!(subject.starts_with("planted") && flags.contains("\\Deleted"), "{planted:?}");
        }
        for (number, target) in TARGETS.iter().enumerate() {
            let found = found_in(anna, target);
            let expected = (0..self.messages).filter(|n| n % TARGETS.len() == number);
            let expected: Vec<String> = expected.map(|n| format!("move {n:04}")).collect();
            let subjects: Vec<&str> = found.iter().map(|(subject, _)| subject.as_str()).collect();
            assert_eq!(subjects, expected, "in {target}");
            for (subject, flags) in found {
                assert!(
                    flags.contains(KEYWORD) && !flags.contains("\\Deleted"),
                    "{subject}: {flags}"
                );
            }
        }
    }
}

const MOVING: &[&str] = &["UID MOVE", "STATUS", "UID STORE", "(UID FLAGS", "EXAMINE"];
const COPYING: &[&str] =
    &["UID COPY", "UID EXPUNGE", "UID STORE", "STATUS", "(UID FLAGS", "EXAMINE"];
const DOVECOT: Software = Software::Dovecot(Format::Sdbox);

/// R2 of the reliability bars.
#[test]
fn a_thousand_moves_by_rules_over_a_line_that_is_cut_lose_and_double_nothing_on_dovecot() {
    let (software, by) = (DOVECOT, By::Rule);
    Run { software, by, messages: 1000, hidden: None, moments: MOVING, seed: 42 }.play();
}

#[test]
fn without_move_copies_over_a_line_that_is_cut_lose_and_double_nothing_on_dovecot() {
    let (software, by, hidden) = (DOVECOT, By::Rule, Some("MOVE"));
    Run { software, by, messages: 1000, hidden, moments: COPYING, seed: 7 }.play();
}

#[test]
fn moves_over_a_line_that_is_cut_lose_and_double_nothing_on_cyrus() {
    let (software, by) = (Software::Cyrus, By::Flag);
    Run { software, by, messages: 300, hidden: None, moments: MOVING, seed: 11 }.play();
}

#[test]
fn without_move_copies_over_a_line_that_is_cut_lose_and_double_nothing_on_cyrus() {
    let (software, by, hidden) = (Software::Cyrus, By::Flag, Some("MOVE"));
    Run { software, by, messages: 300, hidden, moments: COPYING, seed: 5 }.play();
}
