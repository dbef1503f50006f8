//! Row 4: the machine sleeps, or somebody sets its clock. Connections that look alive may be dead, so
//! all are made anew, and what has come meanwhile is caught up.
//!
//! To a process a sleep is a calendar that jumps while its monotonic clock stands still, which is
//! what libfaketime does to it.

use std::fs;

use crate::harness::{Daemon, Installation, Mail, Mailserver, Proxy, Settings, on_each_server};

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
