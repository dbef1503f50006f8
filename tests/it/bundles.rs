//! Model bundles that are refused, each with words that say what and where; and one that reads.
//!
//! The bundle and the bad models are small ones made for this: `tests/fixtures/bundles/make.py`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use triaged::model::{Classifier, ModelBundle, ModelError, ModelOptions, TextError};
use triaged_core::score::Prediction;

use crate::harness::{Bundle, FIXTURE};

/// Where the fixtures lie.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/bundles"))
}

/// A bundle that a test may spoil.
struct Spoilt {
    bundle: Bundle,
    _folder: TempDir,
}

impl Spoilt {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { bundle: Bundle::copy(FIXTURE, folder.path()), _folder: folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.bundle.path(file)
    }

    fn replace(self, file: &str, content: &[u8]) -> Self {
        Self { bundle: self.bundle.replace(file, content), ..self }
    }

    fn model(self, fixture: &str) -> Self {
        self.replace("model.onnx", &fs::read(fixtures().join(fixture)).unwrap())
    }

    fn manifest(self, change: impl FnOnce(&mut Value)) -> Self {
        Self { bundle: self.bundle.manifest(change), ..self }
    }

    fn load(&self) -> Result<ModelBundle, ModelError> {
        ModelBundle::load(self.bundle.folder())
    }

    fn start(&self) -> Result<Classifier, ModelError> {
        Classifier::start(self.load()?, &ModelOptions { threads: 1, ..ModelOptions::default() })
    }

    /// What loading or starting it ends with, the folder's name left out.
    fn refusal(&self) -> String {
        let error = self.start().map(|_| ()).expect_err("it is refused").to_string();
        error.replace(&format!("{}/", self.bundle.folder().display()), "")
    }
}

fn label(prediction: &Prediction, head: &str) -> String {
    prediction.head(head).expect("the head is there").label.clone()
}

#[test]
fn the_bundle_for_tests_reads_texts() {
    let classifier = Spoilt::new().start().unwrap();
    let texts = ["good good", "bad", ""].map(str::to_owned).to_vec();
    let answers = classifier.classify_blocking(texts).unwrap();
    let moods: Vec<_> = answers.iter().map(|a| label(a.as_ref().unwrap(), "mood")).collect();
    assert_eq!(moods, ["good", "bad", "bad"]);
    assert_eq!(classifier.model().version, "fixture-7");
}

/// Eight tokens are read, the first five and the last three; the tokenizer's own limit of three
/// does not count.
#[test]
fn of_a_long_text_the_head_and_the_tail_are_read() {
    let classifier = Spoilt::new().start().unwrap();
    let mood = |text: &str| {
        let answers = classifier.classify_blocking(vec![text.to_owned()]).unwrap();
        label(answers[0].as_ref().unwrap(), "mood")
    };
    assert_eq!(mood("good x x x bad bad bad bad bad bad x x"), "good");
    assert_eq!(mood("bad x x x good good good good x x good good"), "good");
    assert_eq!(mood("x x x x good x x x"), "bad", "the fifth word is in neither");
}

#[test]
fn a_folder_that_is_no_bundle_is_refused() {
    let error = ModelBundle::load(Path::new("/nowhere/at/all")).expect_err("it is refused");
    assert!(error.to_string().contains("/nowhere/at/all/manifest.json"), "{error}");
    let bundle = Spoilt::new();
    fs::remove_file(bundle.path("manifest.json")).unwrap();
    assert!(matches!(bundle.load(), Err(ModelError::Unreadable { .. })));
}

#[test]
fn a_file_that_is_missing_cut_or_changed_is_named() {
    for file in ["model.onnx", "tokenizer.json", "golden.jsonl"] {
        let bundle = Spoilt::new();
        let content = fs::read(bundle.path(file)).unwrap();
        fs::write(bundle.path(file), &content[..content.len() - 1]).unwrap();
        assert!(bundle.refusal().starts_with(&format!("{file} is damaged or was changed")));
        let mut changed = content.clone();
        changed[content.len() / 2] ^= 1;
        fs::write(bundle.path(file), changed).unwrap();
        assert!(bundle.refusal().starts_with(&format!("{file} is damaged or was changed")));
        fs::remove_file(bundle.path(file)).unwrap();
        assert!(bundle.refusal().starts_with(&format!("can not read {file}: No such file")));
    }
}

#[test]
fn only_plain_files_are_opened() {
    for file in ["manifest.json", "model.onnx", "tokenizer.json", "golden.jsonl"] {
        let bundle = Spoilt::new();
        let moved = bundle.path("moved");
        fs::rename(bundle.path(file), &moved).unwrap();
        symlink(&moved, bundle.path(file)).unwrap();
        assert!(bundle.refusal().starts_with(&format!("{file} is a symbolic link")));

        fs::remove_file(bundle.path(file)).unwrap();
        // Nobody writes to this pipe: whoever opens it as a file would wait for ever.
        assert!(Command::new("mkfifo").arg(bundle.path(file)).status().unwrap().success());
        assert!(bundle.refusal().starts_with(&format!("{file} is a named pipe")));

        fs::remove_file(bundle.path(file)).unwrap();
        fs::create_dir(bundle.path(file)).unwrap();
        assert!(bundle.refusal().starts_with(&format!("{file} is a folder")));
    }
}

#[test]
fn a_huge_file_is_not_read() {
    for file in ["manifest.json", "model.onnx", "tokenizer.json", "golden.jsonl"] {
        let bundle = Spoilt::new();
        File::create(bundle.path(file)).unwrap().set_len(1 << 40).unwrap();
        let error = bundle.refusal();
        assert!(error.starts_with(&format!("{file} has 1099511627776 bytes")), "{error}");
    }
}

#[test]
fn a_model_that_does_not_fit_its_manifest_is_refused_before_it_reads_mail() {
    for (model, problem) in [
        ("external.onnx", "keeps weights in other files (external data)"),
        ("nan.onnx", "does not fit its manifest: mood is not finite"),
        ("small-table.onnx", "does not fit its manifest: it fails on 8 tokens"),
        ("wrong-label-count.onnx", "mood has 3 numbers, expected 2"),
        ("wrong-embedding.onnx", "size has 4 numbers, expected 3"),
        ("float-input.onnx", "input_ids is "),
        ("two-inputs.onnx", "it has 2 inputs, expected one"),
        ("unknown-operator.onnx", "ONNX Runtime does not accept model.onnx"),
    ] {
        let error = Spoilt::new().model(model).refusal();
        assert!(error.contains(problem), "{model}: {error}");
        assert!(error.contains("model.onnx") && !error.contains('\n'), "{model}: {error}");
    }
}

#[test]
fn files_that_are_something_else_are_refused() {
    let error = Spoilt::new().replace("model.onnx", b"not a model").refusal();
    assert!(error.starts_with("ONNX Runtime does not accept model.onnx"), "{error}");
    let error = Spoilt::new().replace("model.onnx", b"").refusal();
    assert!(error.contains("model.onnx"), "{error}");
    for content in [&b"not a tokenizer"[..], b"{}", b""] {
        let error = Spoilt::new().replace("tokenizer.json", content).refusal();
        assert!(error.starts_with("tokenizer.json: "), "{error}");
    }
}

#[test]
fn outputs_that_the_model_does_not_have_are_named() {
    let bundle = Spoilt::new().manifest(|manifest| manifest["heads"][0]["output"] = json!("tone"));
    assert_eq!(bundle.refusal(), "model.onnx does not fit its manifest: it has no output tone");
    let bundle = Spoilt::new().manifest(|manifest| manifest["inputs"]["ids"] = json!("tokens"));
    let error = bundle.refusal();
    assert!(error.ends_with("its input is input_ids, expected tokens"), "{error}");
}

#[test]
fn numbers_that_are_not_finite_are_the_error_of_their_text_alone() {
    let classifier = Spoilt::new().model("sometimes-infinite.onnx").start().unwrap();
    let texts = ["good", "bad", "good"].map(str::to_owned).to_vec();
    let answers = classifier.classify_blocking(texts).unwrap();
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(answers[1], Err(TextError::NotFinite { head: "mood".to_owned() }));
}

#[test]
fn after_a_shutdown_whoever_asks_is_told() {
    let classifier = Spoilt::new().start().unwrap();
    let other = classifier.clone();
    classifier.shutdown();
    let answers = other.classify_blocking(vec!["good".to_owned()]);
    assert!(matches!(answers, Err(ModelError::Stopped)), "{answers:?}");
}
