//! R1 and R4 of the reliability bars, at random: 200 kills while a thousand messages come in.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Dump, Dumped, Format, Installation, Mailserver, User, until};
use crate::same_state;
use crate::workload::{Run, Workload, counts};

const KILLS: usize = 200;
const USERS: usize = 2;
/// Of each user.
const MAILS: usize = 500;
/// A life lasts at most so long: from before its database is open to when all that came is done.
const LIFE: Duration = Duration::from_millis(1_500);
/// After the last kill all is done in so long.
const AFTER: Duration = Duration::from_secs(30);

/// How long the next life is.
fn lifetime(state: &mut u64) -> Duration {
    // A linear congruential generator (Knuth, MMIX): the same lives on every run.
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let millis = u64::try_from(LIFE.as_millis()).unwrap();
    Duration::from_millis((*state >> 33) % millis)
}

#[test]
#[ignore = "it takes minutes: make soak"]
fn two_hundred_kills_at_random_lose_and_double_nothing() {
    let mail = Mailserver::start(Format::Sdbox);
    let workload = Workload::new(USERS, MAILS);
    let expected = same_state::undisturbed(&mail, &workload);
    let run = workload.run(&mail, "killed");
    let installation = Installation::new(&run.settings());
    let (mut chance, began) = (42, Instant::now());
    for kill in 0..KILLS {
        let daemon = installation.start();
        workload.arrive(&run, kill * MAILS / KILLS..(kill + 1) * MAILS / KILLS);
        thread::sleep(lifetime(&mut chance));
        daemon.kill();
    }
    let (killing, last) = (began.elapsed(), Instant::now());
    let before = done(&run, &expected);
    let daemon = installation.start();
    while !run.equals(&expected) && last.elapsed() < AFTER {
        thread::sleep(Duration::from_millis(200));
    }
    run.assert_equals(&expected, "after the last kill");
    let took = last.elapsed();
    daemon.kill();
    assert_sound(&installation);
    same_state::assert_idle(&run, &installation);
    run.assert_equals(&expected, "later");
    eprintln!(
        "R1: {KILLS} kills in {killing:.0?} while {} messages came ({:?} in the end): {before} of them done at \
         the last one, all of them {took:.1?} after it; 0 lost, 0 doubled, 0 unlabelled, the database is sound",
        workload.messages(),
        counts(&expected),
    );
}

/// Rounds in which the server's sessions die, and how often in each.
const ROUNDS: usize = 20;
const STRIKES: usize = 12;

/// As when a server is out of memory, or has a defect: each of its sessions may die in the middle of a
/// command, and nobody knows how far it came. (Of Maildir the lock files would outlive them.)
#[test]
#[ignore = "it takes minutes: make soak"]
fn sessions_of_the_server_that_die_at_random_lose_and_double_nothing() {
    let mail = Mailserver::start(Format::Sdbox);
    let workload = Workload::new(10, 20);
    let undisturbed = same_state::undisturbed(&mail, &workload);
    let (mut chance, mut killed, mut rebuilt, mut longest) = (42, 0, 0, Duration::ZERO);
    for round in 0..ROUNDS {
        let mut expected = undisturbed.clone();
        let mut run = workload.run(&mail, &format!("round-{round}"));
        workload.arrive(&run, 0..workload.each());
        let installation = Installation::new(&run.settings());
        let daemon = installation.start();
        for _ in 0..STRIKES {
            thread::sleep(Duration::from_millis(100) + lifetime(&mut chance) / 8);
            let mut sessions = mail.sessions();
            sessions.retain(|_| lifetime(&mut chance) < LIFE / 3);
            killed += sessions.into_iter().filter(|session| strike(*session)).count();
        }
        let last = Instant::now();
        while !run.equals(&expected) && last.elapsed() < AFTER {
            rebuilt += set_aside_what_was_rebuilt(&mail, &mut run, &mut expected);
            thread::sleep(Duration::from_millis(200));
        }
        run.assert_equals(&expected, "after the last session that died");
        longest = longest.max(last.elapsed());
        daemon.kill();
        same_state::assert_idle(&run, &installation);
        run.assert_equals(&expected, "later");
    }
    assert!(killed > ROUNDS, "sessions die at all: {killed}");
    assert!(rebuilt < ROUNDS, "nearly all accounts are compared: {rebuilt} are not");
    eprintln!(
        "{killed} sessions died in {ROUNDS} rounds of {} messages ({:?} in the end): all done {longest:.1?} after \
         the last one at most; 0 lost, 0 doubled, 0 unlabelled; but for {rebuilt} accounts of {} in which Dovecot \
         took up what a dead session had left",
        workload.messages(),
        counts(&undisturbed),
        ROUNDS * undisturbed.len(),
    );
}

/// A session that dies in a MOVE may leave a file of sdbox that is in no index. No client can see it; the
/// next copy that shall get its number makes Dovecot take it up, which doubles the message. In such accounts
/// nothing may be lost, and what is there twice is the server's; how many there are.
fn set_aside_what_was_rebuilt(mail: &Mailserver, run: &mut Run, expected: &mut Vec<Dump>) -> usize {
    let log = mail.log();
    let is_rebuilt = |user: &User| {
        let session = format!("imap({})", user.name());
        log.lines().any(|line| line.contains(&session) && line.contains("Rebuilding index"))
    };
    let before = run.users.len();
    let pairs = run.users.drain(..).zip(expected.drain(..));
    let (rebuilt, others): (Vec<_>, Vec<_>) = pairs.partition(|(user, _)| is_rebuilt(user));
    for (user, will) in rebuilt {
        until("all of it is there", || {
            let is = Dump::of(&user);
            let holds = |(name, mails): (&String, &Vec<Dumped>)| {
                let there = is.mailboxes.get(name).map_or(&[][..], Vec::as_slice);
                mails.iter().all(|mail| there.contains(mail))
            };
            will.mailboxes.iter().all(holds).then_some(())
        });
    }
    (run.users, *expected) = others.into_iter().unzip();
    before - run.users.len()
}

/// Kills a process; `false` where it has ended by itself.
fn strike(id: u32) -> bool {
    let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    match kill_process(id, Signal::KILL) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error, Errno::SRCH);
            false
        }
    }
}

/// How many messages are as they will be.
fn done(run: &Run, expected: &[Dump]) -> usize {
    let same = |(is, will): (Dump, &Dump)| {
        let rows = |mailbox: &String| {
            let there = is.mailboxes.get(mailbox).map_or(&[][..], Vec::as_slice);
            will.mailboxes[mailbox].iter().filter(|one| there.contains(one)).count()
        };
        will.mailboxes.keys().map(rows).sum::<usize>()
    };
    run.dumps().into_iter().zip(expected).map(same).sum()
}

/// Asks SQLite through Python, which has its own.
fn assert_sound(installation: &Installation) {
    let ask = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchall())";
    let file = installation.state().join("triaged.sqlite");
    let said = Command::new("python3").args(["-c", ask]).arg(file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "[('ok',)]", "{said:?}");
}
