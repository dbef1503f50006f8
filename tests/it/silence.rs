//! Nothing that triaged loads leaves anything behind on the machine, or speaks to anybody.

use std::fs;
use std::path::Path;
use std::process::Command;

/// ONNX Runtime writes an identifier of the machine into the home folder and begins to report to
/// its maker unless it is told not to before it is loaded: what it writes there is the sign.
#[test]
fn the_model_s_library_writes_no_identifier_into_the_home_folder() {
    let home = tempfile::tempdir().unwrap();
    let mails = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    fs::write(mails.path(), r#"{"from": "A <a@example.org>", "subject": "s", "body": "b"}"#)
        .unwrap();
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/bundles/good");
    let output = Command::new(env!("CARGO_BIN_EXE_triaged"))
        // Without what makes the library silent by itself, such as the signs of a CI.
        .env_clear()
        .env("HOME", home.path())
        .args(["classify", "--json", "--bundle"])
        .args([&bundle, mails.path()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty());
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
