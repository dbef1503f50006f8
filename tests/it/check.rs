//! What `triaged check --online` says of a server, beyond the exit codes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Format, Installation, Mail, Mailserver, Settings};

/// Exit code and lines of `check --online`, with a small bundle that has two heads.
fn checked(settings: Settings) -> (i32, String) {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/bundles/good");
    online(&Installation::new(&settings.bundle(bundle)))
}

fn online(installation: &Installation) -> (i32, String) {
    let output = installation.triaged(&["check", "--online"]);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn says(text: &str, standing: &str, words: &[&str]) {
    let found = text
        .lines()
        .any(|line| line.starts_with(standing) && words.iter().all(|word| line.contains(word)));
    assert!(found, "no line {standing:?} with {words:?} in:\n{text}");
}

#[test]
fn a_good_account_is_shown_with_what_its_server_can_do_and_the_room_for_keywords() {
    let mail = Mailserver::start(Format::Maildir);
    let anna = mail.user("anna");
    anna.append("INBOX", &Mail::outage(), "Later $Forwarded", None);
    let (code, text) = checked(Settings::label().with(anna.account()));
    assert_eq!(code, 0, "{text}");
    says(&text, "ok", &["model", "fixture-7"]);
    says(&text, "ok", &["library"]);
    says(&text, "ok", &["stored", "no text, no subject, no address"]);
    says(&text, "ok", &["anna", "IDLE", "CONDSTORE", "UIDPLUS"]);
    says(&text, "ok", &["anna INBOX", "1 mail;", "2 of others and 3 of ours make 5"]);
    assert!(text.ends_with("All is well.\n") && !text.contains('\u{1b}'), "{text}");
    let nothing_written = anna.client().command("SELECT INBOX");
    assert!(!nothing_written.concat().contains("triaged-"), "{nothing_written:?}");
}

#[test]
fn a_mailbox_with_nearly_all_keywords_of_a_maildir_is_a_warning() {
    let mail = Mailserver::start(Format::Maildir);
    let anna = mail.user("anna");
    let many: Vec<String> = (0..25).map(|n| format!("k{n}")).collect();
    anna.append("INBOX", &Mail::outage(), &many.join(" "), None);
    let (code, text) = checked(Settings::label().with(anna.account()));
    assert_eq!(code, 0, "{text}");
    says(&text, "warn", &["anna INBOX", "make 28", "26"]);
}

#[test]
fn what_keeps_a_mailbox_from_its_labels_fails_in_label_mode_and_warns_in_shadow() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    anna.may_only_read();
    let (code, text) = checked(Settings::label().with(anna.account()));
    assert_eq!(code, 78, "{text}");
    says(&text, "FAIL", &["anna INBOX", "read-only"]);
    let (code, text) = checked(Settings::shadow().with(anna.account()));
    assert_eq!(code, 0, "{text}");
    says(&text, "warn", &["anna INBOX", "read-only"]);
}

#[test]
fn every_account_is_asked_and_the_worst_decides() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let settings = Settings::label()
        .with(anna.account().mailboxes(&["Nowhere", "INBOX"]))
        .with(bert.account().password("hunter2"));
    let (code, text) = checked(settings);
    assert_eq!(code, 78, "{text}");
    says(&text, "FAIL", &["anna Nowhere", "`mailboxes`"]);
    says(&text, "ok", &["anna INBOX"]);
    says(&text, "FAIL", &["bert", "refused the login"]);
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_password_file_that_everybody_can_read_is_refused() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let settings = Settings::label().with(anna.account());
    let installation = Installation::new(&settings);
    let secrets = installation.folder().join("secrets");
    let file = settings.accounts().first().unwrap().password_file(&secrets);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, text) = online(&installation);
    assert_eq!(code, 78, "{text}");
    says(&text, "FAIL", &["password", "every user of this machine", "chmod 600"]);
    says(&text, "warn", &["anna", "is not asked"]);
}
