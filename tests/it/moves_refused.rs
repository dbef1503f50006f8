//! Moves of which a server refuses a part: what came through is moved, what did not stays where it is,
//! and nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Edited, Installation, Mail, Mailserver, Proxy, Settings, on_each_server};

on_each_server!(a_target_that_goes_half_way_keeps_what_came_before);

/// Moves all mail.
const WORK: &str = "rule = [{ name = \"work\", then = { move = \"Work\" } }]";

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

fn numbered(number: usize) -> Mail {
    Mail::raw(format!("From: a@b.example\r\nSubject: mail {number}\r\n\r\nHello, hello.\r\n"))
}
