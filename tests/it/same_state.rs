//! The same mail ends in the same state, whatever the store is kept in and whatever dies on the way: an
//! independent client compares all that each user has with what users have for whom nothing went wrong.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use crate::harness::{
    Daemon, Dump, Format, Installation, Mailserver, Postgres, Settings, until_within,
    with_last_words,
};
use crate::workload::{Run, Workload, counts};

/// Accounts, each with its own connection.
const USERS: usize = 10;

/// How long a run may take; it is over when it is done.
const PATIENCE: Duration = Duration::from_mins(10);

/// What becomes of a message in this workload.
const FINE: [&str; 3] = ["labelled", "moved", "known"];

/// Plays the workload on each kind of database, and says what came of it.
pub(crate) fn play(mails: usize) {
    with_last_words(|| on_each_database(mails));
}

fn on_each_database(mails: usize) {
    let mail = Mailserver::start(Format::Sdbox);
    let workload = Workload::new(USERS, mails);
    let expected = undisturbed(&mail, &workload);
    eprintln!("{} messages, in the end: {:?}", workload.messages(), counts(&expected));
    killed(&mail, &workload, "sqlite", &expected, |settings| settings);
    let Some(server) = Postgres::start() else { return };
    killed(&mail, &workload, "postgresql", &expected, |settings| settings.database(&server.url()));
    server.create("three");
    let url = Postgres::url_at(server.port(), "three");
    shared(&mail, &workload, &expected, &url);
}

/// What users have for whom nothing goes wrong.
pub(crate) fn undisturbed(mail: &Mailserver, workload: &Workload) -> Vec<Dump> {
    let run = workload.run(mail, "undisturbed");
    workload.arrive(&run, 0..workload.each());
    let installation = Installation::new(&run.settings());
    let mut daemon = installation.start();
    wait_ready(&mut daemon);
    daemon.stop();
    let history = installation.history();
    assert!(history.iter().all(|one| one.outcome != "pending"), "all is settled");
    let dumps = run.dumps();
    for dump in &dumps {
        dump.assert_once();
    }
    let counts = counts(&dumps);
    assert_eq!(counts.values().sum::<usize>(), workload.messages(), "{counts:?}");
    for mailbox in ["INBOX", "Work", "Escalations", "Invoices"] {
        assert!(counts[mailbox] >= workload.messages() / 20, "{counts:?}");
    }
    dumps
}

/// A single daemon that is killed when a third and when two thirds are labelled, while mail comes in.
fn killed(
    mail: &Mailserver,
    workload: &Workload,
    kind: &str,
    expected: &[Dump],
    with: impl Fn(Settings) -> Settings,
) {
    let (run, began) = (workload.run(mail, kind), Instant::now());
    let each = workload.each();
    workload.arrive(&run, 0..each / 2);
    let installation = Installation::new(&with(run.settings()));
    let mut daemon = installation.start();
    for (part, arriving) in [(1, each / 2..each), (2, 0..0)] {
        workload.arrive(&run, arriving);
        wait_labelled(&run, workload.messages() * part / 3);
        daemon.kill();
        daemon = installation.start();
    }
    wait_equal(&run, &installation, expected, kind);
    daemon.kill();
    assert_idle(&run, &installation);
    run.assert_equals(expected, kind);
    eprintln!("{kind}: a daemon killed twice, the same in {:.0?}", began.elapsed());
}

/// Three daemons that share the users: of those of one that is frozen, and of another one that is killed,
/// the third takes care. The frozen one comes back when all is done, and does nothing more.
fn shared(mail: &Mailserver, workload: &Workload, expected: &[Dump], url: &str) {
    let (run, began, each) = (workload.run(mail, "three"), Instant::now(), workload.each());
    let install = |name: &str| Installation::new(&run.settings().database(url).instance(name));
    let installations = ["one", "two", "three"].map(install);
    let mut daemons = installations.each_ref().map(|home| (home.start_ready(), home));
    until_within(PATIENCE, "each account is watched, and not all by the first of them", || {
        let watched = installations.each_ref().map(watched);
        let some = watched.iter().filter(|accounts| **accounts > 0).count();
        (watched.iter().sum::<usize>() == USERS && some > 1).then_some(())
    });
    // By chance one of them may have none: those that have most are the ones to be missed.
    daemons.sort_by_key(|(_, home)| Reverse(watched(home)));
    let [(mut frozen, _), (killed, killed_home), (survivor, home)] = daemons;
    workload.arrive(&run, 0..each / 2);
    wait_labelled(&run, workload.messages() / 4);
    frozen.freeze();
    workload.arrive(&run, each / 2..each);
    killed.kill();
    wait_equal(&run, home, expected, "three daemons");
    let took = began.elapsed();
    run.proxy.forget_said();
    frozen.thaw();
    wait_ready(&mut frozen);
    survivor.stop();
    frozen.stop();
    assert_idle(&run, killed_home);
    run.assert_equals(expected, "three daemons, later");
    eprintln!("postgresql: three daemons, one frozen and one killed, the same in {took:.0?}");
}

/// How many accounts this daemon watches itself.
fn watched(installation: &Installation) -> usize {
    let accounts = installation.status().accounts;
    accounts.values().filter(|account| account.state.name() == "watching").count()
}

/// A daemon that comes to all of it being done writes nothing.
pub(crate) fn assert_idle(run: &Run, installation: &Installation) {
    run.proxy.forget_said();
    let mut daemon = installation.start();
    wait_ready(&mut daemon);
    assert_eq!(run.writes(), Vec::<String>::new());
    daemon.stop();
}

fn wait_ready(daemon: &mut Daemon) {
    until_within(PATIENCE, "all is done", || {
        assert!(daemon.is_running());
        daemon.ready().then_some(())
    });
}

fn wait_labelled(run: &Run, messages: usize) {
    until_within(PATIENCE, "a part is labelled", || (run.labelled() >= messages).then_some(()));
}

fn wait_equal(run: &Run, installation: &Installation, expected: &[Dump], what: &str) {
    let began = Instant::now();
    while !run.equals(expected) {
        if began.elapsed() > PATIENCE {
            let odd = odd(installation);
            return run.assert_equals(expected, &format!("{what}, to the daemon {odd:?}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What the daemon knows of messages that it could not treat as it would.
fn odd(installation: &Installation) -> Vec<String> {
    let history = installation.history();
    let odd = history.iter().filter(|one| !FINE.contains(&&*one.outcome));
    odd.map(|one| format!("{}/{} {} {}", one.account, one.mailbox, one.uid, one.outcome)).collect()
}

#[test]
fn the_same_mail_ends_the_same_on_each_database_whatever_dies() {
    play(20);
}
