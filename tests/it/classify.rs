//! `triaged classify` and `triaged model show`, and the scores of the default bundle.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use triaged::mailfile;
use triaged::model::{Classifier, ModelBundle, ModelOptions};
use triaged_core::document::render;
use triaged_core::score::Prediction;

use crate::bundles::fixtures;

/// Of the repository's top.
fn top() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn triaged(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triaged"));
    command.args(arguments).arg("--bundle").arg(fixtures().join("good"));
    command
}

/// A file of JSON lines whose bodies are these.
fn mails(folder: &Path, bodies: &[&str]) -> PathBuf {
    let path = folder.join("mails.jsonl");
    let line = |body: &&str| {
        serde_json::json!({ "from": "", "subject": "", "body": body }).to_string() + "\n"
    };
    fs::write(&path, bodies.iter().map(line).collect::<String>()).unwrap();
    path
}

/// Standard output, with the folder's name left out.
fn printed(output: &Output, folder: &Path) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn people_get_one_row_a_message() {
    let folder = TempDir::new().unwrap();
    let file = mails(folder.path(), &["good good", "bad", "bad good", ""]);
    let output = triaged(&["classify"]).arg(file).output().unwrap();
    assert!(output.status.success());
    insta::assert_snapshot!(printed(&output, folder.path()), @"
    mood        size         file
    good 0.88   three 0.42?  mails.jsonl#1
    bad 0.79    three 0.37?  mails.jsonl#2
    bad 0.50?   three 0.42?  mails.jsonl#3
    bad 0.50?   one 0.36?    mails.jsonl#4 [no_text]
    ");
}

#[test]
fn programs_get_one_object_a_line() {
    let folder = TempDir::new().unwrap();
    let file = mails(folder.path(), &["good good", ""]);
    let output = triaged(&["classify", "--json"]).arg(file).output().unwrap();
    assert!(output.status.success());
    insta::assert_snapshot!(printed(&output, folder.path()), @r#"
    {"file":"mails.jsonl#1","mood":{"label":"good","confidence":0.880797,"abstained":false,"scores":{"bad":0.11920292,"good":0.880797}},"size":{"label":"three","confidence":0.42112738,"abstained":true,"reason":"unsure","scores":{"one":0.28943634,"two":0.28943634,"three":0.42112738}},"model":"fixture-7","defects":[]}
    {"file":"mails.jsonl#2","mood":{"label":"bad","confidence":0.5,"abstained":true,"reason":"unsure","scores":{"bad":0.5,"good":0.5}},"size":{"label":"one","confidence":0.35986748,"abstained":true,"reason":"unsure","scores":{"one":0.35986748,"two":0.35986748,"three":0.28026506}},"model":"fixture-7","defects":["no_text"]}
    "#);
}

#[test]
fn a_model_is_shown_with_its_verified_hashes() {
    let output = triaged(&["model", "show"]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("folder")).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    bundle     fixture-7 of 2026-11-21
    signature  not signed; the hashes of its files are right
    reads      8 tokens; of a longer text the first 5 and the last 3
    embedding  2 numbers
    head       mood: bad, good (written from 0.60; temperature 1.000)
    head       size: one, two, three (written from 0.60; temperature 2.000)
    file       1e71332263e022856ed76b2c8bc62935c3cb306cfd9b5465fde48a4263b053f8  golden.jsonl
    file       db549b2d9289da9ca9f3074be582ccf23e5b6dc9d1fb2e4745c652585b5d552d  model.onnx
    file       66b2ac5297305f43634b017d80cf524da0ddb82caf44f3d14c059c017331bccd  tokenizer.json
    ");
    let output = triaged(&["model", "show", "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["bundle"], "fixture-7");
    assert_eq!(shown["heads"][0]["labels"][0]["keyword"], "mood-bad");
}

#[test]
fn standard_input_is_read_and_answered_message_by_message() {
    let mut child = triaged(&["classify", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mail = b"From: a@example.com\nSubject: good\n\ngood good\n";
    child.stdin.take().unwrap().write_all(mail).unwrap();
    let output = child.wait_with_output().unwrap();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["mood"]["label"], "good");
}

#[test]
fn a_message_that_can_not_be_read_is_named_and_the_others_are_classified() {
    let folder = TempDir::new().unwrap();
    let file = mails(folder.path(), &["good"]);
    let output = triaged(&["classify", "/nowhere/at/all.eml"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all.eml"));
    assert!(printed(&output, folder.path()).contains("mails.jsonl#1"));
}

#[test]
fn a_bundle_that_is_not_there_ends_with_78() {
    let output = Command::new(env!("CARGO_BIN_EXE_triaged"))
        .args(["classify", "--bundle", "/nowhere/at/all", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all"));
}

/// As in `triaged classify | head -1`, with more messages than fit between reading and printing.
#[test]
fn a_reader_of_our_output_that_goes_away_ends_the_command() {
    let folder = TempDir::new().unwrap();
    let file = mails(folder.path(), &vec!["good"; 5000]);
    let mut child = triaged(&["classify"]).arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("mood"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The default bundle on some threads.
fn default_bundle(threads: usize) -> Classifier {
    let bundle = ModelBundle::load(&top().join("models/default")).unwrap();
    Classifier::start(bundle, &ModelOptions { threads, ..ModelOptions::default() }).unwrap()
}

/// Every 36th text of the training data.
fn two_hundred_texts() -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(top().join("training/data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let items = mailfile::open(&files).step_by(36);
    let texts: Vec<_> = items.map(|item| render(&item.unwrap().message())).take(200).collect();
    assert_eq!(texts.len(), 200);
    texts
}

/// Scores down to the last bit.
fn bits(prediction: &Prediction) -> Vec<u32> {
    let heads = prediction.heads.iter();
    heads.flat_map(|head| head.scores.iter().map(|(_, score)| score.to_bits())).collect()
}

#[test]
fn a_mail_gets_the_same_scores_whatever_it_is_batched_with() {
    let texts = two_hundred_texts();
    let mut alone = Vec::new();
    let one = default_bundle(1);
    for text in &texts {
        let answers = one.classify_blocking(vec![text.clone()]).unwrap();
        alone.push(bits(answers[0].as_ref().unwrap()));
    }
    for (threads, batch, step) in [(1, 200, 77), (2, 7, 33), (3, 32, 141)] {
        let classifier = default_bundle(threads);
        // A step that shares no factor with 200 visits each text once, in another order.
        let order: Vec<_> = (0..200).map(|at| at * step % 200).collect();
        for places in order.chunks(batch) {
            let batch_texts = places.iter().map(|&place| texts[place].clone()).collect();
            let answers = classifier.classify_blocking(batch_texts).unwrap();
            for (&place, answer) in places.iter().zip(&answers) {
                assert_eq!(bits(answer.as_ref().unwrap()), alone[place], "text {place}");
            }
        }
    }
}

/// The features that choose ONNX Runtime's kernels, as `golden.jsonl` names them.
fn same_processor(golden: &Value) -> bool {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let flags: Vec<_> = flags.split_whitespace().collect();
    let features = golden["processor"].as_object().unwrap();
    !features.is_empty()
        && features
            .iter()
            .all(|(name, has)| flags.contains(&name.as_str()) == has.as_bool().unwrap())
}

#[test]
fn the_default_bundle_scores_its_golden_mails_as_when_it_was_packed() {
    let golden = fs::read_to_string(top().join("models/default/golden.jsonl")).unwrap();
    let mut lines = golden.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let same_processor = same_processor(&lines.next().unwrap());
    let classifier = default_bundle(0);
    let mut mails = 0;
    for line in lines {
        let text = line["text"].as_str().unwrap().to_owned();
        let answers = classifier.classify_blocking(vec![text]).unwrap();
        for head in &answers[0].as_ref().unwrap().heads {
            let expected = |label: &str| line["scores"][&head.head][label].as_f64().unwrap();
            if same_processor {
                for (label, score) in &head.scores {
                    let difference = (f64::from(*score) - expected(label)).abs();
                    assert!(difference <= 1e-3, "{} {label}: {difference}", head.head);
                }
            }
            let mut best: Vec<_> = head.scores.iter().map(|(label, _)| expected(label)).collect();
            best.sort_by(f64::total_cmp);
            let margin = best[best.len() - 1] - best[best.len() - 2];
            // The answer itself may be another label, one with a threshold of its own.
            let (top, _) = head.scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            let kept = expected(top) >= best[best.len() - 1];
            assert!(kept || margin <= 0.05, "{} became {top} at {margin}", head.head);
        }
        mails += 1;
    }
    assert!(mails >= 10, "{mails} golden mails");
}

#[test]
fn the_golden_mails_are_still_rendered_as_when_the_bundle_was_packed() {
    let golden = fs::read_to_string(top().join("models/default/golden.jsonl")).unwrap();
    for line in golden.lines().skip(1) {
        let line: Value = serde_json::from_str(line).unwrap();
        let mail = line["mail"].as_str().unwrap().as_bytes();
        let message = triaged_core::message::parse(mail, mail.len() as u64);
        assert_eq!(render(&message), line["text"].as_str().unwrap());
    }
}
