//! A mailbox that can not be read is said to be so, and costs the others nothing.

use crate::harness::{Daemon, Installation, Mail, Mailserver, Settings, User, on_each_server};

on_each_server!(
    a_mailbox_that_does_not_exist_does_not_keep_the_others_from_their_labels,
    a_mailbox_that_may_not_be_read_does_not_keep_the_others_from_their_labels,
    every_mailbox_that_can_not_be_read_is_named_until_it_can,
);

fn a_mailbox_that_does_not_exist_does_not_keep_the_others_from_their_labels(mail: &Mailserver) {
    assert_passed_over(&mail.user("anna"), "Nowhere");
}

fn a_mailbox_that_may_not_be_read_does_not_keep_the_others_from_their_labels(mail: &Mailserver) {
    let anna = mail.user("anna");
    // It is listed, and its owner may do with it whatever does not need to read.
    anna.may("Closed", "lwstipekxa");
    assert_passed_over(&anna, "Closed");
}

fn assert_passed_over(anna: &User, mailbox: &str) {
    anna.client().command("CREATE Work");
    let account = anna.account().mailboxes(&["INBOX", mailbox, "Work"]).and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start();
    let named = format!("\"reason\": \"{mailbox}: ");
    daemon.wait_until("it says what it can not read", |daemon| {
        daemon.get("/readyz").is_some_and(|(_, body)| body.contains(&named))
    });
    let mails = [("INBOX", Mail::outage()), ("Work", Mail::outage())];
    for (mailbox, mail) in &mails {
        let uid = anna.append(mailbox, mail, "", None);
        let record = installation.wait_recorded(anna, mailbox, uid);
        assert_eq!(record.outcome, "labelled", "{record:?}");
        assert_eq!(anna.find_in(mailbox, mail).unwrap().keywords(), record.keywords);
    }

    // Each look is counted, and only the first is logged.
    let looks = |daemon: &Daemon| daemon.metric("triaged_imap_errors_total", &[]);
    let before = looks(&daemon);
    daemon.wait_until("it has looked again and again", |daemon| {
        let (status, body) = daemon.get("/readyz").unwrap();
        assert!(status == 503 && body.contains(&named), "{status}: {body}");
        looks(daemon) >= before + 3.0
    });
    let log = daemon.log();
    let said = log.lines().filter(|line| line.contains("can not be read")).collect::<Vec<_>>();
    assert!(said.len() == 1 && said[0].contains(mailbox), "{said:?}");
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);
    daemon.stop();
}

fn every_mailbox_that_can_not_be_read_is_named_until_it_can(mail: &Mailserver) {
    let anna = mail.user("anna");
    let account = anna.account().mailboxes(&["INBOX", "One", "Two"]).and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start();
    let names = |daemon: &Daemon, one: bool, two: bool| {
        daemon
            .get("/readyz")
            .is_some_and(|(_, body)| (body.contains("One: "), body.contains("Two: ")) == (one, two))
    };
    daemon.wait_until("it names both", |daemon| names(daemon, true, true));
    anna.client().command("CREATE One");
    daemon.wait_until("it names one of them", |daemon| names(daemon, false, true));
    anna.client().command("CREATE Two");
    daemon.wait_ready();
    let uid = anna.append("Two", &Mail::outage(), "", None);
    assert_eq!(installation.wait_recorded(&anna, "Two", uid).outcome, "labelled");
    daemon.stop();
}
