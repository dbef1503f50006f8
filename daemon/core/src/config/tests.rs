//! The configuration as an administrator meets it: what is accepted, and what is said of the rest.

mod alerts;
mod database;
mod rules;
mod sample;
mod servers;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::decision::Target;
use crate::label::{Head, Keyword, Label};
use crate::rule::When;
use crate::sync::Backfill;

const SMALLEST: &str = r#"
[[account]]
name = "work"
host = "imap.example.org"
user = "me@example.org"
password_file = "secret"
"#;

const SAMPLE: &str = include_str!("../../../../systemd/triaged.toml");

fn heads() -> Vec<Head> {
    let head = |name: &str, labels: &[(&str, Option<&str>)]| Head {
        name: name.to_owned(),
        labels: labels
            .iter()
            .map(|(name, keyword)| Label {
                name: (*name).to_owned(),
                keyword: keyword.map(str::to_owned),
            })
            .collect(),
    };
    let categories = [
        "billing",
        "support",
        "account",
        "order",
        "sales",
        "feedback",
        "meeting",
        "work",
        "personal",
        "notification",
        "newsletter",
        "spam",
    ];
    vec![
        head(
            "sentiment",
            &[("negative", Some("negative")), ("neutral", None), ("positive", Some("positive"))],
        ),
        head("urgency", &[("high", Some("urgent")), ("normal", None), ("low", None)]),
        head("category", &categories.map(|name| (name, Some(name)))),
    ]
}

fn keywords(lines: &str) -> Result<Vec<String>, String> {
    let config = parse(&format!("[keywords]\n{lines}\n{SMALLEST}")).expect("valid");
    let map = keyword_map(&config.keywords, &heads()).map_err(|problems| problems.to_string())?;
    Ok(map.all().map(|keyword| keyword.as_str().to_owned()).collect())
}

#[test]
fn the_smallest_file_gets_safe_defaults() {
    let config = parse(SMALLEST).expect("valid");
    assert_eq!(config.mode, Mode::Shadow);
    assert_eq!(config.history_text, HistoryText::None);
    assert_eq!(config.state, Path::new("/var/lib/triaged"));
    assert!(config.http.listen.ip().is_loopback());
    assert_eq!(config.keywords.unreadable().as_str(), "triaged-unreadable");
    let [work] = config.accounts.as_slice() else { panic!("one account") };
    assert_eq!((work.port, work.tls, work.mode), (993, Tls::Implicit, Mode::Shadow));
    assert_eq!((work.mailboxes.only(), work.backfill), (Some("INBOX"), Backfill::None));
    assert_eq!((work.poll, work.daily_mebibytes), (Duration::from_mins(1), None));
}

#[test]
fn an_account_may_differ_in_mode_and_everything_else() {
    let config = parse(
        r#"
mode = "label"
[[account]]
name = "here"
host = "::1"
tls = "none"
user = "me"
password_credential = "here"
mailboxes = ["Inbox", "Entwürfe"]
backfill = "7d"
mode = "shadow"
poll_seconds = 5
daily_mebibytes = 0
"#,
    )
    .expect("valid");
    let [here] = config.accounts.as_slice() else { panic!("one account") };
    assert_eq!((here.port, here.tls, here.mode), (143, Tls::None, Mode::Shadow));
    let credential = SecretSource::Credential("here".to_owned());
    assert_eq!(here.credential, Credential::Password(credential));
    assert_eq!((here.mailboxes.names().count(), here.backfill), (2, Backfill::Days(7)));
    assert_eq!(here.daily_mebibytes, Some(0));
}

#[test]
fn what_is_done_without_keywords_is_said_or_it_is_asked_for() {
    let read = |lines: &str| {
        parse(&format!("{SMALLEST}{lines}"))
            .map(|config| config.accounts[0].without_keywords.clone())
            .map_err(|problems| problems.to_string())
    };
    let label = |head: &str, label: &str| (head.to_owned(), label.to_owned());
    assert_eq!(read(""), Ok(WithoutKeywords::Report));
    let urgent = vec![label("urgency", "high")];
    assert_eq!(read("without_keywords = \"flag\""), Ok(WithoutKeywords::Flag(urgent)));
    let spam = read(
        "without_keywords = \"mailbox\"\nurgent_labels = [\"category.spam\"]\n\
         urgent_mailbox = \"Later\"",
    );
    let later = Target::existing("Later");
    assert_eq!(spam, Ok(WithoutKeywords::Mailbox(vec![label("category", "spam")], later)));
    for (lines, said) in [
        ("without_keywords = \"star\"", "write \"report\", \"flag\" or \"mailbox\""),
        ("without_keywords = \"mailbox\"", "there is no urgent_mailbox"),
        ("without_keywords = \"flag\"\nurgent_labels = [\"high\"]", "\"high\" names no label"),
        ("without_keywords = \"mailbox\"\nurgent_mailbox = \"*\"", "is no mailbox name"),
    ] {
        let problems = read(lines).expect_err("it can not be");
        assert!(problems.contains(said), "{lines}: {problems}");
    }
}

#[test]
fn a_connection_may_begin_in_clear_and_a_key_may_be_pinned() {
    let account = |lines: &str| {
        let text = SMALLEST.replace("imap.example.org", "localhost");
        parse(&format!("{text}{lines}")).map(|config| config.accounts[0].clone())
    };
    let work = account("tls = \"starttls\"").expect("valid");
    assert_eq!((work.tls, work.port, work.pinned_key), (Tls::StartTls, 143, None));
    let pin = "pinned_key = \"sha256//AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";
    assert!(account(pin).expect("valid").pinned_key.is_some());
    let useless = account(&format!("tls = \"none\"\n{pin}")).expect_err("no key without TLS");
    assert!(useless.to_string().contains("pinned_key: has no use without TLS"), "{useless}");
}

const OAUTH: &str = r#"
[account.oauth]
token_url = "https://login.example.org/token"
client_id = "triaged"
refresh_token_file = "refresh"
"#;

#[test]
fn an_account_may_have_tokens_in_place_of_a_password() {
    let smallest = SMALLEST.replace("password_file = \"secret\"", "");
    let account = |lines: &str| {
        let config = parse(&format!("{smallest}{lines}")).map_err(|error| error.to_string())?;
        Ok::<_, String>(config.relative_to(Path::new("/etc")).accounts[0].clone())
    };
    let Credential::OAuth(oauth) = account(OAUTH).expect("valid").credential else {
        panic!("tokens")
    };
    assert_eq!(oauth.refresh_token, Path::new("/etc/refresh"));
    let command = "token_command = [\"/usr/bin/token\", \"me\"]\nauth = \"xoauth2\"";
    let command = account(command).expect("valid");
    assert_eq!(command.auth, Some(Mechanism::XOAuth2));
    assert!(command.credential.is_token());
    for here in ["http://127.0.0.1:80/token", "http://[::1]/token", "https://a.example"] {
        account(&OAUTH.replace("https://login.example.org/token", here)).expect("valid");
    }
}

#[test]
fn a_login_that_can_not_be_is_said() {
    let smallest = SMALLEST.replace("password_file = \"secret\"", "");
    let said = |lines: &str| parse(&format!("{smallest}{lines}")).expect_err("wrong").to_string();
    let cases = [
        ("token_command = [\"token\"]", "does not begin with a path from /"),
        ("token_command = []", "does not begin with a path from /"),
        ("token_command = [\"/t\"]\nauth = \"plain\"", "carries a password"),
        ("password_file = \"p\"\nauth = \"xoauth2\"", "carries a token"),
        ("password_file = \"p\"\nauth = \"cram-md5\"", "none of \"plain\", \"login\""),
        ("password_file = \"p\"\nauth = \"login\"\nauthorize_as = \"b\"", "can not be said"),
        (
            "password_file = \"p\"\ntoken_command = [\"/t\"]",
            "has both password_file and token_command",
        ),
        ("password_file = \"p\"\nauthorize_as = \"\"", "no user name"),
    ];
    for (lines, words) in cases {
        assert!(said(lines).contains(words), "{lines}: {}", said(lines));
    }
    let urls = [
        "http://login.example.org/",
        "ftp://h/",
        "login.example.org",
        "https://u:hunter2@h/",
        "https:///x",
    ];
    for url in urls {
        let said = said(&OAUTH.replace("https://login.example.org/token", url));
        assert!(said.contains("oauth.token_url"), "{said}");
    }
    let inline = said(&format!("{OAUTH}client_secret = \"hunter2\"\nrefresh_token = \"hunter2\""));
    assert!(inline.contains("client_secret_file") && !inline.contains("hunter2"), "{inline}");
}

#[test]
fn relative_paths_are_taken_from_the_files_folder() {
    let config = parse(&format!("state = \"var\"\n{SMALLEST}")).expect("valid");
    let config = config.relative_to(Path::new("/etc/triaged"));
    assert_eq!(config.state, Path::new("/etc/triaged/var"));
    assert_eq!(config.model.bundle, None);
    let password = Credential::Password(SecretSource::File("/etc/triaged/secret".into()));
    assert_eq!(config.accounts[0].credential, password);
}

#[test]
fn every_mistake_is_reported_at_once_with_line_path_and_what_to_do() {
    let text = include_str!("tests/mistakes.toml");
    let problems = parse(text).expect_err("wrong").in_file("triaged.toml").to_string();
    assert!(!problems.contains("hunter2"), "a password is never repeated");
    let expected = include_str!("tests/mistakes.txt");
    assert_eq!(problems, expected.trim_end(), "as it is now:\n{problems}");
}

#[test]
fn a_label_of_another_version_of_the_model_may_be_named_and_one_of_none_may_not() {
    let of_two = "labels = { \"category.harbour\" = \"quay\" }";
    let config = parse(&format!("[keywords]\n{of_two}\n{SMALLEST}")).expect("valid");
    let mut others = heads();
    others[2].labels.push(Label { name: "harbour".into(), keyword: None });
    let map = keyword_map_among(&config.keywords, &heads(), &others).expect("valid");
    assert_eq!(
        map,
        keyword_map(&parse(SMALLEST).expect("valid").keywords, &heads()).expect("valid")
    );
    let problems = keyword_map(&config.keywords, &heads()).expect_err("nobody has it").to_string();
    assert!(problems.contains("the model has no such label"), "{problems}");
}

#[test]
fn the_manifest_gives_fifteen_keywords_and_the_file_changes_them() {
    let defaults = keywords("").expect("valid");
    assert_eq!(defaults.len(), 15);
    assert!(defaults.contains(&"triaged-urgent".to_owned()));
    assert!(defaults.iter().all(|keyword| keyword.starts_with("triaged-")));
    let changed = keywords(
        "prefix = \"ai.\"\nlabels = { urgency.high = \"Now\", \"category.spam\" = false }",
    );
    let changed = changed.expect("valid");
    assert!(changed.contains(&"Now".to_owned()) && changed.contains(&"ai.billing".to_owned()));
    assert!(!changed.iter().any(|keyword| keyword.contains("spam")));
}

#[test]
fn keywords_are_compared_with_the_labels_of_the_model() {
    assert_eq!(
        keywords(
            "[keywords.labels]\n\"urgency.hihg\" = false\n\"urgency.high\" = \"TRIAGED-SPAM\""
        )
        .expect_err("wrong"),
        "line 3: keywords.labels.\"urgency.hihg\": the model has no such label (did you mean \
         \"urgency.high\"?)\n\
         line 4: keywords.labels.\"urgency.high\": \"TRIAGED-SPAM\" stands for category.spam \
         already (choose another name, or false to turn it off)"
    );
    let mut heads = heads();
    heads[2].labels.extend(
        (1..=6).map(|at| Label { name: format!("own-{at}"), keyword: Some(format!("own-{at}")) }),
    );
    let config = parse(&format!("[keywords]\n{SMALLEST}")).expect("valid");
    assert_eq!(
        keyword_map(&config.keywords, &heads).expect_err("too many").to_string(),
        "line 1: keywords: 21 labels write a keyword, more than 20 (turn some off, like \
         \"category.personal\" = false: servers keep few keywords)"
    );
}

#[test]
fn a_mailbox_is_watched_by_one_account_only() {
    let twice = format!("{SMALLEST}{}", SMALLEST.replace("\"work\"", "\"again\""));
    assert_eq!(
        parse(&twice).expect_err("wrong").to_string(),
        "line 8: account[1].mailboxes: account \"work\" watches \"INBOX\" of this user already \
         (watch each mailbox in one account)"
    );
}

#[test]
fn mailboxes_are_chosen_by_name_pattern_and_use() {
    let account = |lines: &str| {
        parse(&format!("{SMALLEST}{lines}"))
            .map(|config| config.accounts[0].mailboxes.clone())
            .map_err(|problems| problems.to_string())
    };
    let wide = account(
        "mailboxes = [\"Work\", \"Lists/*\", '\\archive']\nexcept_mailboxes = [\"Lists/x\"]",
    );
    let wide = wide.expect("valid");
    assert_eq!(wide.names().collect::<Vec<_>>(), ["Work"]);
    assert_eq!(wide.patterns().collect::<Vec<_>>(), ["Lists/*"]);
    assert!(wide.uses().count() == 1 && wide.may_have("Lists/y") && wide.is_open());
    let wrong = account("mailboxes = [\"Work\"]\nexcept_mailboxes = [\"work\", \"Work\", '\\Jnk']");
    assert_eq!(
        wrong.expect_err("wrong"),
        "line 8: account[0].except_mailboxes[0]: leaves nothing out: `mailboxes` has names only (it is for \
         patterns, like mailboxes = [\"INBOX\", \"Lists/*\"])\n\
         line 8: account[0].except_mailboxes[1]: \"Work\" is in `mailboxes`, too (take it out of one of the \
         two)\n\
         line 8: account[0].except_mailboxes[2]: \"\\\\Jnk\" is nothing that a mailbox can be for (did you mean \
         \"\\\\Junk\"?)"
    );
}

#[test]
fn what_is_no_configuration_at_all_is_said_clearly() {
    let files: [&[u8]; 6] = [
        b"mode = \"shadow\"\nstate = /var\n[log\n",
        b"mode = \"label\"\nmode = \"label\"\n",
        b"mode = \"shadow\"\n\xff\xfe",
        b"\0\x01",
        b"",
        b"[account]\nname = \"a\"\n",
    ];
    let said = files.map(|file| parse_bytes(file).expect_err("wrong").to_string()).join("\n--\n");
    let expected = "\
line 2: column 9: string values must be quoted, expected literal string (the form is explained at https://toml.io)
line 3: column 5: unclosed table, expected `]` (the form is explained at https://toml.io)
--
line 2: column 1: duplicate key (the form is explained at https://toml.io)
--
line 2: byte 17 is not UTF-8 text (is this the right file? It must be a TOML file in UTF-8)
--
line 1: column 1: invalid unquoted key, expected letters, numbers, `-`, `_` (the form is explained at https://toml.io)
line 1: column 3: key with no value, expected `=` (the form is explained at https://toml.io)
--
line 1: no account: there is nothing to watch (add an [[account]] with name, host, user and password_file, or a [[server]] whose users are watched)
--
line 1: account: expected a list of tables, found a table (write [[account]], with two brackets, above each one)";
    assert_eq!(said, expected, "as it is now:\n{said}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_bytes(&bytes);
    }

    #[test]
    fn a_damaged_sample_is_refused_or_read_and_never_panics(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\"\\[\\]=.#\na-z0-9\\\\$é]{0,4}"), 1..6)
    ) {
        let mut text: Vec<char> = SAMPLE.chars().collect();
        for (from, to, insert) in cuts {
            let from = from.index(text.len() + 1);
            let to = (from + to.index(8)).min(text.len());
            text.splice(from..to, insert.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = parse(&text) {
            let lines = text.lines().count().max(1) + 1;
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| (1..=lines).contains(&problem.place.line)));
        }
    }
}
