//! Mailboxes by pattern and by what they are for: found while they come, let go when they go, known
//! under other names, and called by the server's names whatever is in those.

use std::time::{Duration, Instant};

use crate::harness::{
    Daemon, Format, Installation, Mail, Mailserver, Proxy, Settings, Software, User,
    on_each_server, until,
};

on_each_server!(
    what_matches_is_watched_and_what_nobody_triages_is_not,
    a_mailbox_that_appears_is_found_and_one_that_goes_is_let_go,
    a_mailbox_under_another_name_goes_on_where_it_was,
    names_are_the_servers_whatever_is_in_them,
    mailboxes_without_news_are_not_opened,
);

/// An installation that watches these mailboxes of a user, and looks at them each second.
fn watching(anna: &User, mailboxes: &[&str], more: &str) -> Installation {
    let account = anna.account().mailboxes(mailboxes).and("poll_seconds = 1").and(more);
    Installation::new(&Settings::label().with(account))
}

fn assert_labelled(installation: &Installation, anna: &User, mailbox: &str, uid: u32) {
    let record = installation.wait_recorded(anna, mailbox, uid);
    assert_eq!(record.outcome, "labelled", "{record:?}");
}

fn what_matches_is_watched_and_what_nobody_triages_is_not(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    for name in ["Lists", "Lists/rust", "Lists/secret", "Trash", "Archive", "Work"] {
        client.command(&format!("CREATE \"{name}\""));
    }
    let except = "except_mailboxes = [\"Lists/s*\"]";
    let installation = watching(&anna, &["INBOX", "Lists/*", "Tr%", "\\Archive"], except);
    let daemon = installation.start_ready();
    let others = ["Lists/secret", "Trash", "Work"];
    let others: Vec<_> = others.map(|name| (name, Mail::outage())).into();
    for (name, mail) in &others {
        anna.append(name, mail, "", None);
    }
    for name in ["INBOX", "Lists/rust", "Archive"] {
        let uid = anna.append(name, &Mail::outage(), "", None);
        assert_labelled(&installation, &anna, name, uid);
    }
    for (name, mail) in &others {
        assert!(anna.find_in(name, mail).unwrap().keywords().is_empty(), "{name}");
    }
    assert_eq!(installation.history().len(), 3);
    daemon.stop();
}

fn a_mailbox_that_appears_is_found_and_one_that_goes_is_let_go(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    let installation = watching(&anna, &["INBOX", "Lists*"], "");
    let mut daemon = installation.start_ready();
    // A delivery program makes the mailbox and puts the first mail into it at once.
    client.command("CREATE Lists");
    let old = Some("2025-11-21T08:00:00Z".parse().unwrap());
    let long_ago = Mail::outage();
    client.append("Lists", long_ago.bytes(), "", old);
    let first = client.append("Lists", Mail::outage().bytes(), "", None);
    assert_labelled(&installation, &anna, "Lists", first);
    assert!(anna.find_in("Lists", &long_ago).unwrap().keywords().is_empty(), "moved there");

    let errors = daemon.metric("triaged_imap_errors_total", &[]);
    client.command("DELETE Lists");
    daemon.wait_until("it is let go", |daemon| daemon.log().contains("is not there any more"));
    let still = Mail::outage();
    anna.deliver(&still);
    assert_eq!(installation.wait_decided(&anna, &still).outcome, "labelled");
    assert!(daemon.ready(), "nothing is amiss");
    assert!(daemon.metric("triaged_imap_errors_total", &[]) < errors + 0.5);
    daemon.stop();
}

fn a_mailbox_under_another_name_goes_on_where_it_was(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    client.command("CREATE Work");
    let installation = watching(&anna, &["INBOX", "*"], "");
    let mut daemon = installation.start_ready();
    let (before, meanwhile) = (Mail::outage(), Mail::outage());
    let uid = anna.append("Work", &before, "", None);
    assert_labelled(&installation, &anna, "Work", uid);
    take_keywords_off(&anna, "Work", uid);

    client.command("RENAME Work Attic");
    let uid = anna.append("Attic", &meanwhile, "", None);
    assert_labelled(&installation, &anna, "Attic", uid);
    assert!(anna.find_in("Attic", &before).unwrap().keywords().is_empty(), "not labelled again");
    daemon.wait_until("it says so", |daemon| daemon.log().contains("has another name"));
    let history = installation.history();
    assert!(history.len() == 2 && history.iter().all(|one| one.mailbox == "Attic"), "{history:?}");
    daemon.stop();
}

fn take_keywords_off(anna: &User, mailbox: &str, uid: u32) {
    let mut client = anna.client();
    client.command(&format!("SELECT {mailbox}"));
    client.command(&format!("UID STORE {uid} FLAGS ()"));
}

/// Row 25: quotes, backslashes, spaces, modified UTF-7 and what only looks like it.
fn names_are_the_servers_whatever_is_in_them(mail: &Mailserver) {
    let anna = mail.user("anna");
    // As people read them, and as they go over the wire.
    let mut names = vec![
        ("K&APw-che &- Bad", "Küche & Bad"),
        ("a b  c", "a b  c"),
        ("&ZeVnLIqe-", "日本語"),
        ("(odd) 'name' [x]", "(odd) 'name' [x]"),
    ];
    if let Software::Dovecot(_) = mail.software() {
        // Cyrus forbids them.
        names.push((r#"say \"hi\""#, "say \"hi\""));
        names.push((r"back\\slash", r"back\slash"));
    }
    for (wire, _) in &names {
        anna.client().command(&format!("CREATE \"{wire}\""));
    }
    assert_each_is_labelled(&anna, &names, &["INBOX", "*"]);
    let each: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
    assert_each_is_labelled(&anna, &names, &each);
}

fn assert_each_is_labelled(anna: &User, names: &[(&str, &str)], mailboxes: &[&str]) {
    let installation = watching(anna, mailboxes, "");
    let daemon = installation.start_ready();
    for (wire, name) in names {
        let uid = anna.append(wire, &Mail::outage(), "", None);
        assert_labelled(&installation, anna, name, uid);
    }
    daemon.stop();
}

/// Row 25: the hierarchy's delimiter is the server's.
#[test]
fn a_pattern_goes_by_the_delimiter_of_the_server() {
    for (format, delimiter) in [(Format::Maildir, "."), (Format::Sdbox, "^"), (Format::Sdbox, "\\")]
    {
        let separator = format!("namespace inbox {{\n  separator = \"{delimiter}\"\n}}\n");
        let separator = separator.replace('\\', "\\\\");
        let mail = Mailserver::start_with(format, &separator);
        let anna = mail.user("anna");
        let wire = delimiter.replace('\\', "\\\\");
        anna.client().command(&format!("CREATE \"Lists{wire}rust{wire}users\""));
        let pattern = format!("Lists{delimiter}%");
        let installation = watching(&anna, &["INBOX", &pattern], "");
        let daemon = installation.start_ready();
        let deep = Mail::outage();
        anna.append(&format!("Lists{wire}rust{wire}users"), &deep, "", None);
        anna.client().attempt(&format!("CREATE \"Lists{wire}rust\""));
        let uid = anna.append(&format!("Lists{wire}rust"), &Mail::outage(), "", None);
        let name = format!("Lists{delimiter}rust");
        assert_labelled(&installation, &anna, &name, uid);
        let deep = anna.find_in(&format!("Lists{wire}rust{wire}users"), &deep).unwrap();
        assert!(deep.keywords().is_empty(), "% does not reach below");
        daemon.stop();
    }
}

/// What a server marks counts, whatever the mailbox is called.
#[test]
fn a_mailbox_is_for_what_the_server_says() {
    let marks = "namespace inbox {\n  mailbox Papierkorb {\n    auto = create\n    special_use = \\Trash\n  }\n  \
                 mailbox Ablage {\n    auto = create\n    special_use = \\Archive\n  }\n}\n";
    let mail = Mailserver::start_with(Format::Sdbox, marks);
    let anna = mail.user("anna");
    let installation = watching(&anna, &["\\Inbox", "\\archive", "P*"], "");
    let daemon = installation.start_ready();
    let thrown_away = Mail::outage();
    anna.append("Papierkorb", &thrown_away, "", None);
    for name in ["Ablage", "INBOX"] {
        let uid = anna.append(name, &Mail::outage(), "", None);
        assert_labelled(&installation, &anna, name, uid);
    }
    assert!(anna.find_in("Papierkorb", &thrown_away).unwrap().keywords().is_empty());
    daemon.stop();
}

/// A hundred mailboxes cost a few kilobytes a look, and a restart opens only what has news.
fn mailboxes_without_news_are_not_opened(mail: &Mailserver) {
    const MAILBOXES: u32 = 100;
    let anna = mail.user("anna");
    let mut client = anna.client();
    for n in 0..MAILBOXES {
        client.command(&format!("CREATE list{n}"));
    }
    let proxy = Proxy::to(anna.plain_port());
    let account = anna.account().in_clear(proxy.port()).mailboxes(&["INBOX", "list*"]);
    let account = account.and("poll_seconds = 600");
    let installation = Installation::new(&Settings::label().with(account));
    installation.start_ready().stop();
    let uid = client.append("list50", Mail::outage().bytes(), "", None);

    let before = proxy.received();
    let daemon = installation.start_ready();
    assert_labelled(&installation, &anna, "list50", uid);
    let received = proxy.received() - before;
    assert!(received < 20_000, "{received} bytes for {MAILBOXES} mailboxes and one mail");
    daemon.stop();
}

/// NOTIFY, as an accelerator: the next look by the clock would be four minutes later.
#[test]
fn news_of_another_mailbox_end_the_wait() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    anna.client().command("CREATE Work");
    let account = anna.account().mailboxes(&["INBOX", "Work"]).and("poll_seconds = 600");
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start_ready();
    let idles =
        |daemon: &Daemon| daemon.metric("triaged_connections", &[("state", "waiting")]) >= 1.0;
    daemon.wait_until("it waits", idles);
    // Dovecot may say nothing of the first one.
    anna.append("Work", &Mail::outage(), "", None);
    let labelled = until("mail in another mailbox is labelled", || {
        let start = Instant::now();
        let uid = anna.append("Work", &Mail::outage(), "", None);
        while start.elapsed() < Duration::from_secs(10) {
            let record = installation.history().into_iter().find(|one| one.uid == uid);
            if record.is_some_and(|one| one.outcome == "labelled") {
                return Some(start.elapsed());
            }
        }
        None
    });
    println!("labelled after {labelled:?}");
    // The main mailbox announces its own as before.
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
}

/// `check --online` opens what is meant, and `backfill` takes what was found.
#[test]
fn the_command_line_knows_what_a_pattern_means() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    for name in ["Lists/rust", "Work"] {
        anna.client().command(&format!("CREATE {name}"));
    }
    let installation = watching(&anna, &["INBOX", "Lists/*"], "");
    let daemon = installation.start_ready();
    let said = |arguments: &[&str]| {
        let output = installation.triaged(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = said(&["check", "--online"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("anna Lists/rust") && !text.contains("anna Work"), "{text}");
    let backfill = ["backfill", "--account", "anna", "--since", "7d", "--dry-run"];
    let (code, text) = said(&backfill);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("INBOX: 0 messages") && text.contains("Lists/rust: 0 messages"),
        "{text}"
    );
    let (code, text) = said(&[&backfill[..], &["--mailbox", "Work"]].concat());
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("account \"anna\" watches INBOX, Lists/*"), "{text}");
    daemon.stop();
}
