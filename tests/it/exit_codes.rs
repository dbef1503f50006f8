//! How the command ends when it can not do its work, and what it says then.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Format, Installation, Mail, Mailserver, Settings, User, free_port};

/// `check` without a server needs an account all the same.
fn nobody_in_particular() -> (Mailserver, User) {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    (mail, anna)
}

/// `run` and `check` both end with 78 and say all of this.
fn assert_78(installation: &Installation, says: &[&str]) {
    let check = installation.triaged(&["check"]);
    let printed = [check.stdout, check.stderr].concat();
    let check = (check.status.code().unwrap(), String::from_utf8_lossy(&printed).into_owned());
    for (command, (code, output)) in [("run", installation.run_in_vain()), ("check", check)] {
        assert_eq!(code, 78, "{command}: {output}");
        assert!(!output.contains("panicked"), "{command}: {output}");
        for word in says {
            assert!(output.contains(word), "{command} does not say {word:?}: {output}");
        }
    }
}

#[test]
fn a_missing_model_ends_with_78_and_names_the_folder() {
    let (_mail, anna) = nobody_in_particular();
    let settings = Settings::label().with(anna.account()).bundle("/nowhere/at/all");
    assert_78(&Installation::new(&settings), &["/nowhere/at/all"]);
}

#[test]
fn a_damaged_model_ends_with_78_and_names_the_file() {
    let (_mail, anna) = nobody_in_particular();
    let settings = Settings::label().with(anna.account());
    let installation = Installation::new(&settings);
    let bundle = installation.folder().join("bundle");
    fs::create_dir(&bundle).unwrap();
    let intact = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default"));
    for entry in fs::read_dir(intact).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, bundle.join(path.file_name().unwrap())).unwrap();
    }
    let model = bundle.join("model.onnx");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, bytes).unwrap();
    installation.configure(&settings.bundle(bundle));
    assert_78(&installation, &["model.onnx"]);
}

#[test]
fn a_missing_library_ends_with_78_and_says_what_was_tried_and_how_to_mend_it() {
    let (_mail, anna) = nobody_in_particular();
    let library = "/nowhere/libonnxruntime.so";
    let settings = Settings::label().with(anna.account()).library(library);
    assert_78(&Installation::new(&settings), &[library, "make setup"]);
}

/// Away from the build tree the binary finds no library by itself.
#[test]
fn a_library_that_the_environment_names_wrongly_ends_with_78() {
    let (_mail, anna) = nobody_in_particular();
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let binary = installation.folder().join("triaged");
    fs::copy(env!("CARGO_BIN_EXE_triaged"), &binary).unwrap();
    for command in ["check", "run"] {
        let output = Command::new(&binary)
            .arg("--config")
            .arg(installation.config())
            .arg(command)
            .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
            .output()
            .unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(78), "{command}: {printed}");
        assert!(printed.contains("/nowhere/libonnxruntime.so"), "{command}: {printed}");
        assert!(printed.contains("make setup"), "{command}: {printed}");
    }
}

#[test]
fn a_damaged_database_ends_with_78_and_is_left_as_it_is() {
    let (_mail, anna) = nobody_in_particular();
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let daemon = installation.start_ready();
    for _ in 0..3 {
        let outage = Mail::outage();
        anna.deliver(&outage);
        installation.wait_decided(&anna, &outage);
    }
    daemon.stop();

    let database = database_of(&installation);
    let intact = fs::read(&database).unwrap();
    // The magic of the file, then its pages: what SQLite keeps in the middle of each.
    let mut no_database = intact.clone();
    no_database[..16].fill(b'x');
    let mut torn_pages = intact.clone();
    for page in torn_pages.chunks_mut(4096).skip(1) {
        page[..64].fill(0xa5);
    }
    for damaged in [no_database, torn_pages] {
        fs::write(&database, &damaged).unwrap();
        assert_78(&installation, &[database.file_name().unwrap().to_str().unwrap()]);
        assert!(fs::read(&database).unwrap() == damaged, "it was changed");
    }
    fs::write(&database, intact).unwrap();
    assert_eq!(installation.history().len(), 3, "nothing is lost");
}

fn database_of(installation: &Installation) -> PathBuf {
    let state = fs::read_dir(installation.state()).unwrap();
    let mut paths = state.map(|entry| entry.unwrap().path());
    paths
        .find(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0")))
        .expect("a database")
}

#[test]
fn a_configuration_of_random_bytes_ends_with_78() {
    let installation = Installation::new(&Settings::label());
    for seed in 0..60 {
        installation.write_config(&random_bytes(seed));
        let output = installation.triaged(&["check"]);
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert_eq!(output.status.code(), Some(78), "seed {seed}: {printed}");
        assert!(!printed.is_empty() && !printed.contains("panicked"), "seed {seed}: {printed}");
    }
    let (code, output) = installation.run_in_vain();
    assert_eq!(code, 78, "{output}");
}

/// Bytes of every length up to 3 KB: half of the seeds any bytes, half of them shaped like TOML.
fn random_bytes(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift64: small, and the same on every machine.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 40).unwrap()
    };
    let length = 1 + next() % 3000;
    if seed.is_multiple_of(2) {
        return (0..length).map(|_| u8::try_from(next() % 256).unwrap()).collect();
    }
    let pieces =
        ["mode", " = ", "\"label\"", "\n", "[[account]]", "[model]", "x", "1e999", "'''", "#", "{"];
    (0..length / 8).flat_map(|_| pieces[next() % pieces.len()].bytes()).chain(*b"\nx = {").collect()
}

#[test]
fn every_mistake_of_a_configuration_is_reported_at_once_with_its_place() {
    let (_mail, anna) = nobody_in_particular();
    let wrong = "speed = 9\nhistory_text = \"everything\"";
    let settings =
        Settings::label().and(wrong).with(anna.account().and("backfill = \"soon\"\nmailbox = 1"));
    // The file, the line, the path of the key.
    let says = [
        "triaged.toml:3: speed",
        "triaged.toml:4: history_text",
        ": account[0].backfill",
        ": account[0].mailbox:",
    ];
    assert_78(&Installation::new(&settings), &says);
}

#[test]
fn a_missing_configuration_ends_with_78_and_names_it() {
    let installation = Installation::new(&Settings::label());
    fs::remove_file(installation.config()).unwrap();
    assert_78(&installation, &["triaged.toml"]);
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_64() {
    let installation = Installation::new(&Settings::label());
    for arguments in
        [&["paint"][..], &["run", "--fast"], &["check", "--offline"], &["history", "--since"]]
    {
        let output = installation.triaged(arguments);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {printed}");
    }
    assert_eq!(installation.triaged(&[]).status.code(), Some(64));
    assert_eq!(installation.triaged(&["--help"]).status.code(), Some(0));
}

#[test]
fn check_online_tells_a_good_account_from_a_refused_login_and_a_server_that_is_away() {
    let (_mail, anna) = nobody_in_particular();
    let cases = [
        (0, anna.account()),
        (77, anna.account().password("wrong")),
        (69, anna.account().port(free_port())),
    ];
    for (expected, account) in cases {
        let installation = Installation::new(&Settings::label().with(account));
        let output = installation.triaged(&["check", "--online"]);
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(expected), "{printed}");
        assert!(printed.contains("anna"), "{printed}");
    }
}

#[test]
fn check_without_online_asks_no_server() {
    let (_mail, anna) = nobody_in_particular();
    let account = anna.account().port(free_port());
    let installation = Installation::new(&Settings::label().with(account));
    let output = installation.triaged(&["check"]);
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{printed}");
}
