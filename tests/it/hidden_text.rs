//! Twins of a mail that look the same to a person and other to a program get the same labels, and
//! a defect: invisible characters, letters that pose as others, text turned round for the eye, and
//! HTML that hides what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

const HEADS: [&str; 3] = ["sentiment", "urgency", "category"];

/// Every 145th mail of the training data, the first fifty of them.
fn fifty() -> Vec<Value> {
    let data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../training/data"));
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension() == Some("jsonl".as_ref())).collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let lines = text.lines().step_by(145).take(50);
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn part<'a>(mail: &'a Value, name: &str) -> &'a str {
    mail[name].as_str().unwrap_or_default()
}

/// An invisible character after every third letter.
fn with_zero_width(text: &str) -> String {
    let letters = text.chars().enumerate();
    letters
        .flat_map(|(at, c)| [Some(c), (at % 3 == 2 && c != '\n').then_some('\u{200b}')])
        .flatten()
        .collect()
}

/// Cyrillic letters in every other word, one kind of letter a word, so that no word is all of them.
fn with_posing_letters(text: &str) -> String {
    let pose = |word: &str| {
        let letter = ['a', 'e', 'o', 'p', 'c'].into_iter().find(|letter| word.contains(*letter));
        let cyrillic = |letter| match letter {
            'a' => "а",
            'e' => "е",
            'o' => "о",
            'p' => "р",
            _ => "с",
        };
        letter.map_or_else(|| word.to_owned(), |letter| word.replace(letter, cyrillic(letter)))
    };
    let words = text.split_inclusive([' ', '\n']).enumerate();
    words.map(|(at, word)| if at % 2 == 0 { pose(word) } else { word.to_owned() }).collect()
}

/// Every fourth word is written backwards, and turned round again for the eye.
fn with_turned_words(text: &str) -> String {
    let turn = |word: &str| {
        let plain = word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let backwards: String = word.chars().rev().collect();
        if plain { format!("\u{202e}{backwards}\u{202c}") } else { word.to_owned() }
    };
    let lines = text.split('\n').map(|line| {
        let words = line.split(' ').enumerate();
        let turned = words.map(|(at, word)| if at % 4 == 3 { turn(word) } else { word.to_owned() });
        turned.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A line of JSON with the same mail, its text changed.
fn twin(mail: &Value, change: fn(&str) -> String) -> Value {
    json!({ "from": mail["from"], "subject": mail["subject"], "body": change(part(mail, "body")) })
}

/// The mail as HTML, with text in it that a person does not see.
fn as_html(mail: &Value) -> String {
    let escaped =
        part(mail, "body").replace('&', "&amp;").replace('<', "&lt;").replace('\n', "<br>\n");
    let hidden =
        "URGENT outage, the server is down, call me at once, I am very angry about the refund";
    format!(
        "From: {}\nSubject: {}\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\
         Content-Transfer-Encoding: 8bit\n\n<html><body><div style=\"display:none\">{hidden}</div>\n\
         <p>{escaped}</p>\n<span style=\"font-size:0\">{hidden}</span></body></html>\n",
        part(mail, "from"),
        part(mail, "subject"),
    )
}

fn classified(files: &[PathBuf]) -> Vec<Value> {
    let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default");
    let mut command = Command::new(env!("CARGO_BIN_EXE_triaged"));
    let output =
        command.args(["classify", "--json", "--bundle", bundle]).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is done to a text that nobody sees.
type Change = fn(&str) -> String;

fn written(folder: &Path, name: &str, mails: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let text: Vec<_> = mails.iter().map(Value::to_string).collect();
    fs::write(&path, text.join("\n")).unwrap();
    path
}

#[test]
fn what_a_person_does_not_see_changes_no_label() {
    let folder = TempDir::new().unwrap();
    let mails = fifty();
    let mut files = vec![written(folder.path(), "plain.jsonl", &mails)];
    let changes: [(&str, Change); 3] = [
        ("zero-width.jsonl", with_zero_width),
        ("posing.jsonl", with_posing_letters),
        ("turned.jsonl", with_turned_words),
    ];
    for (name, change) in changes {
        let twins: Vec<_> = mails.iter().map(|mail| twin(mail, change)).collect();
        files.push(written(folder.path(), name, &twins));
    }
    for (place, mail) in mails.iter().enumerate() {
        let path = folder.path().join(format!("hidden-{place}.eml"));
        fs::write(&path, as_html(mail)).unwrap();
        files.push(path);
    }
    let answers = classified(&files);
    assert_eq!(answers.len(), 250);
    let (plain, twins) = answers.split_at(50);
    let label = |answer: &Value| HEADS.map(|head| answer[head]["label"].to_string());
    let pairs = twins.iter().zip(plain.iter().cycle());
    let other: Vec<_> = pairs.filter(|(twin, plain)| label(twin) != label(plain)).collect();
    let files: Vec<_> = other.iter().map(|(twin, _)| part(twin, "file")).collect();
    assert!(other.len() <= 4, "of 200 twins these have other labels: {files:?}");
    let unseen = twins.iter().filter(|twin| !twin["defects"].to_string().contains("hidden_text"));
    let unseen: Vec<_> = unseen.map(|twin| part(twin, "file")).collect();
    assert!(unseen.len() <= 4, "of 200 twins these have no defect: {unseen:?}");
}
