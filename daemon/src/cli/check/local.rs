//! What `triaged check` finds on this machine: passwords, model, library, database.

use std::io::Write;
use std::path::Path;

use triaged::app;
use triaged::model::{Classifier, ModelBundle, ModelOptions, VersionError, Versions, open_library};
use triaged::secret::{self, Credentials, Kept};
use triaged::store::{Checked, Store, StoreError};
use triaged_core::config::{Config, DatabaseConfig, HistoryText, Mode, Problems, Provider};
use triaged_core::label::{Head, Keyword, KeywordMap};

use super::report::{Line, Report, counted};
use crate::cli::Exit;

/// Whether what each account logs in with can be read, and who else can read it; the same of the
/// database.
pub(super) fn passwords<W: Write>(config: &Config, report: &mut Report<W>) {
    if let DatabaseConfig::Postgresql(server) = &config.database
        && let Ok(kept) = secret::look_up(&server.url)
    {
        report.line(&keeping("password", "database", &kept));
    }
    let masters = config.servers.iter().map(|server| &server.every);
    for account in config.accounts.iter().chain(masters) {
        let name = &account.name;
        let subject = if account.credential.is_token() { "token" } else { "password" };
        let credentials = Credentials::of(account, &config.state);
        match credentials.look_up() {
            Ok(kept) if kept.is_empty() => {
                report.line(&Line::ok(subject, format!("{name}: {}", credentials.place())));
            }
            Ok(kept) => kept.iter().for_each(|kept| report.line(&keeping(subject, name, kept))),
            Err(error) => {
                report.line(&Line::fail(Exit::Config, subject, format!("{name}: {error}")));
            }
        }
    }
}

pub(super) fn keeping(subject: &str, account: &str, kept: &Kept) -> Line {
    let path = kept.path.display();
    if kept.group_can_read {
        let mend = "can be read by its group, too; chmod 600 it unless that is meant";
        return Line::warn(subject, format!("{account}: {path} {mend}"));
    }
    Line::ok(subject, format!("{account}: {path}"))
}

/// Bundle, keywords and library, and whether they work together; gives the keywords.
pub(super) fn model<W: Write>(
    path: &Path,
    config: &Config,
    report: &mut Report<W>,
) -> Option<KeywordMap> {
    let (versions, bundle) = match serving(config) {
        Ok(found) => found,
        Err(error) => {
            report.line(&Line::fail(Exit::Config, "model", error));
            library(config, report);
            return None;
        }
    };
    let (version, folder) = (bundle.version(), bundle.folder());
    let chosen = if folder == versions.installed() { "" } else { ", activated" };
    let heads = described(bundle.manifest().heads());
    let what = format!("{version} in {}{chosen}: {heads}", folder.display());
    report.line(&Line::ok("model", what));
    report.line(&Line::ok("signature", bundle.signature_line()));
    let keywords = keywords(path, config, versions.keywords(bundle.manifest()), report);
    if library(config, report) {
        engine(config, bundle, report);
    }
    keywords
}

/// "sentiment (3 labels), urgency (3 labels)".
fn described(heads: &[Head]) -> String {
    let described =
        heads.iter().map(|head| format!("{} ({})", head.name, counted(head.labels.len(), "label")));
    described.collect::<Vec<_>>().join(", ")
}

/// The version that serves, which may be another than the installed one.
fn serving(config: &Config) -> Result<(Versions, ModelBundle), VersionError> {
    let versions = Versions::open(config)?;
    let bundle = versions.bundle(&versions.active()?)?;
    Ok((versions, bundle))
}

fn keywords<W: Write>(
    path: &Path,
    config: &Config,
    keywords: Result<KeywordMap, Problems>,
    report: &mut Report<W>,
) -> Option<KeywordMap> {
    match keywords {
        Ok(map) => {
            let mut names: Vec<&str> = map.all().map(Keyword::as_str).collect();
            names.push(config.keywords.unreadable().as_str());
            let count = counted(names.len(), "keyword");
            report.line(&Line::ok("keywords", format!("{count}: {}", names.join(" "))));
            Some(map)
        }
        Err(problems) => {
            let problems = problems.in_file(path.display());
            report.line(&Line::fail(Exit::Config, "keywords", problems));
            None
        }
    }
}

/// Whether there is a library that can be loaded.
fn library<W: Write>(config: &Config, report: &mut Report<W>) -> bool {
    match open_library(config.model.library.as_deref()) {
        Ok(library) => {
            let what = format!("{}: {}", library.path().display(), library.build());
            report.line(&Line::ok("library", what));
            true
        }
        Err(error) => {
            report.line(&Line::fail(Exit::Config, "library", error));
            false
        }
    }
}

/// Starts the model, which tries it on its largest input, and says where it computes.
fn engine<W: Write>(config: &Config, bundle: ModelBundle, report: &mut Report<W>) {
    let options = ModelOptions { threads: 1, ..ModelOptions::from(&config.model) };
    let classifier = match Classifier::start(bundle, &options) {
        Ok(classifier) => classifier,
        Err(error) => {
            report.line(&Line::fail(Exit::Config, "provider", error));
            return;
        }
    };
    let asked = config.model.provider;
    let provider = &classifier.model().provider;
    report.line(&match (asked, &provider.note) {
        (Provider::Auto, None) if provider.used == Provider::Cpu => {
            Line::ok("provider", "cpu; \"auto\" found no CUDA or CoreML in this library")
        }
        (Provider::Auto, _) | (_, None) => Line::ok("provider", provider),
        (_, Some(_)) => Line::warn("provider", provider),
    });
    classifier.shutdown();
}

/// Whether the database is sound, and what it holds about mail.
pub(super) async fn database<W: Write>(config: &Config, report: &mut Report<W>) {
    let at = match app::database(config) {
        Ok(at) => at,
        Err(error) => {
            report.line(&Line::fail(Exit::Config, "database", error));
            return;
        }
    };
    let checked = match Store::check(at.clone()).await {
        Ok(checked) => Some(checked),
        Err(error @ (StoreError::Missing { .. } | StoreError::Empty { .. })) => {
            report.line(&Line::ok("database", error));
            None
        }
        Err(error) => {
            report.line(&Line::fail(Exit::Config, "database", error));
            None
        }
    };
    if let Some(checked) = &checked {
        report.line(&Line::ok("database", sound(checked)));
    }
    let begun = checked.as_ref().is_some_and(|checked| checked.facts.messages > 0);
    if let Some(file) = at.file_beside().filter(|_| !begun) {
        let before = format!(
            "`triaged import` takes over what {} knows, before the first start",
            file.display()
        );
        report.line(&Line::ok("database", before));
    }
    report.line(&Line::ok("stored", stored(config.history_text)));
    let subjects = checked.map_or(0, |checked| checked.facts.subjects);
    if subjects > 0 && config.history_text == HistoryText::None {
        let what = format!(
            "the subjects of {subjects} mails were stored while history_text was \"subject\", and \
             are still there"
        );
        report.line(&Line::warn("stored", what));
    }
    report.line(&modes(config));
}

fn sound(Checked { database, schema, to_migrate, facts }: &Checked) -> String {
    let mut text = format!(
        "{database}: sound, schema {schema}, mails decided: {}, keywords still to be confirmed: {}",
        facts.messages, facts.pending
    );
    if *to_migrate > 0 {
        text.push_str("; made by an older triaged, `triaged run` brings it up to date");
    }
    text
}

/// The promise about mail in the database, in plain words.
fn stored(history_text: HistoryText) -> &'static str {
    match history_text {
        HistoryText::None => {
            "of each mail: account, mailbox, UID, time, labels, probabilities, keywords, defects, \
             and a keyed hash of Message-ID and size; no text, no subject, no address"
        }
        HistoryText::Subject => {
            "of each mail: its subject (history_text = \"subject\"), account, mailbox, UID, time, \
             labels, probabilities, keywords, defects, and a keyed hash of Message-ID and size; no \
             other text, no address"
        }
    }
}

/// What will happen to mail.
fn modes(config: &Config) -> Line {
    let all = || config.accounts.iter().chain(config.servers.iter().map(|server| &server.every));
    let labelled: Vec<&str> =
        all().filter(|one| one.mode == Mode::Label).map(|one| one.name.as_str()).collect();
    let text = if labelled.is_empty() {
        "shadow everywhere: nothing is written to any server".to_owned()
    } else if labelled.len() == all().count() {
        "label everywhere: keywords are written".to_owned()
    } else {
        format!("label for {}: keywords are written; shadow for the others", labelled.join(", "))
    };
    Line::ok("mode", text)
}
