//! What takes minutes and gives figures: `make soak`. Run it with a release build; the figures mean
//! nothing on a machine that does something else.

mod kills;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::harness::{
    Format, Installation, Mail, Mailserver, Proxy, Settings, User, until, until_within,
};

const PATIENCE: Duration = Duration::from_mins(15);

/// A mail of one of three kinds, none of which is long.
fn some_mail(n: usize) -> Mail {
    match n % 3 {
        0 => Mail::outage(),
        1 => Mail::invoice_question(),
        _ => Mail::newsletter(),
    }
}

fn fill(anna: &User, count: usize, received: Option<Timestamp>) {
    let mut client = anna.client();
    for n in 0..count {
        client.append("INBOX", some_mail(n).bytes(), "", received);
    }
}

/// The value at a part, from 0 to 1, of sorted times.
fn quantile(sorted: &[Duration], part: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a short list"
    )]
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

/// Delivers mails one after the other, each when the one before has its label, until `ended`: how
/// long each took from LMTP's answer to the keyword that another client sees. UIDs begin at `uid`.
fn live_mail(anna: &User, mut uid: usize, ended: &AtomicBool) -> Vec<Duration> {
    let mut client = anna.client();
    client.command("EXAMINE INBOX");
    let mut took = Vec::new();
    while !ended.load(Ordering::SeqCst) {
        anna.deliver(&Mail::outage());
        let start = Instant::now();
        until("a new mail has its label", || {
            let seen = client.command(&format!("UID FETCH {uid} (FLAGS)"));
            seen.iter().any(|line| line.contains("triaged-urgent")).then_some(())
        });
        took.push(start.elapsed());
        uid += 1;
        thread::sleep(Duration::from_millis(200));
    }
    took.sort_unstable();
    took
}

/// How often each message was given each keyword.
fn stores(proxy: &Proxy) -> BTreeMap<(u32, String), usize> {
    let mut counts = BTreeMap::new();
    for line in proxy.said("UID STORE") {
        let mut words = line.split_whitespace().skip(3);
        let (set, rest) = (words.next().unwrap(), words.skip(1).collect::<Vec<_>>().join(" "));
        for range in set.split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            for uid in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
                *counts.entry((uid, rest.clone())).or_default() += 1;
            }
        }
    }
    counts
}

/// Who asks all the time is a load of its own.
fn now_and_then() {
    thread::sleep(Duration::from_millis(500));
}

const OLD: usize = 2_000;

#[test]
#[ignore = "it takes minutes: make soak"]
fn a_backfill_of_two_thousand_killed_twice_does_nothing_twice_and_holds_up_no_new_mail() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let old = Timestamp::now() - SignedDuration::from_hours(72);
    fill(&anna, OLD, Some(old));
    let proxy = Proxy::to(anna.plain_port());
    let account = anna.account().in_clear(proxy.port());
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    let asked = ["backfill", "--account", "anna", "--since", "7d", "--per-minute", "1500"];
    let output = installation.triaged(&[&asked[..], &["--no-wait"]].concat());
    assert!(output.status.success(), "{output:?}");

    let ended = AtomicBool::new(false);
    let (daemon, live, took) = thread::scope(|scope| {
        let live = scope.spawn(|| live_mail(&anna, OLD + 1, &ended));
        let start = Instant::now();
        let mut daemon = daemon;
        for part in [OLD / 3, 2 * OLD / 3] {
            until_within(PATIENCE, "a part is done", || {
                now_and_then();
                (installation.history().len() >= part).then_some(())
            });
            daemon.kill();
            daemon = installation.start();
        }
        until_within(PATIENCE, "all is done", || {
            now_and_then();
            let old = |uid: &u32| usize::try_from(*uid).is_ok_and(|uid| uid <= OLD);
            let done = installation.history();
            (done.iter().filter(|record| old(&record.uid) && record.outcome != "pending").count()
                == OLD)
                .then_some(())
        });
        ended.store(true, Ordering::SeqCst);
        let took = start.elapsed();
        (daemon, live.join().unwrap(), took)
    });
    let counts = stores(&proxy);
    let twice = counts.values().filter(|count| **count > 1).count();
    let history = installation.history();
    println!(
        "{OLD} messages in {took:.0?}, killed twice; {} messages given keywords, {twice} of them again after \
         a kill; {} new mails meanwhile, p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
        counts.len(),
        live.len(),
        quantile(&live, 0.5),
        quantile(&live, 0.99),
        quantile(&live, 1.0)
    );
    let mut uids: Vec<u32> = history.iter().map(|record| record.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    assert_eq!((uids.len(), history.len()), (OLD + live.len(), OLD + live.len()));
    // Only what was on its way when the daemon was killed may be said again: a chunk each time.
    assert!(twice <= 2 * 100, "{twice}");
    assert!(counts.values().all(|count| *count <= 2), "none a third time");
    assert!(quantile(&live, 0.99) <= Duration::from_secs(3), "{live:?}");
    daemon.stop();
}

const BEHIND: usize = 5_000;
const ROUND_TRIP: Duration = Duration::from_millis(40);
/// Messages that are done one by one; all of them would take a quarter of an hour.
const ONE_BY_ONE: u32 = 250;

/// What reading and labelling each message by commands of its own takes, for all of them.
fn one_by_one(anna: &User, proxy: &Proxy) -> Duration {
    let mut client = anna.client_at(proxy.port());
    client.command("SELECT INBOX");
    let start = Instant::now();
    for uid in 1..=ONE_BY_ONE {
        client.command(&format!("UID FETCH {uid} (UID BODY.PEEK[HEADER] BODY.PEEK[TEXT])"));
        client.command(&format!("UID STORE {uid} +FLAGS.SILENT (one-by-one)"));
    }
    start.elapsed() / ONE_BY_ONE * u32::try_from(BEHIND).unwrap()
}

/// Time and commands of a daemon that catches up.
fn catch_up(settings: &Settings, proxy: &Proxy) -> (Duration, u64) {
    let installation = Installation::new(settings);
    let before = proxy.commands();
    let start = Instant::now();
    let mut daemon = installation.start();
    until_within(PATIENCE, "all is caught up", || {
        assert!(daemon.is_running());
        daemon.ready().then_some(())
    });
    let took = start.elapsed();
    let commands = proxy.commands() - before;
    assert_eq!(installation.history().len(), BEHIND);
    daemon.stop();
    (took, commands)
}

#[test]
#[ignore = "it takes minutes: make soak"]
fn catching_up_takes_a_tenth_of_what_single_commands_take() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    fill(&anna, BEHIND, None);
    let proxy = Proxy::to(anna.plain_port());
    proxy.round_trip(ROUND_TRIP);
    let account = anna.account().in_clear(proxy.port()).backfill("all");
    let (took, commands) = catch_up(&Settings::label().all_cores().with(account), &proxy);
    let alone = one_by_one(&anna, &proxy);
    println!(
        "{BEHIND} messages in {took:.1?} with {commands} commands, the model and the start included; \
         one by one, and without a model, {alone:.1?} (from {ONE_BY_ONE} of them): {:.1} times as long",
        alone.as_secs_f64() / took.as_secs_f64()
    );
    assert!(commands * 10 <= 2 * BEHIND as u64, "{commands} commands");
    assert!(took * 10 <= alone, "{took:?} against {alone:?}");
}

#[test]
#[ignore = "it takes minutes: make soak"]
fn two_thousand_messages_end_the_same_on_each_database_whatever_dies() {
    crate::same_state::play(200);
}
