//! `triaged retrain` with the real trainer, on a tiny random model: it goes all the way to a verdict,
//! and no line of a mail is left however it ends.
//!
//! It needs the Python of `make train-env`, and says so where that is missing. How well a real
//! model learns is measured by `tests/bench/retrain.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::retrain::{CANARY, School, assert_gone, kill, object};

/// The Python that can train; `None`, said loudly, where there is none.
fn trainer() -> Option<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let named = std::env::var_os("TRAIN_PYTHON").map(PathBuf::from);
    let made = top.join(".venv-train/ready").is_file().then(|| top.join(".venv-train/bin/python"));
    let found = named.or(made);
    if found.is_none() {
        eprintln!(
            "*** NOT RUN: the retraining of a tiny model; `make train-env` fetches what it needs"
        );
    }
    found
}

#[test]
fn the_real_trainer_comes_to_a_verdict_and_leaves_no_line_of_a_mail() {
    let Some(python) = trainer() else { return };
    let tiny = TempDir::with_prefix("triaged-it-tiny-").unwrap();
    let made = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/retrain/tiny.py"))
        .args(["--triaged", env!("CARGO_BIN_EXE_triaged"), "--canary", CANARY, "--out"])
        .arg(tiny.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let school = School::bare();
    school.configure(&python, &tiny.path().join("training"), &tiny.path().join("bundle"));
    fs::copy(tiny.path().join("mails.jsonl"), school.mails.path().join("mails.jsonl")).unwrap();

    for (victim, signal) in
        [("parent", Signal::TERM), ("parent", Signal::KILL), ("child", Signal::KILL)]
    {
        let (mut process, child) = school.start_until("\ntrain");
        if victim == "child" {
            kill(child, signal);
        } else {
            process.signal(signal);
        }
        let status = process.wait();
        assert!(!status.success(), "{victim}: {status}");
        assert_gone(child);
        school.assert_clean();
    }

    let (code, out, err) = school.run(&["--json"]);
    assert!(code == 0 || code == 1, "{code}: {out}\n{err}");
    let report = object(&out);
    assert_eq!(report["heads"]["topic"]["own"][0]["label"], "garden", "{report}");
    assert_eq!(report["base"], "tiny-1", "{report}");
    assert_eq!(school.models().len(), usize::from(code == 0), "{:?}", school.models());
    school.assert_clean();
}
