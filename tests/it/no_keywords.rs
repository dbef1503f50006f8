//! Row 14: mailboxes that store no keywords of ours. What is done there is configured: to say so, to
//! give urgent mail the star of mail clients, or to move it.

use crate::harness::{
    Account, Installation, Mail, Mailserver, Proxy, Record, Settings, User, on_each_server, until,
};

on_each_server!(
    by_default_it_is_said_and_nothing_is_written,
    urgent_mail_gets_a_star_and_other_mail_nothing,
    urgent_mail_goes_to_the_mailbox_and_other_mail_stays,
    what_can_not_be_moved_is_said,
    a_mailbox_that_is_not_there_is_said_and_not_made,
);

/// A server that takes no new keywords, and what becomes on it of an urgent mail and of another.
struct Fixed {
    anna: User,
    installation: Installation,
    urgent: Mail,
    bulk: Mail,
}

impl Fixed {
    fn new(
        mail: &Mailserver,
        configure: impl Fn(Account) -> Account,
        hidden: &[&'static str],
    ) -> Fixed {
        let anna = mail.user("anna");
        let proxy = Proxy::to(anna.plain_port());
        for word in hidden {
            proxy.hide(word);
        }
        let account = configure(anna.account().in_clear(proxy.port()));
        let installation = Installation::new(&Settings::label().with(account));
        let (urgent, bulk) = (Mail::outage(), Mail::newsletter());
        let daemon = installation.start_ready();
        for mail in [&urgent, &bulk] {
            anna.deliver(mail);
        }
        installation.wait_settled(2);
        daemon.stop();
        drop(proxy);
        Fixed { anna, installation, urgent, bulk }
    }

    /// What the history says of both, the urgent one first.
    fn records(&self) -> [Record; 2] {
        let mut history = self.installation.history();
        history.sort_by_key(|record| record.uid);
        history.try_into().unwrap()
    }
}

fn by_default_it_is_said_and_nothing_is_written(mail: &Mailserver) {
    let fixed = Fixed::new(mail, |account| account, &["\\*"]);
    let [urgent, _] = fixed.records();
    assert_eq!(urgent.outcome, "not-permitted", "{urgent:?}");
    assert_eq!(urgent.labels["urgency"], "high");
    assert!(fixed.anna.find(&fixed.urgent).unwrap().flags.is_empty());
}

fn urgent_mail_gets_a_star_and_other_mail_nothing(mail: &Mailserver) {
    let star = |account: Account| account.and("without_keywords = \"flag\"");
    let fixed = Fixed::new(mail, star, &["\\*"]);
    let [urgent, bulk] = fixed.records();
    assert_eq!((urgent.outcome.as_str(), bulk.outcome.as_str()), ("labelled", "unlabelled"));
    let flags = |mail: &Mail| fixed.anna.find(mail).unwrap().flags;
    assert_eq!(flags(&fixed.urgent), ["\\Flagged".to_owned()].into());
    assert!(flags(&fixed.bulk).is_empty());
}

fn urgent_mail_goes_to_the_mailbox_and_other_mail_stays(mail: &Mailserver) {
    mail.user("anna").client().command("CREATE Urgent");
    let aside = |account: Account| {
        account.and("without_keywords = \"mailbox\"\nurgent_mailbox = \"Urgent\"")
    };
    let fixed = Fixed::new(mail, aside, &["\\*"]);
    let [urgent, bulk] = fixed.records();
    assert_eq!((urgent.outcome.as_str(), bulk.outcome.as_str()), ("moved", "unlabelled"));
    assert!(fixed.anna.find(&fixed.urgent).is_none());
    assert!(fixed.anna.find_in("Urgent", &fixed.urgent).is_some());
    assert!(fixed.anna.find(&fixed.bulk).is_some());
}

fn a_mailbox_that_is_not_there_is_said_and_not_made(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    proxy.hide("\\*");
    let account = anna.account().in_clear(proxy.port());
    let account = account.and("without_keywords = \"mailbox\"\nurgent_mailbox = \"Urgent\"");
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    let urgent = Mail::outage();
    anna.deliver(&urgent);
    assert_eq!(installation.wait_decided(&anna, &urgent).outcome, "rejected");
    until("status says so", || {
        let said = String::from_utf8(installation.triaged(&["status"]).stdout).unwrap();
        said.contains("INBOX: nothing is moved to Urgent: the mailbox does not exist").then_some(())
    });
    assert!(anna.find(&urgent).is_some());
    assert!(!anna.client().attempt("EXAMINE Urgent").starts_with("OK"), "it was made");
    daemon.stop();
}

/// Without MOVE and UIDPLUS only EXPUNGE would be left, which removes what others have marked.
fn what_can_not_be_moved_is_said(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Urgent");
    let proxy = Proxy::to(anna.plain_port());
    for word in ["\\*", "MOVE", "UIDPLUS"] {
        proxy.hide(word);
    }
    let account = anna.account().in_clear(proxy.port());
    let account = account.and("without_keywords = \"mailbox\"\nurgent_mailbox = \"Urgent\"");
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    let urgent = Mail::outage();
    anna.deliver(&urgent);
    assert_eq!(installation.wait_decided(&anna, &urgent).outcome, "not-permitted");
    let reason = "INBOX: nothing is moved out of it: the server has neither MOVE nor UIDPLUS";
    until("status says so", || {
        let said = String::from_utf8(installation.triaged(&["status"]).stdout).unwrap();
        said.contains(reason).then_some(())
    });
    assert!(anna.find(&urgent).is_some());
    daemon.stop();
}
