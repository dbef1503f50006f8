//! The daemon is killed while it takes something back: the next one finishes that, and neither doubles
//! nor loses the message, nor takes its own half-done work for a person's.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{
    Bundle, Daemon, FIXTURE, Format, Installation, Mail, Mailserver, Proxy, Settings, User,
    on_each_server, until,
};

on_each_server!(
    killed_before_the_flags_come_off,
    killed_before_the_server_hears_of_the_move,
    killed_before_it_hears_that_the_message_was_moved,
    killed_before_the_server_hears_of_the_copy,
    killed_before_it_hears_that_the_message_was_copied,
    killed_before_the_original_is_marked,
    killed_before_the_original_is_removed,
);

const AWAY: &str = "Handled";
const HANDLE: &str = "rule = [{ name = \"handle\", then = { keyword = \"triaged-handled\", \
                      flag = true, move = \"Handled\", create = true } }]";

/// What the daemon dies of.
#[derive(Clone, Copy)]
enum Last {
    /// It would say this, and the server does not hear it.
    Words(&'static str),
    /// The server says this, and the daemon does not hear it.
    Answer(&'static str),
}

/// Takes one message back with a daemon that is killed then, and with another one. `hidden`: left out
/// of what the server can do.
fn killed_at(mail: &Mailserver, last: Last, hidden: &[&'static str]) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    for word in hidden {
        proxy.hide(word);
    }
    let installation = installation(&anna, &proxy);
    let planted = Mail::newsletter();
    let one = Mail::outage();
    anna.append("INBOX", &one, "later", None);
    let mut daemon = installation.start_ready();
    installation.wait_settled(1);
    assert!(anna.find(&one).is_none() && anna.find_in(AWAY, &one).is_some());
    // What others have marked as deleted, there and here.
    anna.append("INBOX", &planted, "\\Deleted", None);
    anna.append(AWAY, &planted, "\\Deleted", None);

    match last {
        Last::Words(words) => proxy.swallow_from(words),
        Last::Answer(words) => proxy.poison(Some(words)),
    }
    assert!(installation.triaged(&["undo", "--rule", "handle", "--no-wait"]).status.success());
    daemon
        .wait_until("it would say or hear that", |_| proxy.is_swallowing() || proxy.poisoned() > 0);
    daemon.kill();
    proxy.cut();
    proxy.poison(None);
    proxy.pass();

    let daemon = installation.start_ready();
    assert_back_once(&installation, &anna, &one, &planted);
    stays_so(&installation, daemon, &anna, &one, &proxy);
}

fn installation(anna: &User, proxy: &Proxy) -> Installation {
    let account = anna.account().in_clear(proxy.port()).backfill("all").and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with_nobody());
    let bundle = Bundle::copy(FIXTURE, &installation.folder().join("bundle"));
    let bundle = bundle.manifest(|manifest| manifest["heads"][0]["threshold"] = json!(0.1));
    let settings = Settings::label().bundle(bundle.folder()).with(account);
    installation.configure(&settings.and(HANDLE));
    installation
}

fn assert_back_once(installation: &Installation, anna: &User, one: &Mail, planted: &Mail) {
    until("it is taken back", || {
        let history = installation.history();
        let record = history.iter().find(|record| record.mailbox == "INBOX")?;
        (record.outcome == "undone").then_some(())
    });
    let back = until("it is back", || anna.find(one));
    let expected: BTreeSet<String> = ["later", "triaged-mood-bad"].map(str::to_owned).into();
    assert_eq!(back.flags, expected, "the label is not the rule's");
    assert_eq!((anna.client().copies("INBOX", one), anna.client().copies(AWAY, one)), (1, 0));
    assert!(anna.find(planted).is_some(), "what others have marked as deleted stays");
    assert!(anna.find_in(AWAY, planted).is_some(), "there, too");
}

/// Nothing is done to it any more, and nobody decides it anew.
fn stays_so(installation: &Installation, daemon: Daemon, anna: &User, one: &Mail, proxy: &Proxy) {
    let before = anna.find(one);
    proxy.count("UID STORE");
    daemon.stop();
    let daemon = installation.start_ready();
    let output = installation.triaged(&["undo", "--rule", "handle"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("nothing of that is on a server"));
    daemon.stop();
    assert_eq!((anna.find(one), proxy.heard()), (before, 0));
    let decided = installation.history().into_iter().filter(|one| one.outcome != "known");
    assert_eq!(decided.count(), 1);
}

fn killed_before_the_flags_come_off(mail: &Mailserver) {
    killed_at(mail, Last::Words("-FLAGS.SILENT"), &[]);
}

/// What the daemon does not hear is Dovecot's own word for a change to flags.
#[test]
fn killed_between_the_flags_and_the_move() {
    let mail = Mailserver::start(Format::Sdbox);
    killed_at(&mail, Last::Answer("Store completed"), &[]);
}

fn killed_before_the_server_hears_of_the_move(mail: &Mailserver) {
    killed_at(mail, Last::Words("UID MOVE"), &[]);
}

fn killed_before_it_hears_that_the_message_was_moved(mail: &Mailserver) {
    killed_at(mail, Last::Answer("COPYUID"), &[]);
}

fn killed_before_the_server_hears_of_the_copy(mail: &Mailserver) {
    killed_at(mail, Last::Words("UID COPY"), &["MOVE"]);
}

fn killed_before_it_hears_that_the_message_was_copied(mail: &Mailserver) {
    killed_at(mail, Last::Answer("COPYUID"), &["MOVE"]);
}

fn killed_before_the_original_is_marked(mail: &Mailserver) {
    killed_at(mail, Last::Words("+FLAGS.SILENT (\\Deleted)"), &["MOVE"]);
}

fn killed_before_the_original_is_removed(mail: &Mailserver) {
    killed_at(mail, Last::Words("UID EXPUNGE"), &["MOVE"]);
}
