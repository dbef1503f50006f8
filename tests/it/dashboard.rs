//! Metrics as Prometheus sees them: `promtool` has no word against them, and every query of the
//! dashboard is one that Prometheus can read and names metrics that the daemon exports.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use regex::Regex;
use triaged::metrics::{ConnectionState, Fence, LetterState, Metrics, ModelReload, Stage};
use triaged_core::outcome::Outcome;
use triaged_core::score::Abstention;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs promtool, out of the PATH or out of the folder that `make deps` puts it into, with `input`
/// on its standard input. Gives back whether it was content, and all that it said.
fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let fetched = root().join(".tools/promtool");
    let program = if fetched.exists() { fetched } else { "promtool".into() };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs; where it is missing: make deps");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&both).into_owned())
}

/// What a daemon exports that has done everything once.
fn exported() -> String {
    let metrics = Metrics::new(Timestamp::UNIX_EPOCH).unwrap();
    metrics.stage(Stage::Fetch).done(1);
    metrics.message(Outcome::Labelled);
    metrics.answered("urgency", "high", Some(Abstention::Unsure));
    metrics.label_written("urgency", "high");
    metrics.defect("truncated");
    metrics.delivered_to_labelled(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    metrics.succeeded(Timestamp::UNIX_EPOCH);
    let _connection = metrics.connection(ConnectionState::Waiting);
    metrics.backlog().set(1);
    metrics.imap_error("closed");
    metrics.push_withheld();
    metrics.login_refused();
    metrics.reconnected();
    metrics.received(1);
    metrics.accounts([("watching", 1)]);
    let _waiting = metrics.waiting_for_model(1);
    metrics.model("default", "1", "cpu");
    metrics.model_reload(ModelReload::Taken);
    metrics.alert("escalate", LetterState::Sent);
    metrics.alert_withheld("bulk");
    metrics.outbox(1, 1, Some(Timestamp::UNIX_EPOCH));
    metrics.smtp_error("lost");
    metrics.rule_applied("escalate", false);
    metrics.taken_back("undone");
    metrics.fenced(Fence::Lease);
    metrics.encode().unwrap()
}

/// Title and query of every panel, variable and annotation of the dashboard.
fn queries() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("grafana/triaged.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((&panel["title"], &target["expr"]));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        found.push((&annotation["name"], &annotation["expr"]));
    }
    found
        .into_iter()
        .map(|(title, query)| (title.as_str().unwrap().into(), query.as_str().unwrap().into()))
        .collect()
}

#[test]
fn promtool_has_no_word_against_the_metrics() {
    let (content, said) = promtool(&["check", "metrics"], &exported());
    assert!(content && said.is_empty(), "{said}");
}

#[test]
fn every_query_of_the_dashboard_names_metrics_that_the_daemon_exports() {
    let exported = exported();
    let families: BTreeSet<&str> = exported
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let name = Regex::new(r"\b(?:triaged|process)_[a-z_]+").unwrap();
    for (title, query) in queries() {
        let names: Vec<&str> = name.find_iter(&query).map(|found| found.as_str()).collect();
        assert!(!names.is_empty(), "{title}: {query} names no metric");
        for metric in names {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| metric.strip_suffix(part).filter(|one| families.contains(one)))
                .unwrap_or(metric);
            assert!(families.contains(family), "{title}: nobody exports {metric}");
        }
    }
}

#[test]
fn every_query_of_the_dashboard_is_one_that_prometheus_reads() {
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (number, (_, query)) in queries().iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m").replace('\'', "''");
        write!(rules, "  - record: query:{number}\n    expr: '{query}'\n").unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    let (content, said) = promtool(&["check", "rules", file.path().to_str().unwrap()], "");
    assert!(content, "{said}");
}

#[test]
fn each_rule_about_alerts_that_do_not_get_out_fires_and_is_quiet_as_it_should() {
    let path = |name: &str| root().join("grafana").join(name).to_str().unwrap().to_owned();
    for arguments in
        [["check", "rules", &path("alerts.yml")], ["test", "rules", &path("alerts.test.yml")]]
    {
        let (content, said) = promtool(&arguments, "");
        assert!(content && said.contains("SUCCESS"), "{said}");
    }
    let rules = std::fs::read_to_string(path("alerts.yml")).unwrap();
    let exported = exported();
    for metric in Regex::new(r"\btriaged_[a-z_]+").unwrap().find_iter(&rules) {
        let family = format!("# TYPE {} ", metric.as_str());
        assert!(exported.contains(&family), "nobody exports {}", metric.as_str());
    }
}
