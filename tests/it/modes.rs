//! Shadow and label, backfill or none: which mail is touched at all.

use jiff::{SignedDuration, Timestamp};

use crate::harness::{Installation, Mail, Mailserver, Settings, User, on_each_server};

on_each_server!(
    shadow_mode_writes_nothing_and_says_what_it_would_write,
    an_account_may_have_a_mode_of_its_own,
    turning_shadow_into_label_affects_later_mail_only,
    mail_that_was_there_before_is_left_alone,
    backfill_takes_all_mail_or_that_of_some_days,
);

fn shadow_mode_writes_nothing_and_says_what_it_would_write(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::shadow().with(anna.account()));
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);

    let record = installation.wait_decided(&anna, &outage);
    assert_eq!((record.action.as_str(), record.outcome.as_str()), ("shadow", "shadow"));
    assert!(record.keywords.contains("triaged-urgent"), "{record:?}");
    daemon.stop();
    assert!(anna.find(&outage).unwrap().flags.is_empty());
}

fn an_account_may_have_a_mode_of_its_own(mail: &Mailserver) {
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let settings =
        Settings::shadow().with(anna.account()).with(bert.account().and("mode = \"label\""));
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);
    bert.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "shadow");
    assert_eq!(installation.wait_decided(&bert, &outage).outcome, "labelled");
    daemon.stop();
    assert!(anna.find(&outage).unwrap().flags.is_empty());
}

fn turning_shadow_into_label_affects_later_mail_only(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::shadow().with(anna.account()));
    let daemon = installation.start_ready();
    let (earlier, later) = (Mail::outage(), Mail::outage());
    anna.deliver(&earlier);
    installation.wait_decided(&anna, &earlier);
    daemon.stop();

    installation.configure(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    anna.deliver(&later);
    assert_eq!(installation.wait_decided(&anna, &later).outcome, "labelled");
    daemon.stop();
    assert!(anna.find(&earlier).unwrap().flags.is_empty());
    assert_eq!(installation.history().len(), 2);
}

fn mail_that_was_there_before_is_left_alone(mail: &Mailserver) {
    let anna = mail.user("anna");
    let (earlier, later) = (Mail::outage(), Mail::outage());
    anna.deliver(&earlier);
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    anna.deliver(&later);
    installation.wait_decided(&anna, &later);
    daemon.stop();
    assert!(anna.find(&earlier).unwrap().flags.is_empty());
    assert_eq!(installation.history().len(), 1, "it was not even looked at");
}

fn backfill_takes_all_mail_or_that_of_some_days(mail: &Mailserver) {
    for (user, backfill, old_too) in [("anna", "7d", false), ("bert", "all", true)] {
        let user = mail.user(user);
        let old = append_received(&user, 30);
        let recent = append_received(&user, 2);
        let settings = Settings::label().with(user.account().backfill(backfill));
        let installation = Installation::new(&settings);
        let daemon = installation.start_ready();
        assert_eq!(installation.wait_decided(&user, &recent).outcome, "labelled");
        if old_too {
            assert_eq!(installation.wait_decided(&user, &old).outcome, "labelled");
        }
        let new = Mail::outage();
        user.deliver(&new);
        assert_eq!(installation.wait_decided(&user, &new).outcome, "labelled");
        daemon.stop();
        assert_eq!(user.find(&old).unwrap().flags.is_empty(), !old_too, "backfill = {backfill:?}");
    }
}

/// A mail that the server received so many days ago.
fn append_received(user: &User, days_ago: i64) -> Mail {
    let mail = Mail::outage();
    let received = Timestamp::now() - SignedDuration::from_hours(24 * days_ago);
    user.append("INBOX", &mail, "", Some(received));
    mail
}
