//! A mail arrives and gets its keywords, and nothing else about it changes.

use crate::harness::{
    Installation, Mail, Mailserver, Record, Settings, Software, Stored, on_each_server,
};

on_each_server!(
    a_new_mail_gets_its_keywords,
    a_batch_of_mails_gets_its_keywords,
    seen_flagged_and_foreign_keywords_stay_as_they_are,
    a_read_only_mailbox_is_reported_and_not_counted_as_labelled,
    two_accounts_are_labelled_at_once,
    a_server_is_found_by_name_and_over_plain_loopback,
    every_configured_mailbox_is_watched,
    a_renamed_keyword_is_written_and_one_that_is_off_is_not,
    a_keyword_that_the_mailbox_knows_in_other_letters_is_taken_for_ours,
);

/// The mail carries exactly what the history says was written.
fn assert_labelled(record: &Record, stored: &Stored) {
    assert_eq!(record.outcome, "labelled", "{record:?}");
    assert_eq!(record.action, "label");
    assert!(!record.keywords.is_empty(), "{record:?}");
    assert_eq!(stored.keywords(), record.keywords);
}

fn a_new_mail_gets_its_keywords(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let mut daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);

    let stored = anna.wait_for(&outage, |stored| !stored.keywords().is_empty());
    assert!(stored.keywords().contains("triaged-urgent"), "{stored:?}");
    assert!(stored.keywords().contains("triaged-negative"), "{stored:?}");
    let record = installation.wait_decided(&anna, &outage);
    assert_labelled(&record, &anna.find(&outage).unwrap());
    assert_eq!(record.labels["urgency"], "high");
    assert_eq!(record.labels.len(), record.confidences.len());
    assert!(record.confidences.values().all(|p| (0.0..=1.0).contains(p)), "{record:?}");
    assert!(record.model.is_some_and(|model| model.starts_with("default")));
    let urgent = [("head", "urgency"), ("label", "high")];
    daemon.wait_counted("triaged_labels_written_total", &urgent, 1);
    daemon.stop();
}

fn a_batch_of_mails_gets_its_keywords(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    let kinds = [Mail::outage, Mail::newsletter, Mail::invoice_question];
    let mails: Vec<Mail> = (0..30).map(|n| kinds[n % 3]()).collect();
    for mail in &mails {
        anna.deliver(mail);
    }
    for mail in &mails {
        let record = installation.wait_decided(&anna, mail);
        assert_labelled(&record, &anna.find(mail).unwrap());
    }
    assert_eq!(installation.history().len(), mails.len());
    daemon.stop();
}

fn seen_flagged_and_foreign_keywords_stay_as_they_are(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    for before in [r"", r"\Flagged $Forwarded Later", r"\Seen \Answered $label1"] {
        let outage = Mail::outage();
        anna.append("INBOX", &outage, before, None);
        let record = installation.wait_decided(&anna, &outage);
        let after = anna.find(&outage).unwrap().flags;
        let mut expected = record.keywords;
        expected.extend(before.split_whitespace().map(str::to_owned));
        assert_eq!(after, expected);
        assert!(after.len() > before.split_whitespace().count());
    }
    daemon.stop();
}

fn a_read_only_mailbox_is_reported_and_not_counted_as_labelled(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.may_only_read();
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let mut daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);

    let record = installation.wait_decided(&anna, &outage);
    assert_eq!(record.outcome, "read-only", "{record:?}");
    assert!(anna.find(&outage).unwrap().flags.is_empty());
    // What is settled is counted in one go: when it is there, nothing of it is still to come.
    daemon.wait_counted("triaged_messages_total", &[("outcome", "read-only")], 1);
    daemon.wait_counted("triaged_messages_total", &[], 1);
    assert!(daemon.metric("triaged_labels_written_total", &[]).abs() < 1e-9);
    assert!(daemon.log().contains("read-only"), "the log says so");
    daemon.stop();
}

fn two_accounts_are_labelled_at_once(mail: &Mailserver) {
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let settings = Settings::label().with(anna.account()).with(bert.account());
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    let mails = [(&anna, Mail::outage()), (&bert, Mail::newsletter())];
    for (user, mail) in &mails {
        user.deliver(mail);
    }
    for (user, mail) in &mails {
        let record = installation.wait_decided(user, mail);
        assert_labelled(&record, &user.find(mail).unwrap());
    }
    assert_eq!(installation.history().len(), 2);
    daemon.stop();
}

fn a_server_is_found_by_name_and_over_plain_loopback(mail: &Mailserver) {
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let settings = Settings::label()
        .with(anna.account().host("localhost"))
        .with(bert.account().in_clear(bert.plain_port()));
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    for user in [&anna, &bert] {
        let outage = Mail::outage();
        user.deliver(&outage);
        user.wait_for(&outage, |stored| stored.keywords().contains("triaged-urgent"));
    }
    daemon.stop();
}

fn every_configured_mailbox_is_watched(mail: &Mailserver) {
    // As a person writes it, and as it goes over the wire (RFC 3501, 5.1.3).
    let (name, on_the_wire) = ("Küche & Bad", "K&APw-che &- Bad");
    let anna = mail.user("anna");
    anna.client().command(&format!("CREATE \"{on_the_wire}\""));
    anna.client().command("CREATE Other");
    let account = anna.account().mailboxes(&["INBOX", name]).and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    let (watched, other) = (Mail::outage(), Mail::outage());
    anna.append("Other", &other, "", None);
    let uid = anna.append(on_the_wire, &watched, "", None);
    let record = installation.wait_recorded(&anna, name, uid);
    assert_labelled(&record, &anna.find_in(on_the_wire, &watched).unwrap());
    assert!(anna.find_in("Other", &other).unwrap().flags.is_empty());
    daemon.stop();
}

fn a_renamed_keyword_is_written_and_one_that_is_off_is_not(mail: &Mailserver) {
    let anna = mail.user("anna");
    let keywords = "keywords.labels.\"urgency.high\" = \"NOW\"\n\
                    keywords.labels.\"sentiment.negative\" = false";
    let installation = Installation::new(&Settings::label().and(keywords).with(anna.account()));
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);
    let stored = anna.wait_for(&outage, |stored| stored.keywords().contains("NOW"));
    assert!(!stored.keywords().contains("triaged-urgent"));
    assert!(!stored.keywords().contains("triaged-negative"));
    daemon.stop();
}

/// Row 17: the first spelling that a mailbox saw wins there, and some servers change all letters.
fn a_keyword_that_the_mailbox_knows_in_other_letters_is_taken_for_ours(mail: &Mailserver) {
    let anna = mail.user("anna");
    let spelled = "TRIAGED-URGENT Triaged-Negative";
    anna.append("INBOX", &Mail::newsletter(), spelled, None);
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let mut daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);

    let record = installation.wait_decided(&anna, &outage);
    assert_eq!(record.outcome, "labelled", "{record:?}");
    let folded = |words: std::collections::BTreeSet<String>| -> Vec<String> {
        let mut words: Vec<_> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
        words.sort();
        words
    };
    let stored = anna.find(&outage).unwrap().keywords();
    assert_eq!(folded(stored.clone()), folded(record.keywords));
    assert!(stored.contains("TRIAGED-URGENT"), "{stored:?}");
    let urgent = [("head", "urgency"), ("label", "high")];
    daemon.wait_counted("triaged_labels_written_total", &urgent, 1);
    daemon.stop();
}

/// Row 16. Cyrus keeps 100 keywords a mailbox, says that it takes new ones (`\\*`) also when it is full, and
/// refuses the whole STORE that has a new one in it.
#[test]
fn a_mailbox_full_of_keywords_takes_those_that_it_knows() {
    let mail = Mailserver::of(Software::Cyrus);
    let anna = mail.user("anna");
    let mut keywords: Vec<String> = (0..99).map(|n| format!("k{n}")).collect();
    keywords.push("triaged-urgent".to_owned());
    anna.append("INBOX", &Mail::newsletter(), &keywords.join(" "), None);
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let mut daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);

    let record = installation.wait_decided(&anna, &outage);
    assert_eq!(record.outcome, "rejected", "{record:?}");
    assert!(record.keywords.len() > 1, "{record:?}");
    assert_eq!(anna.find(&outage).unwrap().keywords(), ["triaged-urgent".to_owned()].into());
    let urgent = [("head", "urgency"), ("label", "high")];
    daemon.wait_counted("triaged_labels_written_total", &urgent, 1);
    daemon.wait_counted("triaged_labels_written_total", &[], 1);
    assert!(daemon.ready(), "the account is watched on");
    let said = String::from_utf8(installation.triaged(&["status"]).stdout).unwrap();
    assert!(said.contains("is not written: the server refused it, or said OK"), "{said}");
    daemon.stop();
}
