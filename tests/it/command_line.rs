//! The sub-commands beside `run`: what they read, what they print.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Format, Installation, Mail, Mailserver, Settings, on_each_format, until};

on_each_format!(check_online_says_whether_keywords_can_be_stored);

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes one mail as .eml, two as mbox and three as Maildir, and returns their paths.
fn mails_in_files(installation: &Installation) -> Vec<String> {
    let path = |name: &str| installation.folder().join(name);
    fs::write(path("one.eml"), Mail::outage().bytes()).unwrap();
    let separator = b"From marta@example.org Mon Nov 16 09:12:00 2026\n".as_slice();
    let (first, second) = (Mail::newsletter(), Mail::invoice_question());
    let mbox = [separator, first.bytes(), b"\n", separator, second.bytes()].concat();
    fs::write(path("two.mbox"), mbox).unwrap();
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(path("Maildir").join(folder)).unwrap();
    }
    for (name, mail) in [("cur/1:2,S", Mail::outage()), ("cur/2:2,", Mail::newsletter())] {
        fs::write(path("Maildir").join(name), mail.bytes()).unwrap();
    }
    fs::write(path("Maildir/new/3"), Mail::invoice_question().bytes()).unwrap();
    ["one.eml", "two.mbox", "Maildir"].map(|name| path(name).to_str().unwrap().to_owned()).into()
}

#[test]
fn classify_prints_one_object_for_each_message_of_each_kind_of_file() {
    let installation = Installation::new(&Settings::label().with_nobody());
    let files = mails_in_files(&installation);
    let arguments: Vec<&str> =
        ["classify", "--json"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let objects = json_lines(&installation.triaged(&arguments));
    assert_eq!(objects.len(), 6);
    for object in &objects {
        assert!(object["file"].is_string() && object["model"].is_string(), "{object}");
        assert!(object["defects"].is_array(), "{object}");
        for head in ["sentiment", "urgency", "category"] {
            assert_most_probable(&object[head]);
        }
    }
    let answers: Vec<Value> = objects.iter().map(|object| object["urgency"].clone()).collect();
    assert_eq!(answers[0], answers[3], "the same mail gets the same scores wherever it lies");
}

/// `label` is the most probable label, and `confidence` its score.
fn assert_most_probable(answer: &Value) {
    let scores = answer["scores"].as_object().unwrap();
    let score = |label: &str| scores[label].as_f64().unwrap();
    let best = scores.keys().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
    assert_eq!(answer["label"], Value::from(best.as_str()));
    assert!((answer["confidence"].as_f64().unwrap() - score(best)).abs() < 1e-6, "{answer}");
    assert!(answer["abstained"].is_boolean(), "{answer}");
    assert!((scores.keys().map(|label| score(label)).sum::<f64>() - 1.0).abs() < 1e-3, "{answer}");
}

#[test]
fn classify_reads_standard_input() {
    let installation = Installation::new(&Settings::label().with_nobody());
    let mut child = Command::new(env!("CARGO_BIN_EXE_triaged"))
        .arg("--config")
        .arg(installation.config())
        .args(["classify", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(Mail::outage().bytes()).unwrap();
    let objects = json_lines(&child.wait_with_output().unwrap());
    assert_eq!(objects.len(), 1);
    assert_most_probable(&objects[0]["urgency"]);
}

#[test]
fn classify_names_a_file_that_is_not_there_and_goes_on() {
    let installation = Installation::new(&Settings::label().with_nobody());
    let files = mails_in_files(&installation);
    let output = installation.triaged(&["classify", "--json", "/nowhere.eml", &files[0]]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere.eml"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn render_prints_the_text_that_the_model_reads() {
    let installation = Installation::new(&Settings::label().with_nobody());
    let reply = Mail::new(
        "Marta Lindqvist <marta@northwind-foods.example>",
        "Re: Order",
        "Thursday suits us.\n\nOn Mon, 16 Nov 2026, Anna wrote:\n> Which day suits you?\n",
    );
    let path = installation.folder().join("reply.eml");
    fs::write(&path, reply.bytes()).unwrap();
    let objects = json_lines(&installation.triaged(&["render", "--json", path.to_str().unwrap()]));
    let text = objects[0]["text"].as_str().unwrap();
    let expected = "From: Marta Lindqvist @ northwind-foods.example\nSubject: Re: Order\n\n\
                    Thursday suits us.";
    assert_eq!(text.trim_end(), expected);

    let path = installation.folder().join("mails.jsonl");
    fs::write(&path, r#"{"body": "Thursday suits us.", "text": "x", "words": 9, "id": "a"}"#)
        .unwrap();
    let objects = json_lines(&installation.triaged(&["render", "--json", path.to_str().unwrap()]));
    let found = ["text", "words", "id"].map(|name| objects[0][name].clone());
    assert_eq!(
        found,
        [json!("Thursday suits us."), json!(3), json!("a")],
        "no field hides another"
    );
}

#[test]
fn model_show_names_version_heads_and_labels() {
    let installation = Installation::new(&Settings::label().with_nobody());
    let output = installation.triaged(&["model", "show"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for word in ["default", "sentiment", "urgency", "category", "newsletter"] {
        assert!(printed.contains(word), "{word} is missing: {printed}");
    }
}

#[test]
fn history_tells_subjects_only_when_asked_and_what_came_since() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let outage = Mail::outage();
    let subject = "Production is down, checkout fails for all customers";
    for (text, told) in [("none", false), ("subject", true)] {
        let settings =
            Settings::shadow().and(&format!("history_text = {text:?}")).with(anna.account());
        let installation = Installation::new(&settings);
        let daemon = installation.start_ready();
        anna.deliver(&outage);
        // The second installation meets a second copy, and leaves the first one alone.
        until("it is decided", || (!installation.history().is_empty()).then_some(()));
        daemon.stop();

        for arguments in [&["history"][..], &["history", "--json"]] {
            let printed = installation.triaged(arguments).stdout;
            let printed = String::from_utf8(printed).unwrap();
            assert!(printed.contains("anna"), "{printed}");
            assert_eq!(printed.contains(subject), told, "{printed}");
            assert!(!printed.contains("lindqvist"), "no sender, ever");
        }
        let files = fs::read_dir(installation.state()).unwrap().map(|entry| entry.unwrap().path());
        let database = files
            .filter(|path| path.is_file())
            .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        assert_eq!(database.collect::<String>().contains(subject), told, "in the database");
        assert_eq!(
            json_lines(&installation.triaged(&["history", "--json", "--since", "1h"])).len(),
            1
        );
        let since = ["history", "--json", "--since", "2100-01-01"];
        assert!(json_lines(&installation.triaged(&since)).is_empty());
    }
}

fn check_online_says_whether_keywords_can_be_stored(mail: &Mailserver) {
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let check = || {
        let output = installation.triaged(&["check", "--online"]);
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, printed) = check();
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("INBOX"), "{printed}");
    assert!(!printed.contains("read-only"), "{printed}");
    anna.may_only_read();
    let (_, printed) = check();
    assert!(printed.contains("read-only"), "{printed}");
}
