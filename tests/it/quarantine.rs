//! Row 9 of the issue: one message that always fails. It costs its neighbours nothing, is read by its header where
//! that can be had, and is left alone with a visible mark where not, until somebody asks for it again.

use triaged::http::Status;

use crate::harness::{
    Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server, until,
};

on_each_server!(
    a_message_that_always_fails_is_set_aside_and_taken_up_when_asked,
    a_message_whose_text_always_fails_is_read_by_its_header,
);

/// A server, or what is between, that hangs up whenever it would have to say this.
const POISON: &str = "xyzzy-plugh";
/// Attempts that a message has: in a crowd, with few others, twice alone, and its header.
const ATTEMPTS: u64 = 5;

struct Hung {
    proxy: Proxy,
    installation: Installation,
}

impl Hung {
    fn new(anna: &User) -> Hung {
        let proxy = Proxy::to(anna.plain_port());
        proxy.poison(Some(POISON));
        let account = anna.account().in_clear(proxy.port());
        let installation = Installation::new(&Settings::label().with(account));
        Hung { proxy, installation }
    }

    /// How many messages of the INBOX are in quarantine, as the daemon says.
    fn quarantined(&self) -> u64 {
        let output = self.installation.triaged(&["status", "--json"]);
        let status: Status = serde_json::from_slice(&output.stdout).unwrap();
        let inbox = status.accounts["anna"].standing.mailboxes.get("INBOX");
        inbox.map_or(0, |inbox| inbox.quarantined)
    }
}

fn a_message_that_always_fails_is_set_aside_and_taken_up_when_asked(mail: &Mailserver) {
    let anna = mail.user("anna");
    let hung = Hung::new(&anna);
    hung.installation.start_ready().stop();
    let text = format!("Production is down ({POISON})");
    let bad = Mail::new("Marta <marta@example.org>", &text, "Every checkout fails, call me now!");
    let before: Vec<Mail> = (0..12).map(|_| Mail::outage()).collect();
    for mail in &before[..6] {
        anna.append("INBOX", mail, "", None);
    }
    let uid = anna.append("INBOX", &bad, "", None);
    for mail in &before[6..] {
        anna.append("INBOX", mail, "", None);
    }

    // It is counted across lives of the daemon: the second one does not begin anew.
    let mut daemon = hung.installation.start();
    daemon.wait_until("it has failed twice", |_| hung.proxy.poisoned() >= 2);
    daemon.kill();
    let mut daemon = hung.installation.start();
    for mail in &before {
        assert_eq!(hung.installation.wait_decided(&anna, mail).outcome, "labelled");
    }
    let record = hung.installation.wait_recorded(&anna, "INBOX", uid);
    assert_eq!((record.outcome.as_str(), record.labels.len()), ("quarantined", 0));
    assert_eq!(hung.proxy.poisoned(), ATTEMPTS);
    let marked = ["triaged-unreadable".to_owned()].into();
    anna.wait_for(&bad, |stored| stored.keywords() == marked);
    daemon.wait_counted("triaged_messages_total", &[("outcome", "quarantined")], 1);
    until("status says so", || (hung.quarantined() == 1).then_some(()));
    let said = hung.installation.triaged(&["status"]).stdout;
    assert!(String::from_utf8(said).unwrap().contains("INBOX: 1 can not be read"));

    hung.proxy.poison(None);
    let retried = hung.installation.triaged(&["retry", "--account", "anna"]);
    let said = String::from_utf8(retried.stdout).unwrap();
    assert_eq!(said, "messages taken out of quarantine: 1; the daemon tries them within seconds\n");
    let record = until("it is read", || {
        let history = hung.installation.history();
        history.into_iter().find(|one| one.uid == uid && one.outcome == "labelled")
    });
    assert_eq!(anna.find(&bad).unwrap().keywords(), record.keywords, "and loses the mark");
    assert!(!record.keywords.contains("triaged-unreadable"));
    until("status says so", || (hung.quarantined() == 0).then_some(()));
    let none = hung.installation.triaged(&["retry"]).stdout;
    assert_eq!(String::from_utf8(none).unwrap(), "no message is in quarantine\n");
    daemon.stop();
}

fn a_message_whose_text_always_fails_is_read_by_its_header(mail: &Mailserver) {
    let anna = mail.user("anna");
    let hung = Hung::new(&anna);
    let daemon = hung.installation.start_ready();
    let subject = "URGENT: production is down, every checkout fails, please call me immediately";
    let bad = Mail::new("Marta <marta@example.org>", subject, POISON);
    let uid = anna.append("INBOX", &bad, "", None);
    let record = hung.installation.wait_recorded(&anna, "INBOX", uid);
    assert!(record.defects.contains(&"header-only".to_owned()), "{record:?}");
    assert!(!record.labels.is_empty(), "{record:?}");
    assert_eq!(hung.proxy.poisoned(), ATTEMPTS - 1);
    assert_eq!(anna.find(&bad).unwrap().keywords(), record.keywords);
    assert_eq!(hung.quarantined(), 0);
    daemon.stop();
}
