//! `triaged eval`: what it prints, what it refuses, and that it comes to what `classify` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bundles::fixtures;

fn triaged(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_triaged"));
    let bundle = fixtures().join("good");
    command.args(arguments).arg("--bundle").arg(bundle).arg(file).output().unwrap()
}

/// A file with these objects, one a line.
fn lines(folder: &Path, rows: &[Value]) -> PathBuf {
    let path = folder.join("mails.jsonl");
    let text: Vec<_> = rows.iter().map(Value::to_string).collect();
    fs::write(&path, text.join("\n")).unwrap();
    path
}

fn mail(id: &str, body: &str, mood: &str) -> Value {
    json!({ "id": id, "from": "", "subject": "", "body": body, "mood": mood, "size": null })
}

/// Five mails: one mistake that is sure, one that is not, one on which the model abstains.
fn five(folder: &Path) -> PathBuf {
    let rows = [
        mail("a", "good good", "good"),
        mail("b", "good", "bad"),
        mail("c", "bad", "bad"),
        mail("d", "bad good", "good"),
        mail("e", "good good", "bad"),
    ];
    lines(folder, &rows)
}

fn text(bytes: &[u8], folder: &Path) -> String {
    String::from_utf8_lossy(bytes).replace(&format!("{}/", folder.display()), "")
}

#[test]
fn people_get_a_few_lines_and_tables() {
    let folder = TempDir::new().unwrap();
    let output = triaged(&["eval", "--mistakes", "2"], &five(folder.path()));
    assert!(output.status.success());
    insta::assert_snapshot!(text(&output.stdout, folder.path()), @r#"
    fixture-7 on 5 mails

    mood: 5 mails
    macro-F1 0.400 (0.000 to 0.800), accuracy 0.400 (0.000 to 0.800), calibration error 0.369
    abstained 20.0 % (1 unsure), accuracy of the answered 0.500

     label  mails  precision  recall    F1  answered:  precision  recall    F1
     bad        3       0.50    0.33  0.40                  1.00    0.33  0.50
     good       2       0.33    0.50  0.40                  0.33    0.50  0.40

     truth \ found  1  2
     1 bad          1  2
     2 good         1  1

     truth  found     p  id  file
     bad    good   0.88  e   mails.jsonl#5
     bad    good   0.79  b   mails.jsonl#2

    size: no mail says it
    "#);
}

#[test]
fn programs_get_one_object() {
    let folder = TempDir::new().unwrap();
    let output = triaged(&["eval", "--json", "--mistakes", "1"], &five(folder.path()));
    insta::assert_snapshot!(text(&output.stdout, folder.path()), @r#"{"model":"fixture-7","mails":5,"unlabelled":0,"refused":0,"seed":1,"resamples":1000,"heads":{"mood":{"mails":5,"macro_f1":0.4,"macro_f1_interval":[0.0,0.8],"accuracy":0.4,"accuracy_interval":[0.0,0.8],"ece":0.368875,"named_macro_f1":0.4,"named_accuracy":0.4,"abstained":0.2,"reasons":{"unsure":1,"language":0,"too-little-text":0},"answered_accuracy":0.5,"answered_macro_f1":0.45,"labels":[{"label":"bad","mails":3,"argmax":{"precision":0.5,"recall":0.333333,"f1":0.4},"answered":{"precision":1.0,"recall":0.333333,"f1":0.5}},{"label":"good","mails":2,"argmax":{"precision":0.333333,"recall":0.5,"f1":0.4},"answered":{"precision":0.333333,"recall":0.5,"f1":0.4}}],"confusion":{"argmax":[[1,2],[1,1]],"answered":[[1,2],[0,1]]},"reliability":[{"from":0.0,"to":0.1,"mails":0,"confidence":null,"accuracy":null},{"from":0.1,"to":0.2,"mails":0,"confidence":null,"accuracy":null},{"from":0.2,"to":0.3,"mails":0,"confidence":null,"accuracy":null},{"from":0.3,"to":0.4,"mails":0,"confidence":null,"accuracy":null},{"from":0.4,"to":0.5,"mails":0,"confidence":null,"accuracy":null},{"from":0.5,"to":0.6,"mails":1,"confidence":0.5,"accuracy":0.0},{"from":0.6,"to":0.7,"mails":0,"confidence":null,"accuracy":null},{"from":0.7,"to":0.8,"mails":2,"confidence":0.791391,"accuracy":0.5},{"from":0.8,"to":0.9,"mails":2,"confidence":0.880797,"accuracy":0.5},{"from":0.9,"to":1.0,"mails":0,"confidence":null,"accuracy":null}],"mistakes":[{"file":"mails.jsonl#5","id":"e","truth":"bad","found":"good","probability":0.880797,"abstained":null}]},"size":null}}"#);
}

#[test]
fn the_text_of_a_mistake_is_shown_only_when_asked_for() {
    let folder = TempDir::new().unwrap();
    let file = lines(folder.path(), &[mail("a", "canary good good", "bad")]);
    for form in [&["eval"][..], &["eval", "--json"]] {
        let with = |more: &[&str]| triaged(&[form, &["--mistakes", "1"], more].concat(), &file);
        assert!(!text(&with(&[]).stdout, folder.path()).contains("canary"));
        assert!(text(&with(&["--text"]).stdout, folder.path()).contains("canary"));
    }
}

#[test]
fn rows_that_can_not_be_used_are_named_and_the_rest_is_judged() {
    let folder = TempDir::new().unwrap();
    let file = lines(
        folder.path(),
        &[
            mail("a", "good", "good"),
            mail("b", "good", "godo"),
            json!({ "body": "good", "mood": 1 }),
            json!({ "body": "good" }),
            json!(["good"]),
            mail("c", "bad", "bad"),
        ],
    );
    let output = triaged(&["eval", "--json"], &file);
    assert_eq!(output.status.code(), Some(64));
    insta::assert_snapshot!(text(&output.stderr, folder.path()), @r#"
    triaged: mails.jsonl#2: mood "godo" is none of the model's labels (bad, good); mend the label, or judge with a model that has it
    triaged: mails.jsonl#3: mood is 1, which is no label; give a label as text, or null
    triaged: mails.jsonl#5: no JSON object with from, subject and body (invalid type: sequence, expected a map at line 1 column 0); mend or delete the line
    "#);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["mails"], &report["unlabelled"], &report["refused"]),
        (&json!(2), &json!(1), &json!(3))
    );
    assert_eq!(report["heads"]["mood"]["accuracy"], json!(1.0));
    assert_eq!(report["heads"]["size"], Value::Null, "no row says it");
}

#[test]
fn folders_named_by_label_are_the_truth_of_the_mail_in_them() {
    let folder = TempDir::new().unwrap();
    for (name, body) in [("mood=good/1.eml", "good"), ("mood=bad/size=one/2.eml", "bad")] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("Subject: x\n\n{body}\n")).unwrap();
    }
    let output = triaged(&["eval", "--json"], folder.path());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["heads"]["mood"]["mails"], json!(2));
    assert_eq!(report["heads"]["mood"]["accuracy"], json!(1.0));
    assert_eq!(report["heads"]["size"]["mails"], json!(1));
}

#[test]
fn mail_without_labels_is_not_judged() {
    let folder = TempDir::new().unwrap();
    let output = triaged(&["eval"], &lines(folder.path(), &[json!({ "body": "good" })]));
    assert_eq!(output.status.code(), Some(64));
    insta::assert_snapshot!(text(&output.stderr, folder.path()), @r#"triaged: no mail to judge: 1 without a known label, 0 that can not be used; a line of JSON says its labels in fields like "urgency": "high", a folder by its name, urgency=high"#);
}

/// The same mails in another order have the same figures, but for the intervals, which are drawn.
#[test]
fn figures_do_not_depend_on_the_order_and_intervals_only_on_the_seed() {
    let folder = TempDir::new().unwrap();
    let file = five(folder.path());
    let figures = |arguments: &[&str], file: &Path| {
        let output = triaged(&[&["eval", "--json"], arguments].concat(), file);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["heads"]["mood"].take()
    };
    let first = figures(&[], &file);
    assert_eq!(first, figures(&["--seed", "1"], &file));
    let content = fs::read_to_string(&file).unwrap();
    let reversed = folder.path().join("reversed.jsonl");
    fs::write(&reversed, content.lines().rev().collect::<Vec<_>>().join("\n")).unwrap();
    let second = figures(&["--seed", "7"], &reversed);
    for key in ["macro_f1", "accuracy", "ece", "confusion", "labels", "reliability"] {
        assert_eq!(first[key], second[key], "{key}");
    }
}
