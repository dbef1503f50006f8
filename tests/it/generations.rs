//! Servers whose numbers change: another UIDVALIDITY, a UIDNEXT that is missing or went back, UIDs
//! that were given out again. Nothing is labelled twice, and nothing new is passed over.
//!
//! The proxy puts the numbers into a real server's mouth.

use crate::harness::{
    Daemon, Edited, Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server,
};

on_each_server!(
    a_uidvalidity_that_changes_in_an_open_mailbox_begins_it_anew,
    a_uidvalidity_that_changes_over_a_restart_begins_it_anew,
    a_uidnext_that_is_missing_is_done_without,
    a_uidnext_that_went_back_labels_nothing_again,
    uids_that_are_given_out_again_are_other_messages,
);

struct Scene {
    anna: User,
    proxy: Proxy,
    installation: Installation,
}

impl Scene {
    fn new(mail: &Mailserver, mailboxes: &[&str]) -> Scene {
        let anna = mail.user("anna");
        for name in mailboxes.iter().filter(|name| **name != "INBOX") {
            anna.client().command(&format!("CREATE {name}"));
        }
        let proxy = Proxy::to(anna.plain_port());
        let account = anna.account().in_clear(proxy.port()).mailboxes(mailboxes);
        let settings = Settings::label().with(account.and("poll_seconds = 1"));
        Scene { anna, proxy, installation: Installation::new(&settings) }
    }

    /// A mail that was labelled, and from which a person has taken the keywords.
    fn labelled_and_taken_off(&self) -> Mail {
        let mail = self.labelled();
        let uid = self.anna.find(&mail).unwrap().uid;
        let mut client = self.anna.client();
        client.command("SELECT INBOX");
        client.command(&format!("UID STORE {uid} FLAGS ()"));
        mail
    }

    fn labelled(&self) -> Mail {
        let mail = Mail::outage();
        self.anna.deliver(&mail);
        assert_eq!(self.installation.wait_decided(&self.anna, &mail).outcome, "labelled");
        mail
    }

    fn assert_still_without(&self, mail: &Mail) {
        assert!(self.anna.find(mail).unwrap().keywords().is_empty(), "it was labelled again");
    }
}

/// The line with another number behind each of these words.
fn renumbered(line: &str, word: &str, number: impl Fn(u64) -> u64) -> Edited {
    let Some((before, rest)) = line.split_once(&format!("{word} ")) else { return Edited::Same };
    let digits = rest.chars().take_while(char::is_ascii_digit).count();
    let (old, behind) = rest.split_at(digits);
    Edited::Text(format!("{before}{word} {}{behind}", number(old.parse().unwrap())))
}

/// Row 1, under a session.
fn a_uidvalidity_that_changes_in_an_open_mailbox_begins_it_anew(mail: &Mailserver) {
    let scene = Scene::new(mail, &["INBOX"]);
    let mut daemon = scene.installation.start_ready();
    let old = scene.labelled_and_taken_off();
    scene.proxy.edit(|line| {
        if line.ends_with(" EXISTS\r\n") {
            return Edited::Text(format!("* OK [UIDVALIDITY 4242] all is new\r\n{line}"));
        }
        renumbered(line, "UIDVALIDITY", |_| 4242)
    });
    let new = Mail::outage();
    scene.anna.deliver(&new);
    scene.anna.wait_for(&new, |stored| stored.keywords().contains("triaged-urgent"));
    let noticed = |daemon: &Daemon| daemon.log().contains("has new UIDs");
    daemon.wait_until("it was noticed while the mailbox was open", noticed);
    scene.assert_still_without(&old);
    daemon.stop();
}

/// Row 1, across a restart.
fn a_uidvalidity_that_changes_over_a_restart_begins_it_anew(mail: &Mailserver) {
    let scene = Scene::new(mail, &["INBOX"]);
    let daemon = scene.installation.start_ready();
    let old = scene.labelled_and_taken_off();
    daemon.stop();
    scene.proxy.edit(|line| renumbered(line, "UIDVALIDITY", |_| 777));
    let daemon = scene.installation.start_ready();
    let new = Mail::outage();
    scene.anna.deliver(&new);
    scene.anna.wait_for(&new, |stored| stored.keywords().contains("triaged-urgent"));
    scene.assert_still_without(&old);
    daemon.stop();
}

/// Row 2, missing.
fn a_uidnext_that_is_missing_is_done_without(mail: &Mailserver) {
    let scene = Scene::new(mail, &["INBOX"]);
    let before = Mail::outage();
    scene.anna.deliver(&before);
    scene.proxy.edit(|line| {
        let says_it = line.starts_with("* OK [UIDNEXT ");
        if says_it { Edited::Text(String::new()) } else { Edited::Same }
    });
    let daemon = scene.installation.start_ready();
    scene.labelled();
    daemon.stop();
    let down = Mail::outage();
    scene.anna.deliver(&down);
    let daemon = scene.installation.start_ready();
    assert_eq!(scene.installation.wait_decided(&scene.anna, &down).outcome, "labelled");
    scene.labelled();
    scene.assert_still_without(&before);
    assert_eq!(scene.installation.history().len(), 3);
    daemon.stop();
}

/// Row 2, decreasing: the server's number is wrong, and its mail is what it was.
fn a_uidnext_that_went_back_labels_nothing_again(mail: &Mailserver) {
    let scene = Scene::new(mail, &["INBOX"]);
    let daemon = scene.installation.start_ready();
    let old: Vec<Mail> = (0..3).map(|_| scene.labelled_and_taken_off()).collect();
    daemon.stop();
    scene.proxy.edit(|line| renumbered(line, "UIDNEXT", |next| next - 2));
    let mut daemon = scene.installation.start_ready();
    daemon.wait_until("it is noticed", |daemon| daemon.log().contains("gone back"));
    scene.labelled();
    for mail in &old {
        scene.assert_still_without(mail);
    }
    assert_eq!(scene.installation.history().len(), 4);
    daemon.stop();
}

/// A mailbox that was deleted and made again where the server numbers generations badly, or one out
/// of an old backup: the same UIDs are other messages, and only the mod-sequences give it away.
fn uids_that_are_given_out_again_are_other_messages(mail: &Mailserver) {
    let scene = Scene::new(mail, &["INBOX", "Work"]);
    scene.proxy.edit(|line| renumbered(line, "UIDVALIDITY", |_| 99));
    let mut daemon = scene.installation.start_ready();
    for _ in 0..3 {
        let uid = scene.anna.append("Work", &Mail::outage(), "", None);
        let record = scene.installation.wait_recorded(&scene.anna, "Work", uid);
        assert_eq!(record.outcome, "labelled");
    }
    daemon.stop();
    let mut client = scene.anna.client();
    client.command("DELETE Work");
    client.command("CREATE Work");
    let others: Vec<Mail> = (0..3).map(|_| Mail::outage()).collect();
    for mail in &others {
        client.append("Work", mail.bytes(), "", None);
    }
    daemon = scene.installation.start_ready();
    for mail in &others {
        crate::harness::until("the other mail is labelled", || {
            scene.anna.find_in("Work", mail).filter(|stored| !stored.keywords().is_empty())
        });
    }
    daemon.stop();
}
