//! What was decided and not written when the daemon was cut off: it is finished, given up, or
//! taken up elsewhere, as the world is when the daemon comes back.

use crate::harness::{
    Daemon, Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server, until,
};

on_each_server!(
    what_was_decided_before_a_kill_is_finished_as_it_was_decided,
    what_was_decided_in_label_mode_is_not_written_in_shadow_mode,
    a_mail_that_was_moved_before_it_was_labelled_is_labelled_where_it_is,
    a_mail_that_was_labelled_and_then_moved_is_left_as_it_is,
);

/// An installation between whose daemon and the server of INBOX and Work a proxy stands.
struct Cut {
    proxy: Proxy,
    installation: Installation,
}

impl Cut {
    fn new(anna: &User) -> Cut {
        anna.client().command("CREATE Work");
        let proxy = Proxy::to(anna.plain_port());
        let settings = settings(Settings::label(), &proxy, anna);
        Cut { proxy, installation: Installation::new(&settings) }
    }

    fn configure(&self, mode: Settings, anna: &User) {
        self.installation.configure(&settings(mode, &self.proxy, anna));
    }

    /// Lets a mail arrive, and kills the daemon when it has decided and would write. Its UID.
    fn decided_only(&self, mut daemon: Daemon, anna: &User, to: &str, mail: &Mail) -> u32 {
        self.proxy.swallow_from("UID STORE");
        let uid = anna.append(to, mail, "", None);
        daemon.wait_until("it would write", |_| self.proxy.is_swallowing());
        daemon.kill();
        self.proxy.cut();
        self.proxy.pass();
        assert_eq!(self.outcome(to, uid), "pending");
        assert!(anna.find_in(to, mail).unwrap().flags.is_empty());
        uid
    }

    /// What the history says has become of a mail.
    fn outcome(&self, mailbox: &str, uid: u32) -> String {
        let history = self.installation.history();
        let record = history.into_iter().find(|one| one.mailbox == mailbox && one.uid == uid);
        record.expect("it was decided").outcome
    }
}

fn settings(mode: Settings, proxy: &Proxy, anna: &User) -> Settings {
    let account = anna.account().in_clear(proxy.port()).mailboxes(&["INBOX", "Work"]);
    mode.with(account.and("poll_seconds = 1"))
}

fn what_was_decided_before_a_kill_is_finished_as_it_was_decided(mail: &Mailserver) {
    let anna = mail.user("anna");
    let cut = Cut::new(&anna);
    let outage = Mail::outage();
    let daemon = cut.installation.start_ready();
    let uid = cut.decided_only(daemon, &anna, "INBOX", &outage);
    let decided = cut.installation.history();

    let mut daemon = cut.installation.start_ready();
    let record = cut.installation.wait_recorded(&anna, "INBOX", uid);
    assert_eq!(record.outcome, "labelled");
    assert_eq!(anna.find(&outage).unwrap().keywords(), record.keywords);
    assert_eq!((record.time, decided.len()), (decided[0].time.clone(), 1), "not decided anew");
    daemon.wait_counted("triaged_messages_total", &[("outcome", "labelled")], 1);
    daemon.stop();
}

fn what_was_decided_in_label_mode_is_not_written_in_shadow_mode(mail: &Mailserver) {
    let anna = mail.user("anna");
    let cut = Cut::new(&anna);
    let mails = [("INBOX", Mail::outage()), ("Work", Mail::outage())];
    let uids = mails.each_ref().map(|(mailbox, mail)| {
        cut.configure(Settings::label(), &anna);
        let daemon = cut.installation.start_ready();
        let uid = cut.decided_only(daemon, &anna, mailbox, mail);
        cut.configure(Settings::shadow(), &anna);
        let mut daemon = cut.installation.start_ready();
        daemon.wait_counted("triaged_messages_total", &[("outcome", "shadow")], 1);
        let later = anna.append(mailbox, &Mail::outage(), "", None);
        assert_eq!(cut.installation.wait_recorded(&anna, mailbox, later).outcome, "shadow");
        daemon.stop();
        uid
    });
    for ((mailbox, _), uid) in mails.iter().zip(uids) {
        assert_eq!(cut.outcome(mailbox, uid), "shadow");
    }

    // Also a later return to label mode does not bring it back.
    cut.configure(Settings::label(), &anna);
    let daemon = cut.installation.start_ready();
    let later = Mail::outage();
    anna.deliver(&later);
    assert_eq!(cut.installation.wait_decided(&anna, &later).outcome, "labelled");
    daemon.stop();
    for (mailbox, mail) in &mails {
        assert!(anna.find_in(mailbox, mail).unwrap().flags.is_empty());
    }
}

fn a_mail_that_was_moved_before_it_was_labelled_is_labelled_where_it_is(mail: &Mailserver) {
    let anna = mail.user("anna");
    let cut = Cut::new(&anna);
    for (from, to) in [("INBOX", "Work"), ("Work", "INBOX")] {
        let outage = Mail::outage();
        let daemon = cut.installation.start_ready();
        let uid = cut.decided_only(daemon, &anna, from, &outage);
        move_mail(&anna, from, uid, to);

        let daemon = cut.installation.start_ready();
        let moved = anna.find_in(to, &outage).expect("it was moved").uid;
        let record = cut.installation.wait_recorded(&anna, to, moved);
        assert_eq!(record.outcome, "labelled", "{from} to {to}: {record:?}");
        assert_eq!(anna.find_in(to, &outage).unwrap().keywords(), record.keywords);
        let left = until("what it left is settled", || {
            Some(cut.outcome(from, uid)).filter(|outcome| outcome != "pending")
        });
        assert_eq!(left, "gone");
        daemon.stop();
    }
}

fn a_mail_that_was_labelled_and_then_moved_is_left_as_it_is(mail: &Mailserver) {
    let anna = mail.user("anna");
    let cut = Cut::new(&anna);
    let mut daemon = cut.installation.start_ready();
    for (number, (from, to)) in (1..).zip([("INBOX", "Work"), ("Work", "INBOX")]) {
        let outage = Mail::outage();
        let uid = anna.append(from, &outage, "", None);
        let record = cut.installation.wait_recorded(&anna, from, uid);
        assert_eq!(record.outcome, "labelled");
        // Who takes a label off before moving the mail does not want it back.
        let mut client = anna.client();
        client.command(&format!("SELECT {from}"));
        client.command(&format!("UID STORE {uid} -FLAGS (triaged-urgent)"));
        move_mail(&anna, from, uid, to);

        let moved = anna.find_in(to, &outage).expect("it was moved").uid;
        let record = cut.installation.wait_recorded(&anna, to, moved);
        assert_eq!((record.action.as_str(), record.outcome.as_str()), ("skip", "known"));
        daemon.wait_counted("triaged_messages_total", &[("outcome", "known")], number);
        daemon.wait_counted("triaged_messages_total", &[("outcome", "labelled")], number);
        let keywords = anna.find_in(to, &outage).unwrap().keywords();
        assert!(!keywords.is_empty() && !keywords.contains("triaged-urgent"), "{keywords:?}");
    }
    daemon.stop();
}

/// As a mail client does it (RFC 6851).
fn move_mail(user: &User, from: &str, uid: u32, to: &str) {
    let mut client = user.client();
    client.command(&format!("SELECT {from}"));
    client.command(&format!("UID MOVE {uid} {to}"));
}
