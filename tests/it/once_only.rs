//! A message is decided once: across restarts, kills, and new generations of UIDs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::{Installation, Mail, Mailserver, Settings, User, on_each_server, until};

on_each_server!(
    a_restart_classifies_nothing_twice,
    a_kill_loses_nothing_and_doubles_nothing,
    sigterm_drains_and_a_later_start_takes_up_what_is_left,
    sigterm_ends_a_long_catch_up_within_seconds_and_a_later_start_goes_on,
    a_new_generation_of_uids_is_not_labelled_again,
    a_mail_delivered_while_the_daemon_was_down_is_caught_up,
    a_second_daemon_on_the_same_state_ends_with_75,
);

/// Row 24, too: the listing of what is new, `n:*`, is answered with the last message.
fn a_restart_classifies_nothing_twice(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let mails: Vec<Mail> = (0..3).map(|_| Mail::outage()).collect();
    for mail in &mails {
        anna.deliver(mail);
        installation.wait_decided(&anna, mail);
    }
    let history = installation.history();
    assert_eq!(history.len(), 3);
    daemon.stop();

    // What a person takes off while nobody watches stays off.
    let removed = anna.find(&mails[0]).unwrap();
    let keywords = removed.keywords().into_iter().collect::<Vec<_>>().join(" ");
    let mut client = anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID STORE {} -FLAGS ({keywords})", removed.uid));

    let mut daemon = installation.start_ready();
    let later = Mail::outage();
    anna.deliver(&later);
    let record = installation.wait_decided(&anna, &later);
    assert_eq!(installation.history(), [history, vec![record]].concat());
    daemon.wait_counted("triaged_messages_total", &[], 1);
    daemon.stop();
    assert!(anna.find(&mails[0]).unwrap().flags.is_empty());
}

fn a_kill_loses_nothing_and_doubles_nothing(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let mut daemon = installation.start_ready();
    let mails: Vec<Mail> = (0..24).map(|_| Mail::outage()).collect();
    for (count, mail) in mails.iter().enumerate() {
        anna.deliver(mail);
        if count % 6 == 5 {
            daemon.kill();
            daemon = installation.start_ready();
        }
    }
    assert_all_labelled_once(&installation, &anna, &mails);
    daemon.stop();
}

fn sigterm_drains_and_a_later_start_takes_up_what_is_left(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let mails: Vec<Mail> = (0..20).map(|_| Mail::outage()).collect();
    for mail in &mails {
        anna.deliver(mail);
    }
    daemon.stop();
    let pending = installation.history().iter().filter(|r| r.outcome == "pending").count();
    assert_eq!(pending, 0, "what was planned was done before the end");
    let daemon = installation.start_ready();
    assert_all_labelled_once(&installation, &anna, &mails);
    daemon.stop();
}

fn sigterm_ends_a_long_catch_up_within_seconds_and_a_later_start_goes_on(mail: &Mailserver) {
    const MAILS: u32 = 400;
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    installation.start_ready().stop();
    let mut client = anna.client();
    for _ in 0..MAILS {
        client.append("INBOX", Mail::outage().bytes(), "", None);
    }

    let mut daemon = installation.start();
    daemon.wait_until("some are labelled", |daemon| {
        daemon.get("/metrics").is_some() && daemon.metric("triaged_messages_total", &[]) >= 1.0
    });
    let asked = Instant::now();
    let log = daemon.stop();
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    assert!(log.contains("nothing was left in hand"), "it was not dropped at a deadline:\n{log}");
    let done = u32::try_from(installation.history().len()).unwrap();
    assert!((1..MAILS).contains(&done), "{done} were done");
    assert!(installation.history().iter().all(|record| record.outcome == "labelled"));

    let mut daemon = installation.start_ready();
    daemon.wait_counted("triaged_messages_total", &[("outcome", "labelled")], MAILS - done);
    daemon.wait_counted("triaged_messages_total", &[], MAILS - done);
    daemon.stop();
    client.command("SELECT INBOX");
    let flags = client.command("UID FETCH 1:* (FLAGS)");
    let labelled = flags.iter().filter(|line| line.contains("triaged-urgent")).count();
    assert_eq!((installation.history().len(), labelled), (MAILS as usize, MAILS as usize));
}

fn assert_all_labelled_once(installation: &Installation, user: &User, mails: &[Mail]) {
    for mail in mails {
        let record = installation.wait_decided(user, mail);
        assert_eq!(record.outcome, "labelled", "{record:?}");
        assert_eq!(user.find(mail).unwrap().keywords(), record.keywords);
    }
    let history = installation.history();
    let uids: BTreeSet<u32> = history.iter().map(|record| record.uid).collect();
    assert_eq!((history.len(), uids.len()), (mails.len(), mails.len()));
}

fn a_new_generation_of_uids_is_not_labelled_again(mail: &Mailserver) {
    let anna = mail.user("anna");
    let (decided, old, new) = (Mail::outage(), Mail::outage(), Mail::outage());
    let last_year = Some("2025-11-21T08:00:00Z".parse().unwrap());
    anna.client().command("CREATE Work");
    anna.append("Work", &old, "", last_year);
    let account = anna.account().mailboxes(&["INBOX", "Work"]).and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    let uid = anna.append("Work", &decided, "", None);
    assert_eq!(installation.wait_recorded(&anna, "Work", uid).outcome, "labelled");
    daemon.stop();

    let mut client = anna.client();
    let before = uid_validity(&anna);
    // Dovecot takes the time in seconds for the next UIDVALIDITY, or one more than the last.
    client.command("DELETE Work");
    client.command("CREATE Work");
    assert_ne!(uid_validity(&anna), before);
    anna.append("Work", &old, "", last_year);
    anna.append("Work", &decided, "", None);
    let daemon = installation.start_ready();
    anna.append("Work", &new, "", None);
    until("the new mail is labelled", || {
        anna.find_in("Work", &new).filter(|stored| !stored.keywords().is_empty())
    });
    daemon.stop();
    for mail in [&old, &decided] {
        assert!(anna.find_in("Work", mail).unwrap().flags.is_empty());
    }
}

fn uid_validity(user: &User) -> String {
    let status = user.client().command("STATUS Work (UIDVALIDITY)");
    status.into_iter().find(|line| line.starts_with("* STATUS")).unwrap()
}

fn a_mail_delivered_while_the_daemon_was_down_is_caught_up(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    installation.start_ready().stop();
    let outage = Mail::outage();
    anna.deliver(&outage);
    let daemon = installation.start_ready();
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
}

fn a_second_daemon_on_the_same_state_ends_with_75(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let (code, output) = installation.run_in_vain();
    assert_eq!(code, 75, "{output}");
    assert!(output.contains("another triaged"), "{output}");
    assert!(daemon.ready(), "the first one goes on");
    daemon.stop();
}
