//! `triaged remove-labels`: no keyword of ours is left anywhere, and nothing else has changed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::harness::{
    Bundle, Edited, FIXTURE, Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server,
    until,
};

on_each_server!(
    all_keywords_of_ours_come_off_and_all_other_flags_stay,
    where_nothing_may_be_changed_that_is_said_and_may_be_asked_for_again,
    a_mailbox_that_is_made_or_renamed_meanwhile_is_gone_through,
    what_is_cancelled_ends_for_who_waits_for_it,
);

const MAILBOXES: [&str; 4] = ["INBOX", "Handled", "Archive", "Old"];
/// What the model, the rule and an earlier configuration have written, and what a person has put on
/// messages by hand.
const OURS: [&str; 5] =
    ["triaged-mood-bad", "triaged-size-one", "triaged-handled", "triaged-good", "triaged-earlier"];

/// Each message of the mailboxes with its flags, without those of ours and without stars.
type Foreign = BTreeMap<(String, String), BTreeSet<String>>;

fn foreign(anna: &User) -> Foreign {
    let mut found = Foreign::new();
    for mailbox in MAILBOXES {
        let mut client = anna.client();
        if !client.attempt(&format!("EXAMINE {mailbox}")).starts_with("OK") {
            continue;
        }
        for line in client.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])") {
            let Some((_, id)) = line.split_once("Message-ID: ") else { continue };
            let flags = line.split_once("FLAGS (").unwrap().1.split_once(')').unwrap().0;
            let flags = flags.split_whitespace().map(str::to_ascii_lowercase);
            let is_foreign = |flag: &String| flag != "\\recent" && !OURS.contains(&&**flag);
            let id = id.lines().next().unwrap().to_owned();
            let before =
                found.insert((mailbox.to_owned(), id.clone()), flags.filter(is_foreign).collect());
            assert_eq!(before, None, "{id} is there twice");
        }
    }
    found
}

/// How many messages of all mailboxes have a keyword.
fn count(anna: &User, keyword: &str) -> usize {
    let mut count = 0;
    for mailbox in MAILBOXES {
        let mut client = anna.client();
        if client.attempt(&format!("EXAMINE {mailbox}")).starts_with("OK") {
            let found = client.command(&format!("UID SEARCH KEYWORD {keyword}"));
            let uids = found.iter().find_map(|line| line.strip_prefix("* SEARCH"));
            count += uids.unwrap_or_default().split_whitespace().count();
        }
    }
    count
}

fn installation(anna: &User, rule_keyword: &str) -> Installation {
    let installation = Installation::new(&Settings::label().with_nobody());
    let bundle =
        Bundle::copy(FIXTURE, &installation.folder().join("bundle")).manifest(|manifest| {
            for head in 0..2 {
                manifest["heads"][head]["threshold"] = json!(0.1);
            }
        });
    reconfigure(&installation, bundle.folder(), anna, rule_keyword);
    installation
}

/// What the rule writes is another word in the course of time.
fn reconfigure(
    installation: &Installation,
    bundle: &std::path::Path,
    anna: &User,
    rule_keyword: &str,
) {
    let account = anna.account().mailboxes(&["INBOX", "Archive"]).backfill("all");
    let rules = format!(
        "rule = [{{ name = \"handle\", when = {{ subject = [\"even\"] }}, then = {{ keyword = \
         \"{rule_keyword}\", flag = true, move = \"Handled\", create = true }} }}]"
    );
    let settings = Settings::label().bundle(bundle).with(account.and("poll_seconds = 1"));
    let labels = "[keywords.labels]\n\"mood.good\" = true";
    installation.configure(&settings.and(&rules).and(labels));
}

fn numbered(number: usize) -> Mail {
    let parity = if number.is_multiple_of(2) { "even" } else { "odd" };
    let subject = format!("{parity} {number}");
    Mail::raw(format!("From: a@b.example\r\nSubject: {subject}\r\n\r\nHello, hello.\r\n"))
}

fn all_keywords_of_ours_come_off_and_all_other_flags_stay(mail: &Mailserver) {
    const COUNT: usize = 60;
    let anna = mail.user("anna");
    let mut client = anna.client();
    client.command("CREATE Archive");
    client.command("CREATE Old");
    let installation = installation(&anna, "triaged-earlier");
    let mails: Vec<Mail> = (0..COUNT).map(numbered).collect();
    for (number, one) in mails.iter().enumerate() {
        let flags = ["", "todo", "\\Seen", "$label2 \\Answered"][number % 4];
        client.append(["INBOX", "Archive"][number % 3 / 2], one.bytes(), flags, None);
    }
    let daemon = installation.start_ready();
    installation.wait_settled(COUNT);
    daemon.stop();
    reconfigure(&installation, &installation.folder().join("bundle"), &anna, "triaged-handled");

    // A person moves some to where nobody watches, answers otherwise, takes stars off, and puts one of
    // our keywords on a message of its own.
    client.command("SELECT Handled");
    client.command("UID MOVE 1:5 Old");
    client.command("UID STORE 6:8 -FLAGS (\\Flagged)");
    client.command("UID STORE 9 +FLAGS (triaged-good own)");
    let by_hand = Mail::newsletter();
    client.append("Old", by_hand.bytes(), "triaged-handled \\Flagged mine", None);
    let starred: BTreeSet<String> = stars(&anna);
    let before = foreign(&anna);
    for keyword in ["triaged-mood-bad", "triaged-handled", "triaged-earlier", "triaged-good"] {
        assert!(count(&anna, keyword) > 0, "{keyword}");
    }

    let output = installation.triaged(&["remove-labels", "--all", "--dry-run"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("anna: triaged-earlier on 30 messages"),
        "{said}"
    );
    assert!(count(&anna, "triaged-earlier") == 30, "a dry run changes nothing");

    // Killed half-way, and run again.
    let daemon = installation.start_ready();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_triaged"));
    command.arg("--config").arg(installation.config()).args(["remove-labels", "--all"]);
    let mut asked = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    until("some are off", || (count(&anna, "triaged-earlier") < 30).then_some(()));
    daemon.kill();
    asked.wait().unwrap();
    let daemon = installation.start_ready();
    let output = installation.triaged(&["remove-labels", "--account", "anna"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("have none of ours any more"), "{said}");
    assert!(said.contains("its mode is \"label\": new mail gets labels as before"), "{said}");

    for keyword in OURS {
        assert_eq!(count(&anna, keyword), 0, "{keyword}");
    }
    let (mut after, mut expected) = (foreign(&anna), before);
    // Of stars only those come off that the rule has set, where nobody has touched the message.
    let kept: BTreeSet<String> = stars(&anna);
    let by_person = [by_hand.id().to_owned()].into();
    let moved_on: BTreeSet<String> =
        starred.iter().filter(|id| expected.contains_key(&at("Old", id))).cloned().collect();
    assert_eq!(kept, &moved_on | &by_person);
    for flags in after.values_mut().chain(expected.values_mut()) {
        flags.remove("\\flagged");
    }
    assert_eq!(after, expected, "nothing else has changed");

    // What was decided is not labelled again, and new mail is.
    let late = numbered(COUNT + 1);
    anna.deliver(&late);
    until("new mail is labelled", || anna.find(&late).filter(|one| !one.keywords().is_empty()));
    daemon.stop();
    installation.start_ready().stop();
    assert_eq!(count(&anna, "triaged-mood-bad"), 1, "only the new one");
}

fn at(mailbox: &str, id: &str) -> (String, String) {
    (mailbox.to_owned(), id.to_owned())
}

/// The messages that have a star.
fn stars(anna: &User) -> BTreeSet<String> {
    let has_star = |flags: &BTreeSet<String>| flags.contains("\\flagged");
    let all = foreign(anna).into_iter().filter(|(_, flags)| has_star(flags));
    all.map(|((_, id), _)| id).collect()
}

/// Also `triaged undo` is told that, and both go on when they may.
fn where_nothing_may_be_changed_that_is_said_and_may_be_asked_for_again(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Archive");
    let proxy = Proxy::to(anna.plain_port());
    let installation = installation(&anna, "triaged-handled");
    let account = anna.account().in_clear(proxy.port()).backfill("all").and("poll_seconds = 1");
    let settings = Settings::label().bundle(installation.folder().join("bundle"));
    installation.configure(&settings.with(account));
    anna.append("INBOX", &numbered(3), "own", None);
    let daemon = installation.start_ready();
    installation.wait_settled(1);
    proxy.edit(|line| Edited::Text(line.replace("[READ-WRITE]", "[READ-ONLY]")));
    let ends = |arguments: &[&str], code, what: &str| {
        let output = installation.triaged(arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.code() == Some(code) && said.contains(what),
            "{:?} {said}",
            output.status
        );
    };
    let read_only = "the mailbox is read-only for this login";
    ends(&["undo", "--since", "1d"], 70, &format!("1 refused: {read_only}"));
    ends(&["remove-labels", "--all"], 70, "anna: INBOX: it is read-only for this login");
    assert!(count(&anna, "triaged-mood-bad") == 1 && count(&anna, "own") == 1);
    proxy.edit(|_| Edited::Same);
    ends(&["remove-labels", "--all"], 0, "2 keywords removed");
    assert!(count(&anna, "triaged-mood-bad") == 0 && count(&anna, "own") == 1);
    ends(&["undo", "--since", "1d"], 0, "nothing of that is on a server");
    daemon.stop();
}

fn a_mailbox_that_is_made_or_renamed_meanwhile_is_gone_through(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    client.command("CREATE Archive");
    client.command("CREATE Work");
    let proxy = Proxy::to(anna.plain_port());
    let installation = installation(&anna, "triaged-handled");
    let account = anna.account().in_clear(proxy.port()).and("poll_seconds = 1");
    let settings = Settings::label().bundle(installation.folder().join("bundle"));
    installation.configure(&settings.with(account));
    client.append("Work", numbered(1).bytes(), "triaged-mood-bad", None);
    let daemon = installation.start_ready();
    proxy.hold("SEARCH KEYWORD");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| installation.triaged(&["remove-labels", "--all"]));
        until("the first mailbox is searched", || proxy.is_holding().then_some(()));
        client.command("RENAME Work Old");
        client.command("CREATE Handled");
        client.append("Handled", numbered(2).bytes(), "triaged-mood-bad", None);
        proxy.let_go();
        let output = asked.join().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("2 keywords removed"), "{said}");
    });
    assert_eq!(count(&anna, "triaged-mood-bad"), 0);
    daemon.stop();
}

fn what_is_cancelled_ends_for_who_waits_for_it(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Archive");
    let proxy = Proxy::to(anna.plain_port());
    let installation = installation(&anna, "triaged-handled");
    let account = anna.account().in_clear(proxy.port()).and("poll_seconds = 1");
    let settings = Settings::label().bundle(installation.folder().join("bundle"));
    installation.configure(&settings.with(account));
    let labelled = numbered(1);
    anna.append("Archive", &labelled, "triaged-mood-bad", None);
    let daemon = installation.start_ready();
    proxy.hold("SEARCH KEYWORD");
    let cancel = || {
        let output = installation.triaged(&["remove-labels", "--all", "--cancel"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| installation.triaged(&["remove-labels", "--all"]));
        until("the first mailbox is searched", || proxy.is_holding().then_some(()));
        assert_eq!(cancel(), (Some(0), "anna: cancelled\n".to_owned()));
        let output = asked.join().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(70) && said.contains("it was cancelled"), "{said}");
    });
    assert_eq!(cancel(), (Some(0), "anna: nothing is asked for\n".to_owned()));
    proxy.let_go();
    anna.deliver(&numbered(2));
    installation.wait_settled(1);
    let flags = anna.find_in("Archive", &labelled).unwrap().flags;
    assert_eq!(flags, ["triaged-mood-bad".to_owned()].into(), "it was searched, and not told yet");
    daemon.stop();
}
