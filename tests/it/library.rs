//! The search for the ONNX Runtime library, and what is said of files that are none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::bundles::fixtures;

/// Runs `triaged classify` on nothing; gives exit code and standard error.
fn classify(program: &Path, library: Option<&Path>) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.args(["classify", "--bundle"]).arg(fixtures().join("good"));
    command.env_remove("ORT_DYLIB_PATH").stdin(Stdio::null());
    if let Some(library) = library {
        command.env("ORT_DYLIB_PATH", library);
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_triaged"))
}

/// Builds a shared library from C.
fn shared_library(folder: &Path, source: &str) -> PathBuf {
    let (code, library) = (folder.join("library.c"), folder.join("libonnxruntime.so"));
    fs::write(&code, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&code);
    assert!(compiler.status().unwrap().success(), "cc does not build a library");
    library
}

/// A library that says it is ONNX Runtime of a version, with a table of functions or without.
fn pretender(version: &str, base: &str) -> String {
    format!(
        r#"typedef struct {{ const void *(*api)(unsigned); const char *(*version)(void); }} Base;
        static const void *api(unsigned v) {{ (void)v; return 0; }}
        static const char *version(void) {{ return "{version}"; }}
        static const Base base = {{ api, version }};
        const Base *OrtGetApiBase(void) {{ (void)&base; return {base}; }}"#
    )
}

#[test]
fn in_a_build_tree_the_program_finds_what_make_setup_fetched() {
    let (code, said) = classify(&program(), None);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn what_is_no_usable_library_ends_with_78_and_says_why_and_what_to_do() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("text.so");
    fs::write(&text, "this is no library").unwrap();
    for (source, problem) in [
        (None, "can not be loaded"),
        (Some("int nothing;".to_owned()), "is not an ONNX Runtime library"),
        (Some(pretender("1.10.0", "&base")), "is ONNX Runtime 1.10.0, 1.22 or later is needed"),
        (Some(pretender("1.31.1", "&base")), "has no interface of version 1.22"),
        (Some(pretender("1.31.1", "0")), "gives no interface of ONNX Runtime"),
    ] {
        let library = source.map_or(text.clone(), |source| shared_library(folder.path(), &source));
        let (code, said) = classify(&program(), Some(&library));
        assert_eq!(code, Some(78), "{said}");
        let named = library.display().to_string();
        for words in [problem, &named, "make setup"] {
            assert!(said.contains(words), "{words:?} is not in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn away_from_the_build_tree_every_place_that_was_tried_is_named() {
    let folder = TempDir::new().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(program(), bin.join("triaged")).unwrap();
    let (code, said) = classify(&bin.join("triaged"), None);
    if code == Some(0) {
        return; // This system has a library of its own, which is as good.
    }
    assert_eq!(code, Some(78), "{said}");
    for place in ["bin/libonnxruntime", "lib/triaged/libonnxruntime", "make setup"] {
        assert!(said.contains(place), "{place} is not in: {said}");
    }
}

#[test]
fn a_library_beside_the_program_or_in_lib_triaged_is_found() {
    let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/../.onnxruntime/lib");
    let file = format!("libonnxruntime{}", std::env::consts::DLL_SUFFIX);
    for place in ["bin", "lib/triaged"] {
        let folder = TempDir::new().unwrap();
        let (bin, place) = (folder.path().join("bin"), folder.path().join(place));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&place).unwrap();
        fs::copy(program(), bin.join("triaged")).unwrap();
        fs::copy(Path::new(fetched).join(&file), place.join(&file)).expect("run `make setup`");
        let (code, said) = classify(&bin.join("triaged"), None);
        assert_eq!(code, Some(0), "{}: {said}", place.display());
    }
}
