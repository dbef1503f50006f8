//! Manifests that are refused, and the one that is not.

use serde_json::{Value, json};

use super::*;

fn manifest() -> Value {
    let hash = "0123456789abcdef".repeat(4);
    json!({
        "format": 1, "name": "default", "version": "1", "created": "2026-11-21", "rendering": 1,
        "inputs": { "ids": "input_ids" },
        "outputs": { "embedding": "embedding" },
        "heads": [{
            "name": "urgency", "output": "urgency", "temperature": 1.3, "threshold": 0.5,
            "labels": [
                { "name": "high", "keyword": "urgent" },
                { "name": "normal", "keyword": null },
            ],
        }],
        "embedding_size": 384, "max_tokens": 256,
        "long_text": { "rule": "head_tail", "head": 160, "tail": 96 },
        "files": { "model.onnx": hash, "tokenizer.json": hash, "golden.jsonl": hash },
        "signature": null,
    })
}

fn parse(manifest: &Value) -> Result<Manifest, ModelError> {
    Manifest::parse(Path::new("bundle/manifest.json"), manifest.to_string().as_bytes())
}

/// The error after `change`.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut manifest = manifest();
    change(&mut manifest);
    parse(&manifest).expect_err("it is refused").to_string()
}

#[test]
fn a_good_manifest_is_read() {
    let manifest = parse(&manifest()).expect("valid");
    let (head, reading) = manifest.readings().next().expect("one head");
    assert_eq!((head.name.as_str(), reading.output.as_str()), ("urgency", "urgency"));
    assert!((reading.temperature - 1.3).abs() < 1e-6);
    assert_eq!(head.labels[0].keyword.as_deref(), Some("urgent"));
    assert_eq!(manifest.long_text(), LongText { head: 160, tail: 96, very_long: None });
    assert_eq!(manifest.signature(), None);
    assert_eq!(
        (manifest.languages(), manifest.least_words(), manifest.parent()),
        (&[][..], 0, None)
    );
    assert_eq!(reading.thresholds, Thresholds { head: 0.5, labels: vec![None, None] });
}

#[test]
fn what_a_bundle_may_say_and_need_not_is_read() {
    let mut manifest = manifest();
    manifest["languages"] = json!(["en", "de"]);
    manifest["least_words"] = json!(3);
    manifest["parent"] = json!("default-1");
    manifest["files"]["card.md"] = json!("0123456789abcdef".repeat(4));
    manifest["heads"][0]["labels"][0]["threshold"] = json!(0.25);
    let manifest = parse(&manifest).expect("valid");
    assert_eq!(
        (manifest.languages(), manifest.least_words()),
        (&["en".into(), "de".into()][..], 3)
    );
    assert_eq!(manifest.parent(), Some("default-1"));
    let (_, reading) = manifest.readings().next().expect("one head");
    assert_eq!(reading.thresholds, Thresholds { head: 0.5, labels: vec![Some(0.25), None] });
}

#[test]
fn what_a_bundle_may_say_must_make_sense() {
    let error = refusal(|manifest| {
        manifest["languages"] = json!(["en", "English", "en"]);
        manifest["least_words"] = json!(100_000);
        manifest["parent"] = json!("../default");
        manifest["heads"][0]["labels"][0]["threshold"] = json!(0.0);
        manifest["heads"][0]["labels"][1]["threshold"] = json!(1.1);
    });
    insta::assert_snapshot!(error.replace("; ", ";\n"), @r#"
    bundle/manifest.json: languages: "English" is no language;
    write two small letters like "en";
    languages: language "en" occurs twice;
    least_words: must be 0 to 1000;
    parent: must be the name and version of a bundle, like "default-1";
    heads[0].labels[0].threshold: must be above 0, at most 1;
    heads[0].labels[1].threshold: must be above 0, at most 1
    "#);
}

#[test]
fn a_version_name_is_a_plain_name_with_a_hyphen_inside() {
    for good in ["default-1", "a-b-2", "x.y_z-10.1"] {
        assert!(checks::is_version_name(good), "{good}");
    }
    let long = format!("{}-1", "a".repeat(65));
    for bad in ["", "default", "-1", "default-", ".default-1", "..-1", "a/b-1", "a-1/", &long] {
        assert!(!checks::is_version_name(bad), "{bad}");
    }
}

#[test]
fn another_format_is_named_before_its_unknown_keys() {
    let error = refusal(|manifest| {
        manifest["format"] = json!(2);
        manifest["new"] = json!("key");
    });
    insta::assert_snapshot!(error, @"bundle/manifest.json: bundle format 2, this triaged reads format 1; install a bundle and a triaged of the same release");
}

#[test]
fn another_rendering_is_refused_because_the_model_would_read_badly_in_silence() {
    let error = refusal(|manifest| manifest["rendering"] = json!(2));
    insta::assert_snapshot!(error, @"bundle/manifest.json: the model was trained on texts of rendering 2, this triaged renders 1; install a bundle and a triaged of the same release, or train the bundle again");
}

#[test]
fn unknown_keys_and_unknown_rules_are_refused() {
    assert!(refusal(|manifest| manifest["new"] = json!(1)).contains("unknown field `new`"));
    let error = refusal(|manifest| manifest["long_text"]["rule"] = json!("windows"));
    assert!(error.contains("unknown variant `windows`"), "{error}");
    let error = refusal(|manifest| manifest["heads"][0]["labels"][0]["color"] = json!("red"));
    assert!(error.contains("unknown field `color`"), "{error}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = refusal(|manifest| {
        manifest["name"] = json!("../etc");
        manifest["long_text"]["tail"] = json!(97);
        manifest["heads"][0]["temperature"] = json!(0.0);
        manifest["heads"][0]["threshold"] = json!(1.5);
        manifest["heads"][0]["labels"] = json!([{ "name": "high", "keyword": "a b" }]);
        manifest["files"]["../passwd"] = json!("x");
    });
    insta::assert_snapshot!(error.replace("; ", ";\n"), @r#"
    bundle/manifest.json: name: must have 1 to 64 letters, digits, '.', '_' and '-', no '.' at its start;
    long_text: head and tail must be at least 1 and sum to max_tokens;
    files: "../passwd" is not the name of a file of the bundle;
    files.../passwd: must be a SHA-256 in lower-case hexadecimal;
    heads[0].temperature: must be above 0;
    heads[0].threshold: must be 0 to 1;
    heads[0].labels: must be 2 to 64;
    heads[0].labels[0]: name and keyword must have 1 to 64 letters, digits, '.', '_' and '-'
    "#);
}

#[test]
fn what_must_be_unique_is() {
    let twice = refusal(|manifest| {
        let head = manifest["heads"][0].clone();
        manifest["heads"] = json!([head, head]);
    });
    for what in ["name \"urgency\"", "output \"urgency\"", "keyword \"urgent\""] {
        assert!(twice.contains(&format!("{what} occurs twice")), "{what}: {twice}");
    }
    let error = refusal(|manifest| manifest["outputs"]["embedding"] = json!("urgency"));
    assert!(error.contains("output \"urgency\" occurs twice"), "{error}");
}

#[test]
fn heads_do_not_take_the_names_that_stand_beside_them_in_json() {
    let error = refusal(|manifest| manifest["heads"][0]["name"] = json!("defects"));
    assert!(error.contains("must not be one of"), "{error}");
}

#[test]
fn a_manifest_that_is_no_json_is_refused() {
    for bytes in [&b""[..], b"{", b"[]", b"\xff\xfe", b"null"] {
        let error = Manifest::parse(Path::new("manifest.json"), bytes).expect_err("refused");
        assert!(matches!(error, ModelError::Manifest { .. }), "{error}");
    }
}
