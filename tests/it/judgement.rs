//! What the default model must judge and what it must leave alone, on mails written for this:
//! other languages, near-empty mails, English that looks foreign, an urgent sentence at the end of
//! five thousand words. Through `triaged classify`, as a person would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

fn top() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn fixture(name: &str) -> PathBuf {
    top().join("tests/fixtures/judge").join(name)
}

fn rows(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(fixture(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The default bundle, which says what it was made for.
fn bundle(folder: &Path) -> PathBuf {
    let bundle = folder.join("bundle");
    fs::create_dir(&bundle).unwrap();
    for entry in fs::read_dir(top().join("models/default")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), bundle.join(entry.file_name())).unwrap();
    }
    let manifest = bundle.join("manifest.json");
    let mut content: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    content["languages"] = json!(["en"]);
    content["least_words"] = json!(3);
    fs::write(manifest, content.to_string()).unwrap();
    bundle
}

/// What `triaged classify --json` says of each mail of a file.
fn classified(file: &Path) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_triaged"));
    command.args(["classify", "--json", "--bundle"]).arg(bundle(folder.path())).arg(file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Why all heads abstain for the same reason, which is then a reason of the mail.
fn reason(answer: &Value) -> Option<&str> {
    let reasons = ["sentiment", "urgency", "category"].map(|head| answer[head]["reason"].as_str());
    reasons[0].filter(|reason| *reason != "unsure" && reasons.iter().all(|one| *one == reasons[0]))
}

/// The mails of a file that are left alone for this reason, by their place.
fn left_alone(name: &str, expected: &str) -> Vec<bool> {
    let answers = classified(&fixture(name));
    answers.iter().map(|answer| reason(answer) == Some(expected)).collect()
}

/// As people read it: which mails have `flag`.
fn places(flags: &[bool], flag: bool) -> Vec<usize> {
    (1..).zip(flags).filter(|(_, one)| **one == flag).map(|(place, _)| place).collect()
}

#[test]
fn mail_in_other_languages_is_left_alone() {
    let found = left_alone("foreign.jsonl", "language");
    assert_eq!(found.len(), 50);
    let judged = places(&found, false);
    assert!(judged.len() <= 5, "judged although foreign: {judged:?}");
}

#[test]
fn near_empty_mail_is_left_alone() {
    let found = left_alone("near_empty.jsonl", "too-little-text");
    assert_eq!(found.len(), 20);
    let judged = places(&found, false);
    assert!(judged.len() <= 2, "judged although near-empty: {judged:?}");
}

/// Names, codes, tables, links, dialect, capitals, a quoted German paragraph, four words.
#[test]
fn english_mail_is_judged_however_foreign_it_looks() {
    let found = left_alone("english.jsonl", "language");
    assert_eq!(found.len(), 30);
    assert_eq!(places(&found, true), [0; 0]);
}

/// The long mails: 61 paragraphs of calm talk, each mail in an order of its own, and the urgent
/// sentence of the case between them and the usual closing.
fn long_mails(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(fixture("long/paragraphs.json")).unwrap();
    let paragraphs: Vec<String> = serde_json::from_str(&text).unwrap();
    let cases = rows("long/cases.jsonl");
    let path = folder.join("long.jsonl");
    let lines = cases.iter().enumerate().map(|(place, case)| {
        let part = |name: &str| case[name].as_str().unwrap().to_owned();
        // 61 is prime, so every step visits each paragraph once.
        let order =
            (0..paragraphs.len()).map(|at| (place * 3 + at * (place + 1)) % paragraphs.len());
        let talk = order.map(|at| paragraphs[at].clone());
        let body: Vec<_> = [part("opening")]
            .into_iter()
            .chain(talk)
            .chain([part("ending"), part("sign_off")])
            .collect();
        let body = body.join("\n\n");
        assert!(body.split_whitespace().count() > 5_000);
        json!({ "id": case["id"], "from": case["from"], "subject": case["subject"], "body": body })
            .to_string()
    });
    fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    path
}

#[test]
fn an_urgent_sentence_at_the_end_of_five_thousand_words_is_found() {
    let folder = TempDir::new().unwrap();
    let answers = classified(&long_mails(folder.path()));
    assert_eq!(answers.len(), 20);
    let found: Vec<_> = answers
        .iter()
        .map(|answer| {
            answer["urgency"]["label"] == "high" && answer["urgency"]["abstained"] == false
        })
        .collect();
    let missed = places(&found, false);
    assert!(missed.len() <= 2, "not seen as urgent: {missed:?}");
}
