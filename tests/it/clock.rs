//! Row 4: the machine sleeps, or somebody sets its clock. Connections that look alive may be dead, so
//! all are made anew, and what has come meanwhile is caught up.
//!
//! To a process a sleep is a calendar that jumps while its monotonic clock stands still, which is
//! what libfaketime does to it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::{
    Daemon, Dump, Format, Installation, Mail, Mailserver, Proxy, Settings, on_each_server, until,
};

on_each_server!(after_a_jump_of_the_clock_every_connection_is_made_anew);

fn after_a_jump_of_the_clock_every_connection_is_made_anew(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    let account = anna.account().in_clear(proxy.port());
    let installation = Installation::new(&Settings::label().with(account));
    let calendar = installation.folder().join("calendar");
    fs::write(&calendar, "+0\n").unwrap();
    let mut daemon = installation.start_with_calendar(&calendar);
    daemon.wait_ready();
    // An hour forward, ten years back: the announcement of a mail was lost meanwhile.
    for (jumps, off_by) in [(1, "+3600\n"), (2, "-315360000\n")] {
        proxy.hush(true);
        let unheard = Mail::outage();
        anna.deliver(&unheard);
        fs::write(&calendar, off_by).unwrap();
        let noticed =
            |daemon: &Daemon| daemon.log().matches("the clock has jumped:").count() > jumps;
        daemon.wait_until("the jump is noticed", noticed);
        assert_eq!(installation.wait_decided(&anna, &unheard).outcome, "labelled");
        proxy.hush(false);
        daemon.wait_ready();
    }
    assert_eq!(installation.history().len(), 2);
    assert!(proxy.connections() >= 3, "{} connections", proxy.connections());
    daemon.stop();
}

/// How long a server may take for what it has heard, when the connection is gone: less than it is given.
const LATE: Duration = Duration::from_secs(2);

/// R6 of the reliability bars. The server has been told to copy, the clock jumps, the connection is
/// made anew, and only then the server gets to what it was told.
#[test]
fn a_jump_of_the_clock_in_a_move_doubles_nothing() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    proxy.hide("MOVE");
    proxy.end_in_silence();
    let rules = "rule = [{ name = \"urgent\", when = { labels = [\"urgency.high\"] }, \
                 then = { flag = true, move = \"Urgent\", create = true } }]";
    let settings = Settings::label().with(anna.account().in_clear(proxy.port())).and(rules);
    let installation = Installation::new(&settings);
    let calendar = installation.folder().join("calendar");
    fs::write(&calendar, "+0\n").unwrap();
    let mut daemon = installation.start_with_calendar(&calendar);
    daemon.wait_ready();
    let jumps = ["+3600\n", "+0\n", "+315360000\n", "-315360000\n"];
    for (count, off_by) in (1..).zip(jumps) {
        let connections = proxy.connections();
        proxy.hold("UID COPY");
        let outage = Mail::outage();
        anna.deliver(&outage);
        daemon.wait_until("it copies", |_| proxy.is_holding());
        fs::write(&calendar, off_by).unwrap();
        daemon.wait_until("the jump is noticed", |daemon| {
            daemon.log().matches("every account connects anew").count() == count
        });
        daemon.wait_until("it is there again", |_| proxy.connections() > connections);
        let there = Instant::now();
        while there.elapsed() < LATE && proxy.held() < 2 {
            sleep(Duration::from_millis(30));
        }
        proxy.let_one_go();
        until("the server has done it", || anna.find_in("Urgent", &outage));
        proxy.let_go();
        until("it is moved", || anna.find(&outage).is_none().then_some(()));
        daemon.wait_ready();
    }
    let dump = Dump::of(&anna);
    dump.assert_once();
    let urgent = &dump.mailboxes["Urgent"];
    assert_eq!((urgent.len(), dump.mailboxes["INBOX"].len()), (jumps.len(), 0));
    for one in urgent {
        assert!(one.flags.contains("triaged-urgent") && one.flags.contains("\\Flagged"), "{one:?}");
    }
    let history = installation.history();
    assert!(history.iter().all(|one| one.outcome == "moved"), "{history:#?}");
    assert_eq!(history.len(), jumps.len());
    daemon.stop();
}
