//! The versions of the model on disk: which one serves, going back, what is refused, and how a new
//! one comes in. Without a daemon, and with the small bundle that is made for tests.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use triaged::clock::Clock;
use triaged::configuration;
use triaged::metrics::Metrics;
use triaged::model::{Classifier, ModelBundle, ModelOptions, VersionError, Versions};
use triaged::readiness::Readiness;
use triaged::reload::{Hangup, Models};
use triaged_core::document::render;
use triaged_core::message::parse;

use crate::bundles::fixtures;
use crate::harness::{Bundle, FIXTURE, Installation, Settings, until};

/// An installation with the bundle `fixture-7`.
struct House(Installation);

impl House {
    fn new() -> House {
        House(Installation::new(&Settings::label().with_nobody().bundle(FIXTURE)))
    }

    /// With versions beside the installed bundle.
    fn with(names: &[&str]) -> House {
        let house = House::new();
        for name in names {
            house.version(name);
        }
        house
    }

    fn version(&self, name: &str) -> Bundle {
        Bundle::version(FIXTURE, &self.0.state(), name)
    }

    fn models(&self) -> PathBuf {
        self.0.state().join("models")
    }

    fn versions(&self) -> Versions {
        Versions::open(&configuration::load(&self.0.config()).unwrap()).unwrap()
    }

    /// Runs `triaged model …`: exit code, standard output, standard error.
    fn model(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.0.triaged(&[&["model"], arguments].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The names of all versions, the one that serves with a star.
    fn list(&self) -> Vec<String> {
        let versions = self.versions().list().unwrap();
        let star = |active| if active { "*" } else { "" };
        versions.iter().map(|one| format!("{}{}", star(one.active), one.name)).collect()
    }

    /// Why a version is not activated; afterwards the same one serves as before.
    fn refusal(&self, name: &str) -> String {
        let before = self.list();
        let error = self.versions().activate(name).expect_err("it is refused").to_string();
        assert_eq!(self.list(), before);
        error.replace(&format!("{}/", self.models().display()), "")
    }
}

#[test]
fn where_nobody_chose_the_installed_bundle_serves() {
    let house = House::new();
    assert_eq!(house.list(), ["*fixture-7"]);
    assert!(!house.models().exists(), "looking makes nothing");
    let house = House::with(&["fixture-8"]);
    assert_eq!(house.list(), ["*fixture-7", "fixture-8"]);
}

/// The state folder is private, whoever makes it.
#[test]
fn a_state_folder_that_is_made_here_is_nobody_elses() {
    let house = House::new();
    fs::remove_dir_all(house.0.state()).unwrap();
    house.versions().activate("installed").unwrap();
    let mode = fs::metadata(house.0.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_version_that_was_activated_is_what_every_command_uses() {
    let house = House::with(&["fixture-8"]);
    let (code, said, _) = house.model(&["activate", "fixture-8"]);
    assert_eq!(code, 0);
    assert!(said.starts_with("fixture-8 serves from now on, instead of fixture-7.\n"), "{said}");
    assert!(said.contains("No daemon works in "), "{said}");
    assert_eq!(house.list(), ["fixture-7", "*fixture-8"]);

    let mail = house.0.folder().join("a.eml");
    fs::write(&mail, "Subject: good\n\ngood").unwrap();
    let mail = mail.to_str().unwrap();
    let classified = |more: &[&str]| {
        let output = house.0.triaged(&[&["classify", "--json", mail], more].concat());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["model"].clone()
    };
    assert_eq!(classified(&[]), "fixture-8");
    assert_eq!(classified(&["--bundle", FIXTURE]), "fixture-7", "who names a bundle gets it");
    let checked = String::from_utf8(house.0.triaged(&["check"]).stdout).unwrap();
    assert!(checked.contains("fixture-8 in ") && checked.contains(", activated"), "{checked}");
    let shown = |arguments: &[&str]| house.model(&[&["show"], arguments].concat()).1;
    assert!(shown(&[]).contains("fixture-8 of "));
    assert!(shown(&["fixture-7"]).contains("fixture-7 of "));
    assert!(shown(&["installed"]).contains("fixture-7 of "));
}

/// Between the start and the watch nothing tells the daemon of a change.
#[test]
fn a_version_that_is_chosen_before_anybody_watches_is_found() {
    let house = House::with(&["fixture-8"]);
    let config = configuration::load(&house.0.config()).unwrap();
    let (metrics, now) = (Metrics::new(Clock.now()).unwrap(), Clock.now());
    let models = Models::open(&config, metrics, Readiness::new([], now)).unwrap();
    let classifier = models.classifier().clone();
    assert_eq!(classifier.model().version, "fixture-7");
    house.versions().activate("fixture-8").unwrap();
    let (runtime, stop) = (Runtime::new().unwrap(), CancellationToken::new());
    let entered = runtime.enter();
    let ended = tokio::spawn(models.keep_up(Hangup::listen().unwrap(), stop.clone()));
    drop(entered);
    until("it serves", || (classifier.model().version == "fixture-8").then_some(()));
    stop.cancel();
    runtime.block_on(ended).unwrap().unwrap();
}

#[test]
fn one_goes_back_step_by_step_and_then_there_is_nothing_to_go_back_to() {
    let house = House::with(&["fixture-8", "fixture-9"]);
    for name in ["fixture-8", "fixture-9", "fixture-9", "installed"] {
        house.versions().activate(name).unwrap();
    }
    for (before, now) in
        [("fixture-7", "fixture-9"), ("fixture-9", "fixture-8"), ("fixture-8", "fixture-7")]
    {
        let (code, said, _) = house.model(&["rollback", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &said["before"], &said["active"]), (0, &json!(before), &json!(now)));
        assert_eq!(said["daemon_running"], false);
    }
    let (code, _, said) = house.model(&["rollback"]);
    assert_eq!(code, 64);
    assert!(said.contains("there is nothing to go back to"), "{said}");
}

#[test]
fn a_version_that_is_gone_is_passed_over_on_the_way_back() {
    let house = House::with(&["fixture-8", "fixture-9"]);
    for name in ["fixture-8", "fixture-9"] {
        house.versions().activate(name).unwrap();
    }
    fs::remove_dir_all(house.models().join("fixture-8")).unwrap();
    assert_eq!(house.versions().rollback().unwrap().now, "fixture-7");
}

#[test]
fn going_back_to_the_installed_bundle_finds_the_one_that_is_installed_by_then() {
    let house = House::with(&["fixture-8"]);
    let place = house.0.folder().join("installed");
    Bundle::copy(FIXTURE, &place);
    house.0.configure(&Settings::label().with_nobody().bundle(&place));
    house.versions().activate("fixture-8").unwrap();
    // A new package brings a version of its own, by the name of one that is there.
    Bundle::copy(FIXTURE, &place).called("fixture-8");
    assert_eq!(house.list(), ["fixture-8", "*fixture-8"]);
    house.versions().rollback().unwrap();
    assert_eq!(house.list(), ["*fixture-8", "fixture-8"]);
    house.versions().activate("fixture-8").unwrap();
    assert_eq!(house.list(), ["fixture-8", "*fixture-8"]);
    house.versions().activate("installed").unwrap();
    assert_eq!(house.list(), ["*fixture-8", "fixture-8"]);
}

#[test]
fn people_and_programs_get_the_list() {
    let house = House::with(&["fixture-10", "fixture-8"]);
    house.version("other-1").manifest(|manifest| manifest["parent"] = json!("fixture-8"));
    fs::remove_file(house.models().join("fixture-10/manifest.json")).unwrap();
    house.versions().activate("other-1").unwrap();
    let (code, rows, _) = house.model(&["list"]);
    let rows = rows.replace(&format!("{}/", house.models().display()), "");
    assert_eq!(code, 0);
    insta::assert_snapshot!(rows, @"
      version     made        from        labels
      fixture-7   2026-11-21  installed   mood 2, size 3
      fixture-8   2026-11-21  -           mood 2, size 3
      fixture-10  can not be used: can not read fixture-10/manifest.json: No such file or directory (os error 2); install the bundle again
    * other-1     2026-11-21  fixture-8   mood 2, size 3
    ");
    let list: Value = serde_json::from_str(&house.model(&["list", "--json"]).1).unwrap();
    let named = |key: &str| list.as_array().unwrap().iter().map(|one| one[key].clone()).collect();
    let active: Vec<Value> = named("active");
    assert_eq!(active, [false, false, false, true]);
    let parents: Vec<Value> = named("parent");
    assert_eq!(parents, [Value::Null, Value::Null, Value::Null, json!("fixture-8")]);
    assert!(list[2]["problem"].as_str().unwrap().contains("manifest.json"));
}

#[test]
fn a_model_card_is_shown_where_there_is_one() {
    let house = House::new();
    let (code, _, said) = house.model(&["show", "--card"]);
    assert_eq!(code, 78);
    assert!(said.contains("has no model card"), "{said}");
    house.version("fixture-8").replace("card.md", b"# A card\x1b[2J\n");
    assert_eq!(house.model(&["show", "fixture-8", "--card"]).1, "# A card [2J\n");
}

#[test]
fn a_version_that_is_not_there_ends_with_64_and_those_that_are_there_are_named() {
    let house = House::with(&["fixture-8"]);
    for name in ["fixture-9", "../fixture-8", "fixture-8/", "/etc", ".lock", "", "fixture-8\n"] {
        for command in ["activate", "show"] {
            let (code, _, said) = house.model(&[command, name]);
            assert_eq!(code, 64, "{command} {name:?}: {said}");
            assert!(said.contains("there is: fixture-7, fixture-8"), "{command} {name:?}: {said}");
        }
    }
}

#[test]
fn a_damaged_version_is_refused_with_78_and_the_one_that_serves_goes_on() {
    let house = House::with(&["fixture-8"]);
    house.versions().activate("fixture-8").unwrap();
    let bad = house.version("fixture-9");
    for file in ["model.onnx", "tokenizer.json", "golden.jsonl"] {
        let intact = fs::read(bad.path(file)).unwrap();
        fs::write(bad.path(file), &intact[..intact.len() - 1]).unwrap();
        let error = house.refusal("fixture-9");
        assert!(error.starts_with(&format!("fixture-9/{file} is damaged")), "{error}");

        fs::remove_file(bad.path(file)).unwrap();
        assert!(house.refusal("fixture-9").contains(file));
        symlink(house.models().join("fixture-8").join(file), bad.path(file)).unwrap();
        let error = house.refusal("fixture-9");
        assert!(error.starts_with(&format!("fixture-9/{file} is a symbolic link")), "{error}");

        fs::remove_file(bad.path(file)).unwrap();
        assert!(Command::new("mkfifo").arg(bad.path(file)).status().unwrap().success());
        let error = house.refusal("fixture-9");
        assert!(error.starts_with(&format!("fixture-9/{file} is a named pipe")), "{error}");

        fs::remove_file(bad.path(file)).unwrap();
        File::create(bad.path(file)).unwrap().set_len(1 << 40).unwrap();
        assert!(house.refusal("fixture-9").contains("1099511627776 bytes"));
        fs::write(bad.path(file), intact).unwrap();
    }
    fs::write(bad.path("model.onnx"), b"").unwrap();
    let (code, _, said) = house.model(&["activate", "fixture-9"]);
    assert_eq!(code, 78);
    assert!(said.contains("model.onnx is damaged"), "{said}");
    assert_eq!(house.list(), ["fixture-7", "*fixture-8", "fixture-9"]);
}

#[test]
fn a_model_that_can_not_do_what_its_manifest_says_is_refused() {
    let house = House::new();
    for model in [
        "external.onnx",
        "nan.onnx",
        "small-table.onnx",
        "wrong-label-count.onnx",
        "wrong-embedding.onnx",
        "float-input.onnx",
        "two-inputs.onnx",
        "unknown-operator.onnx",
    ] {
        let content = fs::read(fixtures().join(model)).unwrap();
        house.version("fixture-8").replace("model.onnx", &content);
        let error = house.refusal("fixture-8");
        assert!(error.contains("model.onnx"), "{model}: {error}");
    }
}

#[test]
fn a_folder_must_be_one_and_bear_the_name_of_its_bundle() {
    let house = House::with(&["fixture-8"]);
    symlink("fixture-8", house.models().join("fixture-9")).unwrap();
    assert!(house.refusal("fixture-9").contains("is no folder of its own"));
    Bundle::copy(FIXTURE, &house.models().join("fixture-10"));
    assert!(house.refusal("fixture-10").contains("calls itself fixture-7"));
    fs::write(house.models().join("fixture-11"), "a file").unwrap();
    assert!(house.refusal("fixture-11").contains("is no folder of its own"));
    fs::create_dir(house.models().join("fixture-12")).unwrap();
    assert!(house.refusal("fixture-12").contains("manifest.json"), "it is not complete");
}

/// A golden line of one mail, with the scores that the fixture gives it, changed by so much.
fn golden(change: f32) -> Vec<u8> {
    let mail = "Subject: good\n\ngood good\n";
    let text = render(&parse(mail.as_bytes(), mail.len() as u64));
    let bundle = ModelBundle::load(&PathBuf::from(FIXTURE)).unwrap();
    let one = ModelOptions { threads: 1, ..ModelOptions::default() };
    let classifier = Classifier::start(bundle, &one).unwrap();
    let answers = classifier.classify_blocking(vec![text.clone()]).unwrap();
    let heads = &answers[0].as_ref().unwrap().heads;
    let scores = heads.iter().map(|head| {
        let scores = head.scores.iter().enumerate();
        let changed = scores.map(|(at, (label, score))| {
            let change = if at == 0 { change } else { -change };
            (label.clone(), json!(score + change))
        });
        (head.head.clone(), Value::Object(changed.collect()))
    });
    let scores = Value::Object(scores.collect());
    let example = json!({ "mail": mail, "text": text, "scores": scores });
    format!("{{\"processor\":{{}}}}\n{example}\n").into_bytes()
}

#[test]
fn a_version_that_does_not_say_of_its_golden_mails_what_it_said_is_refused() {
    let house = House::new();
    house.version("fixture-8").replace("golden.jsonl", &golden(0.0));
    house.versions().activate("fixture-8").unwrap();
    house.version("fixture-9").replace("golden.jsonl", &golden(0.9));
    let error = house.refusal("fixture-9");
    assert!(error.starts_with("fixture-9/golden.jsonl:2: the most probable label"), "{error}");
    let other = String::from_utf8(golden(0.0)).unwrap().replace("good good", "bad bad");
    let other = other.replacen("bad bad", "good good", 1);
    house.version("fixture-9").replace("golden.jsonl", other.as_bytes());
    assert!(house.refusal("fixture-9").contains("rendered otherwise"));
}

#[test]
fn labels_whose_keywords_no_server_takes_are_refused_with_the_reason() {
    let house = House::new();
    let long = "x".repeat(60);
    house.version("fixture-8").manifest(|manifest| {
        manifest["heads"][0]["labels"][1]["keyword"] = json!(long);
    });
    let (code, _, said) = house.model(&["activate", "fixture-8"]);
    assert_eq!(code, 78);
    assert!(said.contains("the labels of fixture-8 do not fit the configuration"), "{said}");
    assert!(said.contains("at most 50 letters"), "{said}");
}

#[test]
fn what_the_configuration_says_about_labels_of_one_version_is_no_mistake_for_another() {
    let house = House::new();
    let settings = Settings::label().with_nobody().bundle(FIXTURE);
    house.0.configure(&settings.and("keywords.labels = { \"mood.grand\" = \"grand\" }"));
    assert!(house.refusal("fixture-7").contains("the model has no such label"));
    house.version("fixture-8").manifest(|manifest| {
        manifest["heads"][0]["labels"][1]["name"] = json!("grand");
    });
    house.versions().activate("fixture-8").unwrap();
    house.versions().rollback().unwrap();
    assert_eq!(house.list(), ["*fixture-7", "fixture-8"]);
}

#[test]
fn a_record_that_can_not_be_read_is_named_and_activating_mends_it() {
    let house = House::with(&["fixture-8"]);
    house.versions().activate("fixture-8").unwrap();
    let record = house.models().join("active.json");
    for wrong in ["", "{", "{\"active\":\"../fixture-8\"}", "{\"active\":null,\"more\":1}"] {
        fs::write(&record, wrong).unwrap();
        for command in ["list", "rollback"] {
            let (code, _, said) = house.model(&[command]);
            assert_eq!(code, 78, "{wrong}");
            assert!(said.contains("active.json") && said.contains("model activate"), "{said}");
        }
    }
    fs::remove_file(&record).unwrap();
    symlink("/dev/zero", &record).unwrap();
    assert!(house.model(&["list"]).2.contains("active.json is a symbolic link"));
    assert_eq!(house.versions().activate("fixture-8").unwrap().now, "fixture-8");
    assert_eq!(house.list(), ["fixture-7", "*fixture-8"]);
}

#[test]
fn a_finished_candidate_becomes_the_next_version_with_nothing_but_its_files() {
    let house = House::with(&["fixture-8"]);
    let versions = house.versions();
    let candidate = versions.reserve("fixture").unwrap();
    let other = versions.reserve("fixture").unwrap();
    assert_eq!((candidate.number(), other.number()), (9, 10));
    let mode = fs::metadata(candidate.folder()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else looks into it");

    Bundle::copy(FIXTURE, candidate.folder()).called(&candidate.full_name());
    fs::create_dir(candidate.folder().join("tmp")).unwrap();
    fs::write(candidate.folder().join("tmp/mails"), "text of a mail").unwrap();
    symlink("/etc/passwd", candidate.folder().join("link")).unwrap();
    assert_eq!(versions.adopt(candidate).unwrap(), "fixture-9");
    assert_eq!(house.list(), ["*fixture-7", "fixture-8", "fixture-9"], "it is not activated");
    let mut files: Vec<_> = fs::read_dir(house.models().join("fixture-9"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["golden.jsonl", "manifest.json", "model.onnx", "tokenizer.json"]);
    versions.activate("fixture-9").unwrap();

    drop(other);
    assert_eq!(versions.reserve("fixture").unwrap().number(), 10, "its number is free again");
    assert_eq!(versions.reserve("new").unwrap().number(), 1);
}

#[test]
fn a_candidate_that_is_incomplete_or_called_otherwise_is_refused_and_removed() {
    let house = House::new();
    let versions = house.versions();
    let candidate = versions.reserve("fixture").unwrap();
    let folder = candidate.folder().to_owned();
    assert!(versions.adopt(candidate).unwrap_err().to_string().contains("manifest.json"));
    assert!(!folder.exists());

    let candidate = versions.reserve("fixture").unwrap();
    Bundle::copy(FIXTURE, candidate.folder());
    let refused = versions.adopt(candidate).unwrap_err();
    assert!(matches!(refused, VersionError::Misnamed { .. }), "{refused}");

    let candidate = versions.reserve("fixture").unwrap();
    Bundle::copy(FIXTURE, candidate.folder()).called("fixture-8");
    house.version("fixture-8");
    assert!(matches!(versions.adopt(candidate).unwrap_err(), VersionError::Taken { .. }));
    assert!(versions.reserve("../x").unwrap_err().to_string().contains("can not be the name"));
    assert_eq!(house.list(), ["*fixture-7", "fixture-8"]);
}

#[test]
fn what_a_dead_process_left_is_removed_and_what_a_living_one_makes_is_not() {
    let house = House::with(&["fixture-8"]);
    let versions = house.versions();
    let alive = versions.reserve("fixture").unwrap();
    let stray = house.models().join(".candidate-1-fixture-9");
    fs::create_dir_all(stray.join("tmp")).unwrap();
    fs::write(stray.join("tmp/mails"), "text of a mail").unwrap();
    assert_eq!(versions.remove_strays().unwrap(), 1);
    assert!(alive.folder().exists() && !stray.exists());
    assert_eq!(versions.remove_strays().unwrap(), 0);
    assert_eq!(house.list(), ["*fixture-7", "fixture-8"]);
}
