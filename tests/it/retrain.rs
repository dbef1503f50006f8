//! `triaged retrain` as a person runs it: what it refuses, what it leaves behind, and that no line
//! of a mail is found anywhere afterwards, however it ended.
//!
//! The trainer is the one of `tests/fixtures/retrain`, which learns nothing: what is under test is
//! all that is around it. `retrain_learns.rs` runs the real one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use triaged::model::ModelOptions;
use triaged::retrain::trial;

use crate::bundles::fixtures as bundles;
use crate::harness::{
    Bundle, FIXTURE, Installation, Process, Settings, group_members, until, until_within,
};

/// In the text of every mail that teaches or judges, and nowhere else.
pub(crate) const CANARY: &str = "xylograph7f3a";
/// In the environment of the parent: the trainer has no business with it.
const SECRET: &str = "swordfish9c1e";

/// The real trainer gives way to everything else that the machine does.
const TRAINING: Duration = Duration::from_mins(10);

/// An installation with mails to retrain on, and the trainer that learns nothing.
pub(crate) struct School {
    installation: Installation,
    /// The mails: not searched for canaries.
    pub(crate) mails: TempDir,
    /// The only folder for temporary files.
    scratch: TempDir,
}

impl School {
    /// Without mails and without a trainer.
    pub(crate) fn bare() -> Self {
        Self {
            installation: Installation::new(&Settings::shadow()),
            mails: TempDir::with_prefix("triaged-it-mails-").unwrap(),
            scratch: TempDir::with_prefix("triaged-it-scratch-").unwrap(),
        }
    }

    fn new(behaviour: &str) -> Self {
        let school = Self::bare();
        let training = school.training();
        fs::create_dir_all(training.join("data")).unwrap();
        fs::create_dir_all(training.join("validation")).unwrap();
        let package =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/retrain/training");
        for file in ["__init__.py", "retrain.py"] {
            fs::copy(package.join(file), training.join(file)).unwrap();
        }
        let written = |from: usize, count: usize| -> String {
            let line = |at: usize| {
                let (mood, size) = (["good", "bad"][at % 2], ["one", "two", "three"][at % 3]);
                let from = format!("w{at}@y.example");
                let (subject, body) = ("s", words(at));
                let line = json!({ "from": from, "subject": subject, "body": body, "mood": mood, "size": size });
                format!("{line}\n")
            };
            (from..from + count).map(line).collect()
        };
        fs::write(training.join("data/a.jsonl"), written(0, 60)).unwrap();
        fs::write(training.join("validation/a.jsonl"), written(100, 60)).unwrap();
        school.behave(behaviour);
        school.configure(&python(), &training, &bundles().join("good"));
        school.mail(120);
        school
    }

    pub(crate) fn configure(&self, python: &Path, training: &Path, bundle: &Path) {
        let (python, training) = (python.to_str().unwrap(), training.to_str().unwrap());
        let lines = format!("[retrain]\npython = {python:?}\ntraining = {training:?}");
        let settings = Settings::shadow().bundle(bundle).with_nobody();
        self.installation.configure(&settings.and(&lines));
    }

    fn training(&self) -> PathBuf {
        self.installation.folder().join("training")
    }

    fn behave(&self, behaviour: &str) {
        fs::write(self.training().join("behaviour"), behaviour).unwrap();
    }

    /// So many mails in folders by mood, each with the canary.
    fn mail(&self, count: usize) {
        for at in 0..count {
            let mood = ["good", "bad"][at % 2];
            let mail = format!(
                "From: P{at} <p{at}@x.example>\nSubject: s{at}\n\n{CANARY} {at} {}\n",
                words(at)
            );
            self.file(&format!("mood={mood}/{at}.eml"), &mail);
        }
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.mails.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        // It does not outlive the test, also when that is killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_triaged"), "--config"])
            .arg(self.installation.config())
            .arg("retrain")
            .args(more)
            .env("TMPDIR", self.scratch.path())
            .env("A_SECRET", SECRET)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn from(&self) -> [&str; 2] {
        ["--from", self.mails.path().to_str().unwrap()]
    }

    /// Runs it to its end: the exit code, standard output, standard error.
    pub(crate) fn run(&self, more: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } =
            self.command(&[&self.from(), more].concat()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().expect("it ends by itself"), text(stdout), text(stderr))
    }

    /// Starts it, and waits until the trainer has said a word.
    pub(crate) fn start_until(&self, word: &str) -> (Process, u32) {
        let log = self.installation.folder().join("retrain.log");
        let _ = fs::remove_file(&log);
        let process = Process::start(&mut self.command(&self.from()), &log);
        let is_said = || process.output().contains(word).then_some(());
        until_within(TRAINING, "the trainer says so", is_said);
        let child = until("the trainer is there", || child_of(process.id()));
        (process, child)
    }

    pub(crate) fn models(&self) -> Vec<String> {
        let folder = self.installation.state().join("models");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with("lock")).collect();
        names.sort();
        names
    }

    /// No file of the state, the environment, the temporary folder or the logs has the canary.
    pub(crate) fn assert_clean(&self) {
        for folder in [self.installation.folder(), self.scratch.path()] {
            let mut waiting = vec![folder.to_owned()];
            while let Some(path) = waiting.pop() {
                if path.is_dir() {
                    waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                } else if path.is_file() {
                    let bytes = fs::read(&path).unwrap();
                    let found = bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
                    assert!(!found, "a line of a mail is in {}", path.display());
                }
            }
        }
    }
}

/// The trainer, and all that it started, is gone.
pub(crate) fn assert_gone(child: u32) {
    until("the trainer's group is gone", || group_members(child).is_empty().then_some(()));
}

/// The fixture's model takes the mood from the last two words.
fn words(at: usize) -> &'static str {
    ["good good good good", "bad bad bad bad"][at % 2]
}

/// The Python itself, not what may stand for it on the search path.
fn python() -> PathBuf {
    let said = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let said = said.expect("python3 is needed: make deps").stdout;
    PathBuf::from(String::from_utf8(said).unwrap().trim())
}

/// The process that this one started.
fn child_of(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

pub(crate) fn kill(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(process).unwrap()).unwrap(), signal).unwrap();
}

pub(crate) fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_candidate_that_is_no_worse_is_accepted_and_serves_when_it_is_told_to() {
    let school = School::new("copy");
    let (code, out, err) = school.run(&["--json"]);
    assert_eq!(code, 0, "{out}\n{err}");
    let report = object(&out);
    assert_eq!((&report["outcome"], &report["version"]), (&json!("accepted"), &json!("fixture-8")));
    assert_eq!(report["mails"]["labelled"], 120);
    assert_eq!(report["heads"]["mood"]["held_out"]["macro_f1"], json!([1.0, 1.0]));
    assert_eq!(report["heads"]["mood"]["check_set"]["mails"], 60);
    assert_eq!(report["active"], false);
    assert_eq!(school.models(), ["fixture-8"]);
    school.assert_clean();

    let (code, out, _) = school.run(&["--activate"]);
    assert_eq!(code, 0);
    assert!(out.ends_with("fixture-9 serves from now on\n"), "{out}");
    let list = school.installation.triaged(&["model", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("* fixture-9") && list.contains("  fixture-8"), "{list}");
    school.assert_clean();
}

#[test]
fn a_candidate_that_is_worse_is_refused_with_the_numbers_and_leaves_nothing() {
    let school = School::new("spoil");
    let (code, out, err) = school.run(&[]);
    assert_eq!(code, 1, "{out}\n{err}");
    assert!(out.contains("refused after") && out.contains("fixture-7 stays as it is"), "{out}");
    assert!(out.contains("mood: worse on 24 held-out mails: macro-F1 1.000 → 0.000"), "{out}");
    assert!(out.contains("the candidate forgets: macro-F1 1.000 → 0.000 on the 60 mails"), "{out}");
    assert_eq!(school.models(), [""; 0]);
    school.assert_clean();
}

/// A label's own threshold makes it the answer where another one is more probable. Thresholds are
/// fitted anew with each training: the gate compares models.
#[test]
fn the_trial_goes_by_the_most_probable_label() {
    let folder = TempDir::new().unwrap();
    let bundle = Bundle::copy(FIXTURE, &folder.path().join("bundle")).manifest(|manifest| {
        let bad = &mut manifest["heads"][0]["labels"][0];
        assert_eq!(bad["name"], "bad");
        bad["threshold"] = json!(1e-6);
    });
    let options = ModelOptions { threads: 1, ..ModelOptions::default() };
    let text = "Subject: good\n\ngood good good".to_owned();
    let answers = trial::answers(bundle.folder(), &options, &[text]).unwrap();
    assert_eq!(answers[0]["mood"], "good");
}

#[test]
fn shuffled_labels_are_refused() {
    let school = School::new("copy");
    fs::remove_dir_all(school.mails.path().join("mood=good")).unwrap();
    fs::remove_dir_all(school.mails.path().join("mood=bad")).unwrap();
    for at in 0..120 {
        let mood = ["good", "bad"][at / 2 % 2];
        let mail = format!("From: p{at}@x.example\n\n{CANARY} {at} {}\n", words(at));
        school.file(&format!("mood={mood}/{at}.eml"), &mail);
    }
    let (code, out, _) = school.run(&[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("mood: the candidate agrees with the labels hardly more than chance"));
    assert_eq!(school.models(), [""; 0]);
}

#[test]
fn mails_that_can_not_be_used_end_with_65_and_every_mistake() {
    let school = School::new("copy");
    school.file("mood=goood/1.eml", &format!("Subject: s\n\n{CANARY}\n"));
    school.file("moood=good/1.eml", &format!("Subject: t\n\n{CANARY}\n"));
    school.file("x.jsonl", &format!("{{\"body\": \"{CANARY}\", \"mood\": 3}}\n\"{CANARY}\"\n"));
    let (code, out, err) = school.run(&[]);
    assert_eq!(code, 65, "{out}\n{err}");
    for said in
        ["slip of mood=good", "no head \"moood\"", "x.jsonl#1: mood is no text", "x.jsonl#2"]
    {
        assert!(err.contains(said), "{said}: {err}");
    }
    assert!(!err.contains(CANARY) && out.is_empty(), "{out}\n{err}");
    assert_eq!(school.models(), [""; 0]);
}

#[test]
fn a_label_that_comes_from_one_conversation_alone_ends_with_65() {
    let school = School::new("copy");
    for at in 0..10 {
        let mail = format!("From: a@x.example\nSubject: Re: one thing\n\n{CANARY} {at}\n");
        school.file(&format!("mood=solemn/{at}.eml"), &mail);
    }
    let (code, _, err) = school.run(&[]);
    assert_eq!(code, 65, "{err}");
    assert!(err.contains("too little of mood=solemn can be held out"), "{err}");
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let school = School::new("die");
    let (code, out, err) = school.run(&["--dry-run"]);
    assert_eq!(code, 0, "{out}\n{err}");
    for line in [
        "base       fixture-7 in ",
        "mails      120 labelled; left out: 0 copies, 0 without a label",
        "mood       bad 60, good 60",
        "split      96 teach, 24 judge",
        "check set  60 mails",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert_eq!(school.models(), [""; 0]);
    school.assert_clean();
}

#[test]
fn a_missing_environment_ends_with_78_and_the_one_command() {
    let school = School::new("copy");
    let lines = format!("[retrain]\ntraining = {:?}", school.training());
    let settings = Settings::shadow().bundle(bundles().join("good")).with_nobody();
    school.installation.configure(&settings.and(&lines));
    let (code, _, err) = school.run(&[]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("training-env") && err.contains("triaged retrain --setup"), "{err}");

    let setup = Command::new(env!("CARGO_BIN_EXE_triaged"))
        .arg("--config")
        .arg(school.installation.config())
        .args(["retrain", "--setup"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let err = String::from_utf8(setup.stderr).unwrap();
    assert_eq!(setup.status.code(), Some(78), "{err}");
    assert!(err.contains("install Python 3.11 or newer"), "{err}");

    school.configure(Path::new("/nowhere/python"), &school.training(), &bundles().join("good"));
    let (code, _, err) = school.run(&[]);
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("/nowhere/python"), "{err}");
}

#[test]
fn a_trainer_that_fails_is_told_without_a_line_of_a_mail() {
    for (behaviour, said) in [
        ("blab", "the training ended without a candidate (exit status: 1)"),
        ("gibberish", "the training said something that this version"),
        ("give up", "the training gave up: there is no room on the disk"),
        (
            "die",
            "the training ended without a candidate (signal: 9 (SIGKILL)): something killed it",
        ),
    ] {
        let school = School::new(behaviour);
        let (code, out, err) = school.run(&[]);
        assert_eq!(code, 70, "{behaviour}: {out}\n{err}");
        assert!(err.contains(said), "{behaviour}: {err}");
        assert!(!format!("{out}{err}").contains(CANARY), "{behaviour}: {out}\n{err}");
        assert_eq!(school.models(), [""; 0], "{behaviour}");
        school.assert_clean();
    }
}

#[test]
fn the_trainer_has_its_own_surroundings_and_no_core_dump() {
    let school = School::new("wait");
    let (mut process, child) = school.start_until("waiting");
    let read = |file: &str| {
        let bytes = fs::read(format!("/proc/{child}/{file}")).unwrap();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    let (environment, arguments, limits) = (read("environ"), read("cmdline"), read("limits"));
    assert!(!environment.contains(SECRET), "{environment}");
    assert!(!arguments.contains(CANARY) && !environment.contains(CANARY));
    let temporary = environment.lines().find_map(|line| line.strip_prefix("TMPDIR="));
    assert!(
        temporary.is_some_and(|folder| folder.contains("/models/.candidate-")),
        "{environment}"
    );
    let dumps = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(dumps.contains(" 0 "), "{dumps}");
    let nice = fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
    assert_eq!(nice.rsplit(')').next().unwrap().split_whitespace().nth(16), Some("10"));

    let (code, _, err) = school.run(&[]);
    assert_eq!(code, 75, "{err}");
    assert!(err.contains("another retraining is at work"), "{err}");
    process.signal(Signal::TERM);
    assert_eq!(process.wait().code(), Some(143));
    assert_gone(child);
}

/// Ends the parent by a signal while the trainer is `behaviour`.
fn ended_by(signal: Signal, behaviour: &str, word: &str) -> (School, Option<i32>) {
    let school = School::new(behaviour);
    let (mut process, child) = school.start_until(word);
    process.signal(signal);
    let code = process.wait().code();
    assert_gone(child);
    (school, code)
}

#[test]
fn sigterm_and_sigint_end_all_at_once_and_leave_nothing() {
    for (signal, expected) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        // In the middle; and with a trainer that takes nothing from the pipe.
        for (behaviour, word) in [("wait", "waiting"), ("deaf", "deaf")] {
            let (school, code) = ended_by(signal, behaviour, word);
            assert_eq!(code, Some(expected), "{behaviour}");
            assert_eq!(school.models(), [""; 0], "{behaviour}");
            school.assert_clean();
        }
    }
}

#[test]
fn sigterm_at_any_moment_leaves_nothing() {
    for moment in 0..6 {
        let school = School::new("copy");
        let log = school.installation.folder().join("retrain.log");
        let mut process = Process::start(&mut school.command(&school.from()), &log);
        let words = ["", "base ", "judge the base", "train", "train 50", "judge the candidate"];
        until("the moment is there, or past", || {
            let past = process.output().contains(words[moment]);
            (past || process.ended().is_some()).then_some(())
        });
        process.signal(Signal::TERM);
        let status = process.wait();
        let left = school.models();
        let accepted = status.code() == Some(0) && left == ["fixture-8"];
        assert!(accepted || left.is_empty(), "moment {moment}: {status}, {left:?}");
        school.assert_clean();
    }
}

#[test]
fn after_sigkill_of_the_parent_the_trainer_dies_and_the_next_start_tidies_up() {
    let (school, code) = ended_by(Signal::KILL, "wait", "waiting");
    assert_eq!(code, None);
    let left = school.models();
    assert!(left.len() == 1 && left[0].starts_with(".candidate-"), "{left:?}");
    school.assert_clean();
    school.behave("copy");
    let (code, out, err) = school.run(&[]);
    assert_eq!(code, 0, "{out}\n{err}");
    assert_eq!(school.models().len(), 1, "{:?}", school.models());
    school.assert_clean();
}

#[test]
fn after_sigkill_of_the_trainer_nothing_is_left() {
    let school = School::new("wait");
    let (mut process, child) = school.start_until("waiting");
    kill(child, Signal::KILL);
    assert_eq!(process.wait().code(), Some(70));
    assert!(process.output().contains("something killed it"), "{}", process.output());
    assert_eq!(school.models(), [""; 0]);
    assert_gone(child);
    school.assert_clean();
}
