//! `triaged undo`: what nobody has changed since is back as it was, and all else is left as it is, also
//! when the daemon is killed half-way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{
    Account, Bundle, Done, Edited, FIXTURE, Format, ImapClient, Installation, Mail, Mailserver,
    Proxy, Record, Settings, User, on_each_server, until,
};

on_each_server!(
    what_nobody_has_changed_is_back_and_all_else_is_as_it_was,
    a_message_is_taken_back_by_its_number_and_by_its_message_id,
    a_rule_is_taken_back_and_the_labels_stay,
    what_is_cancelled_while_it_is_looked_at_stays_as_it_is,
    who_changes_a_message_meanwhile_is_right,
    what_can_not_go_back_is_refused_as_a_whole,
    what_nobody_knows_the_place_of_is_refused,
);

/// Where the rule of these tests sends mail.
const AWAY: &str = "Handled";
/// What it does to all mail.
const HANDLE: &str = "rule = [{ name = \"handle\", then = { keyword = \"triaged-handled\", \
                      flag = true, move = \"Handled\", create = true } }]";
/// What the bundle of these tests says of every mail.
const MOOD: &str = "triaged-mood-bad";

/// A mailbox as an independent client sees it: each Message-ID with the flags of its messages.
type Dump = BTreeMap<String, BTreeMap<String, Vec<BTreeSet<String>>>>;

fn dump(anna: &User, mailboxes: &[&str]) -> Dump {
    let of = |mailbox: &&str| ((*mailbox).to_owned(), dump_of(anna, mailbox));
    mailboxes.iter().map(of).collect()
}

fn dump_of(anna: &User, mailbox: &str) -> BTreeMap<String, Vec<BTreeSet<String>>> {
    let mut client = anna.client();
    let mut found: BTreeMap<String, Vec<BTreeSet<String>>> = BTreeMap::new();
    if !client.attempt(&format!("EXAMINE {mailbox}")).starts_with("OK") {
        return found;
    }
    for line in client.command("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])") {
        let Some((_, id)) = line.split_once("Message-ID: ") else { continue };
        let (_, flags) = line.split_once("FLAGS (").unwrap();
        let flags = flags.split_once(')').unwrap().0.split_whitespace();
        let flags = flags.filter(|flag| *flag != "\\Recent").map(str::to_ascii_lowercase);
        found.entry(id.lines().next().unwrap().to_owned()).or_default().push(flags.collect());
    }
    found
}

/// An installation whose model is sure of everything it says, and whose rule moves all mail.
fn installation(account: Account, rules: &str) -> Installation {
    let installation = Installation::new(&Settings::label().with_nobody());
    let bundle =
        Bundle::copy(FIXTURE, &installation.folder().join("bundle")).manifest(|manifest| {
            for head in ["mood", "size"].iter().enumerate() {
                manifest["heads"][head.0]["threshold"] = json!(0.1);
            }
        });
    let labels = "[keywords.labels]\n\"mood.good\" = true\n\"size.two\" = true";
    let settings = Settings::label().bundle(bundle.folder()).with(account);
    installation.configure(&settings.and(rules).and(labels));
    installation
}

fn triaged(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let output = installation.triaged(arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// A mail of a number, as a client stores it.
fn numbered(number: usize) -> Mail {
    Mail::raw(format!("From: a@b.example\r\nSubject: mail {number}\r\n\r\nHello, hello.\r\n"))
}

struct Scene {
    anna: User,
    proxy: Proxy,
    installation: Installation,
    mails: Vec<Mail>,
}

impl Scene {
    /// So many mails, labelled and moved; the first ten had one of the keywords before.
    fn handled(mail: &Mailserver, count: usize) -> Scene {
        let anna = mail.user("anna");
        let mut client = anna.client();
        client.command("CREATE Archive");
        let mails: Vec<Mail> = (0..count).map(numbered).collect();
        for (number, one) in mails.iter().enumerate() {
            let flags = if number < 10 { "triaged-handled todo" } else { "todo" };
            client.append("INBOX", one.bytes(), flags, None);
        }
        let proxy = Proxy::to(anna.plain_port());
        let account = anna.account().in_clear(proxy.port()).backfill("all");
        let installation = installation(account.and("poll_seconds = 1"), HANDLE);
        Scene { anna, proxy, installation, mails }
    }
}

const ALL: [&str; 3] = ["INBOX", AWAY, "Archive"];

/// The case: 500 messages labelled and moved; then 50 changed by a person, 20 gone, 10 that had
/// the keyword before.
fn what_nobody_has_changed_is_back_and_all_else_is_as_it_was(mail: &Mailserver) {
    const COUNT: usize = 500;
    let scene = Scene::handled(mail, COUNT);
    let daemon = scene.installation.start_ready();
    scene.installation.wait_settled(COUNT);
    daemon.stop();
    // So that a kill comes half-way for certain.
    scene.proxy.round_trip(Duration::from_millis(40));
    let history = scene.installation.history();
    assert!(history.iter().all(|one| one.outcome == "moved"), "{:?}", history[0]);
    assert_eq!(dump_of(&scene.anna, AWAY).len(), COUNT);

    scene.change(10..20, &format!("-FLAGS ({MOOD})"));
    scene.change(20..30, "+FLAGS (triaged-good)");
    scene.change(30..40, "-FLAGS (\\Flagged)");
    scene.change(40..50, "+FLAGS (\\Deleted)");
    scene.take(50..60, "Archive");
    scene.take(60..70, "INBOX");
    scene.expunge(70..80);
    // What says nothing about what triaged did.
    scene.change(80..120, "+FLAGS (\\Seen later)");
    let before = dump(&scene.anna, &ALL);

    let (code, said) = triaged(&scene.installation, &["undo", "--since", "1d", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("anna: Handled: {COUNT} go back to INBOX")), "{said}");
    assert!(
        said.contains(&format!("anna: Handled: {} lose triaged-handled", COUNT - 10)),
        "{said}"
    );
    assert_eq!(dump(&scene.anna, &ALL), before, "a dry run changes nothing");

    let daemon = scene.installation.start_ready();
    let begun = Instant::now();
    let (code, said) = triaged(&scene.installation, &["undo", "--since", "1d", "--no-wait"]);
    assert!(code == Some(0) && said.contains("500 messages"), "{said}");
    until("some are back", || (dump_of(&scene.anna, "INBOX").len() > 20).then_some(()));
    daemon.kill();
    assert!(dump_of(&scene.anna, AWAY).len() > 200, "it was killed half-way");

    let mut daemon = scene.installation.start_ready();
    daemon.wait_until("all is taken back", |_| {
        let history = scene.installation.history();
        let open = |one: &Record| one.effects.iter().any(|effect| effect.state == "undoing");
        history.iter().filter(|one| one.outcome == "undone").count() == COUNT - 70
            && !history.iter().any(open)
    });
    eprintln!("430 of 500 messages were taken back in {:?}, a kill included", begun.elapsed());
    assert_eq!(dump(&scene.anna, &ALL), scene.expected(before));
    let (code, said) = triaged(&scene.installation, &["undo", "--since", "1d"]);
    assert!(code == Some(0) && said.contains("0 undone, 40 kept, 30 gone, 0 refused"), "{said}");

    // Nobody labels them again, here or after a restart.
    daemon.stop();
    let daemon = scene.installation.start_ready();
    let late = numbered(COUNT);
    scene.anna.deliver(&late);
    until("new mail is handled", || scene.anna.find_in(AWAY, &late));
    daemon.stop();
    let mut after = dump(&scene.anna, &ALL);
    after.get_mut(AWAY).unwrap().remove(late.id());
    assert_eq!(after[AWAY].len() + after["INBOX"].len() + after["Archive"].len(), COUNT - 10);
    for (id, copies) in &after["INBOX"] {
        assert_eq!(copies.len(), 1, "{id}");
    }
}

impl Scene {
    fn uids(&self, client: &mut ImapClient, numbers: Range<usize>) -> String {
        client.command(&format!("SELECT {AWAY}"));
        let uid = |number: usize| {
            let id = self.mails[number].id();
            let found = client.command(&format!("UID SEARCH HEADER Message-ID \"{id}\""));
            found.iter().find_map(|line| line.strip_prefix("* SEARCH ")).unwrap().to_owned()
        };
        numbers.map(uid).collect::<Vec<_>>().join(",")
    }

    /// A person changes the flags of messages that were moved.
    fn change(&self, numbers: Range<usize>, change: &str) {
        let mut client = self.anna.client();
        let uids = self.uids(&mut client, numbers);
        client.command(&format!("UID STORE {uids} {change}"));
    }

    /// A person moves them on.
    fn take(&self, numbers: Range<usize>, to: &str) {
        let mut client = self.anna.client();
        let uids = self.uids(&mut client, numbers);
        client.command(&format!("UID MOVE {uids} {to}"));
    }

    /// A person deletes them for good.
    fn expunge(&self, numbers: Range<usize>) {
        let mut client = self.anna.client();
        let uids = self.uids(&mut client, numbers);
        client.command(&format!("UID STORE {uids} +FLAGS (\\Deleted)"));
        client.command(&format!("UID EXPUNGE {uids}"));
    }

    /// How the mailboxes are when the untouched messages are back: those are 0 to 9 and 80 on.
    fn expected(&self, before: Dump) -> Dump {
        let mut expected = before;
        let untouched = (0..10).chain(80..self.mails.len());
        for number in untouched {
            let id = self.mails[number].id();
            let mut copies = expected.get_mut(AWAY).unwrap().remove(id).unwrap();
            let had = number < 10;
            for flags in &mut copies {
                flags.retain(|flag| {
                    let ours = flag.starts_with("triaged-") || flag == "\\flagged";
                    !ours || (had && flag == "triaged-handled")
                });
            }
            expected.get_mut("INBOX").unwrap().insert(id.to_owned(), copies);
        }
        expected
    }
}

fn a_message_is_taken_back_by_its_number_and_by_its_message_id(mail: &Mailserver) {
    let scene = Scene::handled(mail, 3);
    let daemon = scene.installation.start_ready();
    scene.installation.wait_settled(3);
    let number = scene.installation.history()[0].number.to_string();
    let (code, said) = triaged(&scene.installation, &["undo", "--message", &number]);
    assert!(code == Some(0) && said.contains("1 undone, 0 kept, 0 gone, 0 refused"), "{said}");
    let id = scene.mails[2].id();
    let (code, said) = triaged(&scene.installation, &["undo", "--message", id]);
    assert!(code == Some(0) && said.contains("1 undone"), "{said}");
    let (code, said) = triaged(&scene.installation, &["undo", "--message", "<nobody@nowhere>"]);
    assert!(code == Some(0) && said.contains("nothing of that is on a server"), "{said}");
    let back = scene.anna.find(&scene.mails[2]).expect("it is back");
    assert_eq!(back.keywords(), ["todo", "triaged-handled"].map(str::to_owned).into());
    assert_eq!(dump_of(&scene.anna, AWAY).len(), 1);
    daemon.stop();
}

fn a_rule_is_taken_back_and_the_labels_stay(mail: &Mailserver) {
    let anna = mail.user("anna");
    let tag = "rule = [{ name = \"tag\", then = { keyword = \"triaged-tagged\", flag = true } }]";
    let installation = installation(anna.account().backfill("all"), tag);
    let one = numbered(1);
    anna.append("INBOX", &one, "", None);
    let daemon = installation.start_ready();
    installation.wait_settled(1);
    let record = installation.history().remove(0);
    let rule = |keyword: &str| {
        let of = |effect: &&Done| effect.argument == keyword;
        record.effects.iter().find(of).unwrap_or_else(|| panic!("{record:?}")).rule.as_deref()
    };
    assert_eq!(
        (rule("triaged-tagged"), rule("\\Flagged"), rule(MOOD)),
        (Some("tag"), Some("tag"), None)
    );
    let (code, said) = triaged(&installation, &["undo", "--rule", "tag"]);
    assert!(code == Some(0) && said.contains("1 undone"), "{said}");
    let keywords = anna.find(&one).unwrap().flags;
    let has = |flag: &str| keywords.iter().any(|one| one.eq_ignore_ascii_case(flag));
    assert!(has(MOOD) && !has("triaged-tagged") && !has("\\Flagged"), "{keywords:?}");
    daemon.stop();

    // Shadow mode forbids what nobody asked for, and this was asked for.
    let settings = Settings::shadow().bundle(installation.folder().join("bundle"));
    installation.configure(&settings.with(anna.account()));
    let daemon = installation.start_ready();
    let model = record.model.as_deref().unwrap();
    let (code, said) = triaged(&installation, &["undo", "--model", model, "--account", "anna"]);
    assert!(code == Some(0) && said.contains("1 undone"), "{said}");
    assert_eq!(anna.find(&one).unwrap().flags, BTreeSet::new());
    daemon.stop();
}

/// The daemon has looked the messages up, and the server has not been told anything.
fn what_is_cancelled_while_it_is_looked_at_stays_as_it_is(mail: &Mailserver) {
    let scene = Scene::handled(mail, 3);
    let mut daemon = scene.installation.start_ready();
    scene.installation.wait_settled(3);
    let before = dump(&scene.anna, &ALL);
    scene.proxy.hold("SELECT \"Handled\"");
    triaged(&scene.installation, &["undo", "--since", "1d", "--no-wait"]);
    daemon.wait_until("their mailbox would be opened", |_| scene.proxy.is_holding());
    let (code, said) = triaged(&scene.installation, &["undo", "--cancel"]);
    assert!(code == Some(0) && said.contains("left as they are: 3"), "{said}");
    scene.proxy.let_go();
    let late = numbered(3);
    scene.anna.deliver(&late);
    until("new mail is handled", || scene.anna.find_in(AWAY, &late));
    let mut after = dump(&scene.anna, &ALL);
    after.get_mut(AWAY).unwrap().remove(late.id());
    assert_eq!(after, before);
    let (code, said) = triaged(&scene.installation, &["undo", "--since", "1d"]);
    assert!(code == Some(0) && said.contains("4 undone"), "{said}");
    daemon.stop();
}

/// Between our look and our STORE: UNCHANGEDSINCE leaves the message alone.
fn who_changes_a_message_meanwhile_is_right(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    let installation = installation(anna.account().in_clear(proxy.port()).backfill("all"), "");
    let mails: Vec<Mail> = (0..3).map(numbered).collect();
    let uids: Vec<u32> = mails.iter().map(|one| anna.append("INBOX", one, "", None)).collect();
    let mut daemon = installation.start_ready();
    installation.wait_settled(3);
    proxy.hold("-FLAGS.SILENT");
    let (_, said) = triaged(&installation, &["undo", "--since", "1d", "--no-wait"]);
    daemon.wait_until("it would take them off", |_| proxy.is_holding());
    let mut client = anna.client();
    client.command("SELECT INBOX");
    client.command(&format!("UID STORE {} +FLAGS (triaged-good)", uids[0]));
    client.command(&format!("UID STORE {} +FLAGS (\\Seen)", uids[1]));
    proxy.let_go();
    daemon.wait_until("all has ended", |daemon| {
        daemon.metric("triaged_undo_messages_total", &[]) > 2.5
    });
    let flags = |which: usize| anna.find(&mails[which]).unwrap().flags;
    let kept = ["triaged-good", "triaged-mood-bad", "triaged-size-one"].map(str::to_owned);
    assert_eq!(flags(0), kept.into(), "{said}");
    assert_eq!(flags(1), ["\\Seen".to_owned()].into());
    assert_eq!(flags(2), BTreeSet::new());
    for (result, count) in [("kept", 1.0), ("undone", 2.0)] {
        let counted = daemon.metric("triaged_undo_messages_total", &[("result", result)]);
        assert!((counted - count).abs() < 0.1, "{result}: {counted}");
    }
    daemon.stop();
}

/// Neither its keywords come off nor is it moved elsewhere.
fn what_can_not_go_back_is_refused_as_a_whole(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Desk");
    let account = anna.account().mailboxes(&["INBOX", "Desk"]).backfill("all");
    let installation = installation(account.and("poll_seconds = 1"), HANDLE);
    let one = numbered(1);
    anna.append("Desk", &one, "", None);
    let daemon = installation.start_ready();
    installation.wait_settled(1);
    let before = anna.find_in(AWAY, &one).expect("it was moved");
    anna.client().command(&format!("RENAME {AWAY} Elsewhere"));
    let (code, said) = triaged(&installation, &["undo", "--since", "1d"]);
    let reason = format!("1 refused: there is no mailbox {AWAY:?} any more");
    assert!(code == Some(70) && said.contains(&reason), "{said}");
    anna.client().command(&format!("RENAME Elsewhere {AWAY}"));
    anna.client().command("DELETE Desk");
    let (code, said) = triaged(&installation, &["undo", "--since", "1d"]);
    assert!(code == Some(70) && said.contains("1 refused: it can not go back: "), "{said}");
    assert_eq!(anna.find_in(AWAY, &one), Some(before));
    anna.client().command("CREATE Desk");
    let (code, said) = triaged(&installation, &["undo", "--since", "1d"]);
    assert!(code == Some(0) && said.contains("1 undone"), "{said}");
    assert_eq!(anna.find_in("Desk", &one).expect("it is back").flags, BTreeSet::new());
    // The mailbox was made anew, and nobody takes what came back for new mail.
    let late = numbered(2);
    anna.append("Desk", &late, "", None);
    until("new mail is handled", || anna.find_in(AWAY, &late));
    assert_eq!(anna.find_in("Desk", &one).unwrap().flags, BTreeSet::new());
    daemon.stop();
}

/// Nobody has touched it: it is not gone.
fn what_nobody_knows_the_place_of_is_refused(mail: &Mailserver) {
    let scene = Scene::handled(mail, 1);
    scene.proxy.edit(|line| Edited::Text(line.replace("[COPYUID ", "[X-COPYUID ")));
    let daemon = scene.installation.start_ready();
    scene.installation.wait_settled(1);
    let before = dump(&scene.anna, &ALL);
    let (code, said) = triaged(&scene.installation, &["undo", "--since", "1d", "--dry-run"]);
    assert!(code == Some(0) && said.contains("Handled: 1 go back to INBOX"), "{said}");
    let (code, said) = triaged(&scene.installation, &["undo", "--since", "1d"]);
    let reason = format!("1 refused: the server never said where it is in {AWAY:?}");
    assert!(code == Some(70) && said.contains(&reason), "{said}");
    assert_eq!(dump(&scene.anna, &ALL), before);
    daemon.stop();
}

#[test]
fn what_can_not_be_taken_back_is_refused_or_said() {
    let mail = Mailserver::start(Format::Sdbox);
    let scene = Scene::handled(&mail, 1);
    let refused = |arguments: &[&str], code, why: &str| {
        let (found, said) = triaged(&scene.installation, arguments);
        assert!(found == Some(code) && said.contains(why), "{found:?} {said}");
    };
    let daemon = scene.installation.start_ready();
    scene.installation.wait_settled(1);
    refused(&["undo"], 64, "--message");
    refused(&["undo", "--since", "yesterday"], 64, "is no time");
    refused(&["undo", "--since", "1d", "--account", "bert"], 64, "been watched are anna");
    refused(&["remove-labels"], 64, "--all");
    daemon.stop();
    refused(&["undo", "--since", "1d"], 69, "no daemon works on");
    refused(&["remove-labels", "--all"], 69, "no daemon works on");
}
