//! The daemon is killed in the middle of a move: the next one finishes it, and neither doubles nor
//! loses the message.

use crate::harness::{
    Installation, Mail, Mailserver, Proxy, Settings, User, on_each_server, until,
};

on_each_server!(
    a_move_that_was_not_heard_is_made_once,
    what_was_copied_before_the_kill_is_not_copied_again,
    what_was_only_to_be_removed_is_removed,
    an_original_whose_copy_somebody_has_removed_is_not_lost,
    an_original_that_is_marked_and_whose_copy_somebody_has_removed_is_not_lost,
    a_message_by_which_no_copy_can_be_recognised_is_not_copied_again,
);

/// Moves an urgent mail with a daemon that is killed when it would say `words`, and then with another.
/// `hidden`: left out of what the server can do.
fn killed_at(mail: &Mailserver, words: &'static str, hidden: &[&'static str]) {
    killed_and_meanwhile(mail, words, hidden, |_, _| ());
}

/// The same, with what somebody does between the two.
fn killed_and_meanwhile(
    mail: &Mailserver,
    words: &'static str,
    hidden: &[&'static str],
    meanwhile: impl FnOnce(&User, &Mail),
) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Urgent");
    let proxy = Proxy::to(anna.plain_port());
    // Where there are no keywords, urgent mail is moved.
    for word in [&["\\*"], hidden].concat() {
        proxy.hide(word);
    }
    let account = anna.account().in_clear(proxy.port());
    let account = account.and("without_keywords = \"mailbox\"\nurgent_mailbox = \"Urgent\"");
    let installation = Installation::new(&Settings::label().with(account));
    let planted = Mail::newsletter();
    anna.append("INBOX", &planted, "\\Deleted", None);

    let mut daemon = installation.start_ready();
    proxy.swallow_from(words);
    let urgent = Mail::outage();
    let uid = anna.append("INBOX", &urgent, "", None);
    daemon.wait_until("it would say that", |_| proxy.is_swallowing());
    daemon.kill();
    proxy.cut();
    proxy.pass();
    assert!(anna.find(&urgent).is_some(), "the original is still there");
    let copied = anna.client().copies("Urgent", &urgent);
    assert_eq!(copied, usize::from(words != "UID MOVE"));
    meanwhile(&anna, &urgent);

    let daemon = installation.start_ready();
    assert_eq!(installation.wait_recorded(&anna, "INBOX", uid).outcome, "moved");
    until("it is not here any more", || anna.find(&urgent).is_none().then_some(()));
    assert_eq!(anna.client().copies("Urgent", &urgent), 1);
    assert!(anna.find_in("Urgent", &urgent).unwrap().flags.is_empty());
    assert!(anna.find(&planted).is_some(), "what others have marked as deleted stays");
    daemon.stop();
}

fn a_move_that_was_not_heard_is_made_once(mail: &Mailserver) {
    killed_at(mail, "UID MOVE", &[]);
}

fn what_was_copied_before_the_kill_is_not_copied_again(mail: &Mailserver) {
    // The copy is made; the original is not marked yet.
    killed_at(mail, "UID STORE", &["MOVE"]);
}

fn what_was_only_to_be_removed_is_removed(mail: &Mailserver) {
    // The original is marked as deleted already.
    killed_at(mail, "UID EXPUNGE", &["MOVE"]);
}

/// Who sees a mail twice may remove one of them.
fn remove_the_copy(anna: &User, mail: &Mail) {
    let mut client = anna.client();
    client.command("SELECT Urgent");
    let found = client.command(&format!("UID SEARCH HEADER Message-ID \"{}\"", mail.id()));
    let uid = found.iter().find_map(|line| line.strip_prefix("* SEARCH ")).unwrap();
    client.command(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
    client.command("EXPUNGE");
    assert_eq!(anna.client().copies("Urgent", mail), 0);
}

fn an_original_whose_copy_somebody_has_removed_is_not_lost(mail: &Mailserver) {
    killed_and_meanwhile(mail, "UID STORE", &["MOVE"], remove_the_copy);
}

fn an_original_that_is_marked_and_whose_copy_somebody_has_removed_is_not_lost(mail: &Mailserver) {
    killed_and_meanwhile(mail, "UID EXPUNGE", &["MOVE"], remove_the_copy);
}

/// It has no header: of its copy is known what the server said, and that is relied on.
fn a_message_by_which_no_copy_can_be_recognised_is_not_copied_again(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.client().command("CREATE Urgent");
    let proxy = Proxy::to(anna.plain_port());
    proxy.hide("MOVE");
    let rule = "rule = [{ name = \"all\", when = { mailboxes = [\"INBOX\"] }, \
                then = { move = \"Urgent\" } }]";
    let settings = Settings::label().with(anna.account().in_clear(proxy.port())).and(rule);
    let installation = Installation::new(&settings);
    let mut daemon = installation.start_ready();
    proxy.swallow_from("UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    anna.append("INBOX", &Mail::verbatim("\r\nIt is urgent.\r\n"), "", None);
    daemon.wait_until("it would remove the original", |_| proxy.is_swallowing());
    daemon.kill();
    proxy.cut();
    proxy.pass();
    let daemon = installation.start_ready();
    until("it is not here any more", || {
        anna.client().command("STATUS INBOX (MESSAGES)")[0].contains("MESSAGES 0").then_some(())
    });
    let there = anna.client().command("STATUS Urgent (MESSAGES)");
    assert!(there[0].contains("MESSAGES 1"), "{there:?}");
    daemon.stop();
}
