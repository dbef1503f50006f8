//! Moves of which a server refuses a part: what came through is moved, what did not stays where it is,
//! and nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{
    Edited, Installation, Mail, Mailserver, Proxy, Settings, Software, on_each_server, until,
};

on_each_server!(
    a_target_that_goes_half_way_keeps_what_came_before,
    what_may_not_be_removed_stays_as_it_was,
);

/// Moves all mail.
const WORK: &str = "rule = [{ name = \"work\", then = { move = \"Work\" } }]";

/// Moves all mail, and makes the mailbox.
const AWAY: &str = "rule = [{ name = \"away\", then = { move = \"Away\", create = true } }]";

/// A copy of all is refused and tried in halves; before the second half the target gets another name.
fn a_target_that_goes_half_way_keeps_what_came_before(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Work");
    let mails = [1, 2, 3, 4].map(numbered);
    let uids = mails.each_ref().map(|one| anna.append("INBOX", one, "", None));
    let proxy = Proxy::to(anna.plain_port());
    proxy.hide("MOVE");
    proxy.hold("UID COPY");
    let plain = Arc::new(AtomicBool::new(true));
    let is_plain = Arc::clone(&plain);
    // The first refusal says nothing about the target.
    proxy.edit(move |line| match line.split_once(" NO [") {
        Some((tag, _)) if is_plain.load(Ordering::SeqCst) => {
            Edited::Text(format!("{tag} NO no\r\n"))
        }
        _ => Edited::Same,
    });
    let account = anna.account().in_clear(proxy.port()).backfill("all");
    let installation = Installation::new(&Settings::label().with(account).and(WORK));
    let mut daemon = installation.start();
    let mut client = anna.client();
    for (copies, from, to) in [(1, "Work", "Away"), (2, "Away", "Work"), (3, "Work", "Away")] {
        daemon.wait_until("the next copy would be made", |_| proxy.held() == copies);
        client.command(&format!("RENAME {from} {to}"));
        plain.store(copies == 1, Ordering::SeqCst);
        proxy.let_one_go();
    }
    proxy.let_go();
    installation.wait_settled(4);
    for (at, (one, uid)) in mails.iter().zip(uids).enumerate() {
        let outcome = installation.wait_recorded(&anna, "INBOX", uid).outcome;
        let (here, there) = (anna.find(one).is_some(), anna.find_in("Away", one).is_some());
        let expected = if at < 2 { ("moved", false, true) } else { ("rejected", true, false) };
        assert_eq!((&*outcome, here, there), expected, "{at}");
    }
    daemon.stop();
}

/// What a person may do in a mailbox (RFC 4314), but for removing mail from it for good.
const ALL_BUT_EXPUNGE: &str = "lrswipkxta";

/// A copy is in the target; nobody may remove the original.
fn what_may_not_be_removed_stays_as_it_was(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.may("INBOX", ALL_BUT_EXPUNGE);
    let one = numbered(1);
    let uid = anna.append("INBOX", &one, "todo", None);
    let proxy = Proxy::to(anna.plain_port());
    proxy.hide("MOVE");
    let account = anna.account().in_clear(proxy.port()).backfill("all");
    let installation = Installation::new(&Settings::label().with(account).and(AWAY));
    let daemon = installation.start_ready();
    assert_eq!(installation.wait_recorded(&anna, "INBOX", uid).outcome, "rejected");
    assert_eq!((anna.client().copies("INBOX", &one), anna.client().copies("Away", &one)), (1, 1));
    assert_eq!(anna.find(&one).unwrap().flags, ["todo".to_owned()].into());
    daemon.stop();
}

/// Takes messages back out of a mailbox from which nothing may be removed, and again when it may. Of one
/// the copy is as it was made; of another a person has removed it meanwhile, of a third marked it as
/// deleted.
#[test]
fn what_was_copied_back_and_not_removed_is_there_once_when_it_is_asked_for_again() {
    let mail = Mailserver::of(Software::Cyrus);
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    proxy.hide("MOVE");
    let account = anna.account().in_clear(proxy.port()).backfill("all").and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account).and(AWAY));
    let mails = [1, 2, 3].map(numbered);
    for one in &mails {
        anna.append("INBOX", one, "todo", None);
    }
    let daemon = installation.start_ready();
    installation.wait_settled(3);
    let count = |mailbox: &str| mails.each_ref().map(|one| anna.client().copies(mailbox, one));
    assert_eq!((count("INBOX"), count("Away")), ([0, 0, 0], [1, 1, 1]));
    let undo = || {
        let output = installation.triaged(&["undo", "--since", "1d"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let mut client = anna.client();
    client.command(&format!("SETACL Away anna {ALL_BUT_EXPUNGE}"));
    let (code, said) = undo();
    assert!(code == Some(70) && said.contains("3 refused: it can not go back: "), "{said}");
    assert_eq!((count("INBOX"), count("Away")), ([1, 1, 1], [1, 1, 1]));
    for one in &mails {
        let flags = anna.find_in("Away", one).unwrap().flags;
        assert_eq!(flags, ["todo".to_owned()].into(), "it is not left marked as deleted");
    }

    client.command("SELECT INBOX");
    let uids = [1, 2].map(|which: usize| anna.find(&mails[which]).unwrap().uid);
    client.command(&format!("UID STORE {},{} +FLAGS (\\Deleted)", uids[0], uids[1]));
    client.command(&format!("UID EXPUNGE {}", uids[0]));
    client.command(&format!("SETACL Away anna {ALL_BUT_EXPUNGE}e"));
    let (code, said) = undo();
    assert!(code == Some(0) && said.contains("3 undone"), "{said}");
    assert_eq!((count("INBOX"), count("Away")), ([1, 1, 2], [0, 0, 0]));
    client.command("EXPUNGE");
    assert_eq!(count("INBOX"), [1, 1, 1]);
    // Nobody takes what came back for new mail.
    let late = numbered(4);
    anna.deliver(&late);
    until("new mail is moved", || anna.find_in("Away", &late));
    assert_eq!(count("INBOX"), [1, 1, 1]);
    daemon.stop();
}

fn numbered(number: usize) -> Mail {
    Mail::raw(format!("From: a@b.example\r\nSubject: mail {number}\r\n\r\nHello, hello.\r\n"))
}
