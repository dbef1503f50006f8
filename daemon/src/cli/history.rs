//! `triaged history`: what was decided about each message, and what became of it.
//!
//! Reads beside a running daemon and changes nothing.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use triaged::clock::Clock;
use triaged::store::{History, HistoryAnswer, HistoryEffect, HistoryRow, Location};
use triaged_core::score::Abstention;

use super::{Exit, Failure, OrExit, moment};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object a line instead of a table row
    #[arg(long)]
    json: bool,
    /// Only what was decided since then: a date or time like 2026-11-21 or 2026-11-21T08:00Z, or
    /// a span like 2h, 7d, 4w before now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// Prints the history in the order of time.
pub(super) fn run(config: &Path, args: &Args) -> Result<Exit, Failure> {
    let since = match &args.since {
        Some(text) => {
            moment::since(text, Clock.now()).map_err(anyhow::Error::msg).or_exit(Exit::Usage)?
        }
        None => Timestamp::MIN,
    };
    let config = super::load(config)?;
    super::block_on(print(super::database(&config)?, since, args.json))?
}

async fn print(at: Location, since: Timestamp, json: bool) -> Result<Exit, Failure> {
    let mut history = History::open(at, since).await.map_err(super::unserved)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    loop {
        let page = history.page().await.map_err(super::unserved)?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            let line = if json { as_json(row).to_string() } else { as_line(row) };
            if writeln!(out, "{line}").is_err() {
                return Ok(Exit::Ok);
            }
        }
    }
    // A reader that went away has seen what it wanted.
    let _ = out.flush();
    Ok(Exit::Ok)
}

fn as_json(row: &HistoryRow) -> Value {
    let labels: Map<String, Value> =
        row.heads.iter().map(|answer| (answer.head.clone(), json!(answer.label))).collect();
    let confidences: Map<String, Value> =
        row.heads.iter().map(|answer| (answer.head.clone(), json!(answer.confidence))).collect();
    let abstained: Map<String, Value> = row
        .heads
        .iter()
        .filter_map(|answer| Some((answer.head.clone(), json!(answer.abstained?.as_str()))))
        .collect();
    let keywords: Vec<&str> = row.keywords.iter().map(|(keyword, _)| keyword.as_str()).collect();
    let alerts: Vec<Value> =
        row.alerts.iter().map(|(rule, state)| json!({"rule": rule, "state": state})).collect();
    let effects: Vec<Value> = row.effects.iter().map(effect_as_json).collect();
    let mut object = json!({
        "number": row.number,
        "time": row.time.to_string(),
        "account": row.account,
        "mailbox": row.mailbox,
        "uid": row.uid,
        "labels": labels,
        "confidences": confidences,
        "abstained": abstained,
        "keywords": keywords,
        "action": row.action.as_str(),
        "outcome": row.outcome.as_str(),
        "model": row.model,
        "defects": row.defects,
        "effects": effects,
    });
    if let (false, Some(object)) = (alerts.is_empty(), object.as_object_mut()) {
        object.insert("alerts".to_owned(), Value::Array(alerts));
    }
    for (name, value) in [("subject", &row.subject), ("moved_to", &row.moved_to)] {
        if let (Some(value), Some(object)) = (value, object.as_object_mut()) {
            object.insert(name.to_owned(), json!(value));
        }
    }
    object
}

fn effect_as_json(effect: &HistoryEffect) -> Value {
    json!({
        "kind": effect.kind,
        "argument": effect.argument,
        "state": effect.state.as_str(),
        "rule": effect.rule,
    })
}

fn as_line(row: &HistoryRow) -> String {
    let labels: Vec<String> = row
        .heads
        .iter()
        .map(|HistoryAnswer { label, confidence, abstained, .. }| {
            let doubt = if abstained.is_some() { "?" } else { "" };
            format!("{label}{doubt} {:.0}%", confidence * 100.0)
        })
        .collect();
    let mut line = format!(
        "#{}  {}  {}/{} uid {}  {}  {} -> {}",
        row.number,
        row.time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S"),
        row.account,
        printable(&row.mailbox),
        row.uid,
        if labels.is_empty() { "no answer".to_owned() } else { labels.join(", ") },
        row.action.as_str(),
        row.outcome.as_str(),
    );
    for part in [row.model.as_deref(), row.subject.as_deref()].into_iter().flatten() {
        line.push_str("  ");
        line.push_str(&printable(part));
    }
    if let Some(target) = &row.moved_to {
        line.push_str("  to: ");
        line.push_str(&printable(target));
    }
    for (rule, state) in &row.alerts {
        line.push_str("  alert of ");
        line.push_str(rule);
        line.push_str(": ");
        line.push_str(state);
    }
    let mut rules: Vec<&str> = row.effects.iter().filter_map(|one| one.rule.as_deref()).collect();
    rules.dedup();
    if !rules.is_empty() {
        line.push_str("  rule: ");
        line.push_str(&rules.join(" "));
    }
    let unsure = [None, Some(Abstention::Unsure)];
    let reason = row.heads.iter().find(|answer| !unsure.contains(&answer.abstained));
    if let Some(reason) = reason.and_then(|answer| answer.abstained) {
        line.push_str("  left alone: ");
        line.push_str(reason.as_str());
    }
    if !row.defects.is_empty() {
        line.push_str("  defects: ");
        line.push_str(&row.defects.join(" "));
    }
    line
}

/// A subject comes from a stranger: nothing in it may steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_can_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc\u{9b}d"), "a [31mb  c d");
    }
}
