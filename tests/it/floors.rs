//! Holds what `daemon/ARCHITECTURE.md` draws: imports point down only, adapters do not know each
//! other, and each foreign crate has one home. It reads the source, so it needs no server.
//!
//! Deliberately absent: a parser of Rust. Paths are found by pattern in code without comments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The floors of the daemon, from the ground up. A module may import what is on floors below it,
/// and its neighbours where it says so.
const FLOORS: [(&str, Neighbours, &[&str]); 5] = [
    (
        "instruments",
        Neighbours::Known,
        &[
            "clock",
            "metrics",
            "program",
            "pulse",
            "readiness",
            "standing",
            "tasks",
            "telemetry",
            "tls",
            "trusted",
        ],
    ),
    (
        "adapters",
        Neighbours::Strangers,
        &["configuration", "imap", "mailfile", "model", "roster", "secret", "smtp", "store"],
    ),
    (
        "flows",
        Neighbours::Known,
        &[
            "account",
            "backfill",
            "outbox",
            "ownership",
            "pipeline",
            "retrain",
            "storage",
            "supervisor",
        ],
    ),
    ("the house", Neighbours::Known, &["app", "http", "lifecycle", "reload"]),
    ("the command", Neighbours::Known, &["cli", "lib", "main"]),
];

#[derive(Clone, Copy, PartialEq)]
enum Neighbours {
    Known,
    Strangers,
}

/// Foreign crates that only the named modules may use; `core` is the other package.
const HOMES: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "main"]),
    ("async_imap", &["imap"]),
    ("axum", &["http"]),
    ("base64", &["core", "imap", "smtp"]),
    ("blake3", &["store"]),
    ("clap", &["cli", "main"]),
    ("comfy_table", &["cli"]),
    ("http_body_util", &["http"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("indicatif", &["cli"]),
    ("getrandom", &["clock", "store"]),
    ("lettre", &["smtp"]),
    ("libc", &["main", "model"]),
    ("libsqlite3_sys", &["store"]),
    ("mail_parser", &["core"]),
    ("notify", &["reload"]),
    ("ort", &["model"]),
    ("prometheus", &["metrics"]),
    ("reqwest", &["secret"]),
    ("rustix", &["clock", "lifecycle", "model", "program", "retrain", "roster", "secret", "store"]),
    ("rustls", &["secret", "tls"]),
    ("rustls_platform_verifier", &["secret", "tls"]),
    ("sd_notify", &["lifecycle"]),
    ("secrecy", &["imap", "program", "secret", "smtp", "store"]),
    ("sha2", &["model", "retrain", "tls"]),
    ("socket2", &["imap"]),
    ("sqlx", &["store"]),
    ("sqlx_core", &["store"]),
    ("strsim", &["core"]),
    ("tokenizers", &["model"]),
    ("tokio_rustls", &["tls"]),
    ("toml", &["core"]),
    ("tracing_subscriber", &["telemetry"]),
    ("unicode_normalization", &["core"]),
    ("whatlang", &["core"]),
];

/// Crates that are a part of the language here.
const EVERYWHERE: &[&str] =
    &["futures", "jiff", "serde", "serde_json", "thiserror", "tokio", "tokio_util", "tracing"];

/// The core has no clock, files, network, async or logging, and no crate that would bring them.
const CORE: &[&str] = &[
    "base64",
    "jiff",
    "mail_parser",
    "serde",
    "strsim",
    "thiserror",
    "toml",
    "unicode_normalization",
    "whatlang",
];

struct Source {
    /// The room that the file is in: the first name below `src`, or `core`.
    module: String,
    path: PathBuf,
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for (folder, core) in [("daemon/src", false), ("daemon/core/src", true)] {
        let folder = root().join(folder);
        let mut waiting = vec![folder.clone()];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first = path.strip_prefix(&folder).unwrap().iter().next().unwrap();
                let name = first.to_str().unwrap().trim_end_matches(".rs");
                let module = if core { "core" } else { name }.to_owned();
                found.push(Source { module, code: code(&path), path });
            }
        }
    }
    found
}

/// A file's text without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, _, modules)| modules.contains(&module))
}

/// The rooms that `code` reaches, by `crate::room` and by `crate::{room, other::Thing}`.
fn reached(code: &str) -> BTreeSet<String> {
    let path = Regex::new(r"\bcrate::(?:([a-z_]+)|\{([^;]*)\};)").unwrap();
    let first = Regex::new(r"(?:^|,)\s*([a-z_]+)").unwrap();
    let mut rooms = BTreeSet::new();
    for found in path.captures_iter(code) {
        if let Some(room) = found.get(1) {
            rooms.insert(room.as_str().to_owned());
        } else if let Some(group) = found.get(2) {
            rooms.extend(first.captures_iter(group.as_str()).map(|room| room[1].to_owned()));
        }
    }
    rooms
}

#[test]
fn imports_point_down_only_and_adapters_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for Source { module, path, code } in sources().iter().filter(|one| one.module != "core") {
        let Some(floor) = floor_of(module) else {
            wrong.push(format!("{}: on which floor is {module}?", path.display()));
            continue;
        };
        for other in reached(code).iter().filter(|&other| other != module) {
            let Some(below) = floor_of(other) else { continue };
            let strangers = FLOORS[floor].1 == Neighbours::Strangers;
            if below > floor || (below == floor && strangers) {
                let floors = (FLOORS[floor].0, FLOORS[below].0);
                wrong.push(format!("{}: {floors:?}: imports {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_foreign_crate_has_one_home() {
    let mut wrong = Vec::new();
    for (foreign, homes) in HOMES {
        // Not in a string, and not the end of a longer path.
        let used = Regex::new(&format!(r#"(?m)(^|[^"\w:])(use )?{foreign}::"#)).unwrap();
        for Source { module, path, code } in &sources() {
            if used.is_match(code) && !homes.contains(&module.as_str()) {
                wrong.push(format!("{}: {foreign} lives in {homes:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a daemon writes about an account it writes under the account's lease: by `Store::begin` and
/// `Store::run`. (The outbox is no account's, and neither is the identity key, by which a store is asked
/// whether it writes.)
#[test]
fn what_the_store_writes_it_writes_under_a_lease() {
    let bare = Regex::new(
        r"pool\.begin\(\)|(?:UPDATE|INSERT|DELETE|RETURNING) [^;]*(?:execute|fetch_\w+)\(&self\.pool\)",
    );
    let (bare, block) = (bare.unwrap(), Regex::new(r"(?s)\nimpl Store \{\n.*?\n\}").unwrap());
    let mut blocks = 0;
    let mut wrong = Vec::new();
    for Source { module, path, code } in &sources() {
        let exempt = ["store/lease.rs", "store/outbox.rs"].iter().any(|one| path.ends_with(one));
        if module != "store" || exempt {
            continue;
        }
        for found in block.find_iter(code) {
            blocks += 1;
            for line in bare.find_iter(found.as_str()) {
                if !line.as_str().starts_with("UPDATE identity_key") {
                    wrong.push(format!("{}: {}", path.display(), line.as_str()));
                }
            }
        }
    }
    assert!(blocks > 5, "{blocks}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let (_, section) = text.split_once("\n[dependencies]\n").expect("it has dependencies");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" =")).map(|(name, _)| name.replace('-', "_")).collect()
}

#[test]
fn every_dependency_has_a_home_or_is_welcome_everywhere() {
    let homed = HOMES.iter().map(|(foreign, _)| *foreign);
    let known: BTreeSet<_> = homed.chain(EVERYWHERE.iter().copied()).collect();
    let mut all = dependencies("daemon/Cargo.toml");
    all.extend(dependencies("daemon/core/Cargo.toml"));
    all.remove("triaged_core");
    let homeless: Vec<_> = all.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(homeless.is_empty(), "give these a home in HOMES: {homeless:?}");
    let gone: Vec<_> = known.iter().filter(|name| !all.contains(**name)).collect();
    assert!(gone.is_empty(), "no manifest names these: {gone:?}");
}

#[test]
fn the_core_depends_on_nothing_that_could_wait_or_speak() {
    let core = dependencies("daemon/core/Cargo.toml");
    let foreign: Vec<_> = core.iter().filter(|name| !CORE.contains(&name.as_str())).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// What would make the build need a library of the system, or bring a second TLS stack.
const NEVER: &[&str] = &["aws-lc-sys", "native-tls", "onig_sys", "openssl-sys"];

#[test]
fn the_build_needs_no_foreign_library_and_only_the_public_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let value = |key: &str| {
        let prefix = format!("{key} = \"");
        let lines =
            lock.lines().filter_map(move |line| line.strip_prefix(&prefix).map(str::to_owned));
        lines.map(|rest| rest.trim_end_matches('"').to_owned()).collect::<BTreeSet<_>>()
    };
    let sources = value("source");
    assert_eq!(sources.len(), 1, "{sources:?}");
    let names = value("name");
    let unwanted: Vec<_> = NEVER.iter().filter(|name| names.contains(**name)).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
}
