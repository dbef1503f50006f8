//! `triaged backfill`: older mail, behind new mail, once each, whatever happens meanwhile.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use triaged::readiness::AccountState;

use crate::harness::{
    FIXTURE, Format, Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server, until,
};

on_each_server!(
    older_mail_gets_its_labels_and_mail_before_that_is_left_alone,
    a_backfill_that_is_killed_goes_on_and_does_nothing_twice,
    new_mail_does_not_wait_for_a_backfill,
    mail_that_came_during_a_step_was_not_withheld,
    what_can_not_be_asked_for_is_refused,
);

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

/// Mails that were there before the daemon first ran.
fn old_mails(anna: &User, count: usize) -> Vec<u32> {
    (0..count).map(|_| anna.append("INBOX", &Mail::outage(), "", Some(days_ago(3)))).collect()
}

fn labelled(anna: &User) -> usize {
    let mut client = anna.client();
    client.command("EXAMINE INBOX");
    let found = client.command("UID SEARCH KEYWORD triaged-urgent");
    found.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap().split_whitespace().count()
}

fn backfill(installation: &Installation, more: &[&str]) -> (Option<i32>, String) {
    let output = installation.triaged(&[&["backfill", "--account", "anna"], more].concat());
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn older_mail_gets_its_labels_and_mail_before_that_is_left_alone(mail: &Mailserver) {
    let anna = mail.user("anna");
    let too_old = anna.append("INBOX", &Mail::outage(), "", Some(days_ago(40)));
    let recent = old_mails(&anna, 3);
    anna.client().command("CREATE Work");
    let elsewhere = anna.append("Work", &Mail::outage(), "", Some(days_ago(2)));
    let account = anna.account().mailboxes(&["INBOX", "Work"]).and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    assert!(installation.history().is_empty());

    let (code, said) = backfill(&installation, &["--since", "30d", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("INBOX: 3 messages since"), "{said}");
    assert!(said.contains("Work: 1 messages since"), "{said}");
    assert!(installation.history().is_empty(), "a dry run changes nothing");

    let (code, said) = backfill(&installation, &["--since", "30d"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("INBOX: done, ") && said.contains("Work: done, "), "{said}");
    for uid in &recent {
        assert_eq!(installation.wait_recorded(&anna, "INBOX", *uid).outcome, "labelled");
    }
    assert_eq!(installation.wait_recorded(&anna, "Work", elsewhere).outcome, "labelled");
    assert!(
        installation
            .history()
            .iter()
            .all(|record| record.uid != too_old || record.mailbox != "INBOX")
    );
    assert_eq!((labelled(&anna), installation.history().len()), (3, 4));

    let (code, said) = backfill(&installation, &["--since", "30d", "--dry-run"]);
    assert!(code == Some(0) && said.contains("3 of them decided before"), "{said}");
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
}

fn a_backfill_that_is_killed_goes_on_and_does_nothing_twice(mail: &Mailserver) {
    const MAILS: usize = 240;
    let anna = mail.user("anna");
    old_mails(&anna, MAILS);
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let (code, said) =
        backfill(&installation, &["--since", "7d", "--per-minute", "60000", "--no-wait"]);
    assert_eq!(code, Some(0), "{said}");
    until("the first are labelled", || (!installation.history().is_empty()).then_some(()));
    daemon.kill();

    let daemon = installation.start();
    let before = installation.history().len();
    until("more are labelled", || (installation.history().len() > before).then_some(()));
    daemon.kill();

    let daemon = installation.start();
    until("all are labelled", || (labelled(&anna) == MAILS).then_some(()));
    let (code, said) = backfill(&installation, &["--since", "7d"]);
    assert_eq!(code, Some(0), "{said}");
    let mut uids: Vec<u32> = installation.history().iter().map(|record| record.uid).collect();
    uids.sort_unstable();
    uids.dedup();
    assert_eq!((uids.len(), installation.history().len()), (MAILS, MAILS));
    daemon.stop();
}

fn new_mail_does_not_wait_for_a_backfill(mail: &Mailserver) {
    let anna = mail.user("anna");
    old_mails(&anna, 120);
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    // A hundred mails, and then a pause of more than a minute.
    let (code, said) =
        backfill(&installation, &["--since", "7d", "--per-minute", "60", "--no-wait"]);
    assert_eq!(code, Some(0), "{said}");
    until("the first step is done", || (installation.history().len() >= 100).then_some(()));
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    assert!(installation.history().len() < 121, "the backfill keeps its pace");

    let (code, said) = backfill(&installation, &["--cancel"]);
    assert!(code == Some(0) && said.contains("requests ended: 1"), "{said}");
    daemon.stop();
}

/// Commit 00a3434: steps that follow on each other were taken for waits that nothing had ended, and
/// what came during a long one for mail that the server had not announced.
fn mail_that_came_during_a_step_was_not_withheld(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    for _ in 0..300 {
        client.append("INBOX", Mail::newsletter().bytes(), "", Some(days_ago(3)));
    }
    let proxy = Proxy::to(anna.plain_port());
    // A step has a handful of round trips: the mail comes during one of them.
    proxy.round_trip(Duration::from_millis(200));
    let account = anna.account().in_clear(proxy.port());
    let installation = Installation::new(&Settings::label().bundle(FIXTURE).with(account));
    let daemon = installation.start_ready();
    let (code, said) =
        backfill(&installation, &["--since", "7d", "--per-minute", "60000", "--no-wait"]);
    assert_eq!(code, Some(0), "{said}");
    until("a step is in work", || (!proxy.said("BODY.PEEK").is_empty()).then_some(()));
    // As if the step had lasted for five minutes.
    let received = Timestamp::now() - SignedDuration::from_mins(5);
    let during = client.append("INBOX", Mail::outage().bytes(), "", Some(received));
    installation.wait_recorded(&anna, "INBOX", during);
    assert!(installation.history().len() < 301, "it came in between");
    let (code, said) = backfill(&installation, &["--since", "7d"]);
    assert_eq!(code, Some(0), "{said}");
    let found = installation.wait_status("anna", "all is done", |anna| {
        anna.state == AccountState::Watching && anna.standing.backfill.is_none()
    });
    let watching = found.standing.watching.unwrap();
    assert_eq!((watching.withheld, watching.push == "failing"), (0, false));
    assert!(daemon.metric("triaged_push_withheld_total", &[]) < 0.5);
    daemon.stop();
}

/// A server's error that passes does not end a request.
#[test]
fn a_search_that_fails_is_tried_again() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    old_mails(&anna, 3);
    let proxy = Proxy::to(anna.plain_port());
    let account = anna.account().in_clear(proxy.port());
    let installation = Installation::new(&Settings::label().bundle(FIXTURE).with(account));
    let mut daemon = installation.start_ready();
    proxy.spoil_once("* SEARCH ", "* SEARCH (X) ");
    let (code, said) = backfill(&installation, &["--since", "7d"]);
    assert!(code == Some(0) && said.contains("INBOX: done, "), "{code:?} {said}");
    assert_eq!(installation.history().len(), 3);
    assert!(daemon.log().contains("an answer to UID SEARCH that can not be parsed"));
    daemon.wait_ready();
    daemon.stop();
}

fn what_can_not_be_asked_for_is_refused(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let refused = |more: &[&str], code, why: &str| {
        let (found, said) = backfill(&installation, more);
        assert!(found == Some(code) && said.contains(why), "{found:?} {said}");
    };
    refused(&["--since", "7d"], 69, "no daemon works on");
    refused(&["--since", "yesterday"], 64, "is no time");
    refused(&["--since", "7d", "--mailbox", "Nowhere"], 64, "account \"anna\" watches INBOX");
    let (code, said) = {
        let output = installation.triaged(&["backfill", "--account", "bert", "--since", "7d"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(code == Some(64) && said.contains("the configuration has anna"), "{said}");
}
