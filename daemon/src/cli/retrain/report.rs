//! What `triaged retrain` prints: the plan, the figures of old and new, the verdict. Numbers and
//! names of labels, never a word of a mail.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::{Map, Value, json};
use triaged::retrain::environment::{Environment, EnvironmentError};
use triaged_core::retrain::{Collection, Compared, HeadVerdict, Verdict};

use super::plan::Plan;

/// The report as it grows.
pub(super) struct Report {
    base: String,
    mails: Value,
    labels: Value,
    verdict: Option<Verdict>,
    seconds: Option<u64>,
    version: Option<String>,
    active: bool,
}

impl Report {
    pub(super) fn new(plan: &Plan) -> Self {
        let (teach, judge) = (plan.teaching().len(), plan.judges());
        let by_heart = judge.held_out.iter().filter(|(.., by_heart)| *by_heart).count();
        Self {
            base: plan.base_version.clone(),
            mails: json!({
                "labelled": plan.dataset.mails.len(),
                "merged": plan.dataset.merged,
                "unlabelled": plan.dataset.unlabelled,
                "teach": teach,
                "judge": judge.held_out.len(),
                "judge_known_by_heart": by_heart,
                "check_set": judge.check.len(),
            }),
            labels: json!(Collection::counts(&plan.dataset.mails)),
            verdict: None,
            seconds: None,
            version: None,
            active: false,
        }
    }

    pub(super) fn judged(&mut self, verdict: Verdict, took: Duration) {
        (self.verdict, self.seconds) = (Some(verdict), Some(took.as_secs()));
    }

    pub(super) fn adopted(&mut self, version: String, active: bool) {
        (self.version, self.active) = (Some(version), active);
    }

    /// What is going to happen.
    pub(super) fn plan_text(
        &self,
        plan: &Plan,
        environment: &Result<Environment, EnvironmentError>,
    ) -> String {
        let count = |name: &str| self.mails.get(name).and_then(Value::as_u64).unwrap_or_default();
        let mut text = format!("base       {} in {}\n", self.base, plan.base.display());
        let left = format!("{} copies, {} without a label", count("merged"), count("unlabelled"));
        let _ = writeln!(text, "mails      {} labelled; left out: {left}", count("labelled"));
        for (head, labels) in Collection::counts(&plan.dataset.mails) {
            let shown = labels.into_iter().map(|(label, mails)| {
                let own = if plan.dataset.names.is_known(head, label) { "" } else { " (new)" };
                format!("{label} {mails}{own}")
            });
            let _ = writeln!(text, "{head:10} {}", shown.collect::<Vec<_>>().join(", "));
        }
        let _ = writeln!(
            text,
            "split      {} teach, {} judge ({} of these the base knows by heart); no sender and \
             no conversation is on both sides",
            count("teach"),
            count("judge"),
            count("judge_known_by_heart")
        );
        let _ = writeln!(text, "check set  {} mails", count("check_set"));
        let python = match environment {
            Ok(environment) => environment.python.display().to_string(),
            Err(error) => format!("not ready: {error}"),
        };
        text + &format!("python     {python}\n")
    }

    /// What became of it.
    pub(super) fn verdict_text(&self) -> String {
        let Some(verdict) = &self.verdict else { return String::new() };
        let mut text = format!("\n{}\n", table(verdict));
        for head in &verdict.heads {
            for own in &head.own {
                let _ = writeln!(
                    text,
                    "{}={}: recall {:.2}, precision {:.2} on {} held-out mails",
                    head.head, own.label, own.recall, own.precision, own.mails
                );
            }
        }
        let minutes = self.seconds.unwrap_or_default().div_ceil(60);
        match &self.version {
            Some(version) if self.active => {
                let _ =
                    writeln!(text, "accepted after {minutes} min: {version} serves from now on");
            }
            Some(version) => {
                let _ = writeln!(
                    text,
                    "accepted after {minutes} min as {version}; let it serve with: triaged model \
                     activate {version}"
                );
            }
            None => {
                let _ =
                    writeln!(text, "refused after {minutes} min; {} stays as it is:", self.base);
                for refusal in &verdict.refusals {
                    let _ = writeln!(text, "- {refusal}");
                }
            }
        }
        text
    }

    /// The same for programs.
    pub(super) fn as_json(&self, outcome: &str) -> String {
        let heads = self.verdict.iter().flat_map(|verdict| &verdict.heads);
        let heads: Map<String, Value> =
            heads.map(|head| (head.head.clone(), head_as_json(head))).collect();
        let refusals = self.verdict.iter().flat_map(|verdict| &verdict.refusals);
        let object = json!({
            "outcome": outcome,
            "base": self.base,
            "version": self.version,
            "active": self.active,
            "mails": self.mails,
            "labels": self.labels,
            "heads": heads,
            "refusals": refusals.map(ToString::to_string).collect::<Vec<_>>(),
            "seconds": self.seconds,
        });
        format!("{object:#}\n")
    }
}

fn table(verdict: &Verdict) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["head", "held out", "macro-F1", "accuracy", "kappa", "check set, macro-F1"]);
    for head in &verdict.heads {
        let check = head.check.as_ref();
        table.add_row([
            head.head.clone(),
            head.held_out.mails.to_string(),
            change(head.held_out.macro_f1),
            change(head.held_out.accuracy),
            head.kappa.map_or("-".to_owned(), |kappa| format!("{kappa:.2}")),
            check.map_or("-".to_owned(), |check| change(check.macro_f1)),
        ]);
    }
    table
}

fn change((before, after): (f64, f64)) -> String {
    format!("{before:.3} → {after:.3}")
}

fn head_as_json(head: &HeadVerdict) -> Value {
    let own = head.own.iter().map(|own| {
        json!({
            "label": own.label,
            "mails": own.mails,
            "recall": rounded(own.recall),
            "precision": rounded(own.precision),
        })
    });
    json!({
        "held_out": compared(&head.held_out),
        "fresh": head.fresh.map(|fresh| compared(&fresh.found)),
        "fresh_lower": head.fresh.map(|fresh| rounded(fresh.lower)),
        "check_set": head.check.as_ref().map(compared),
        "kappa": head.kappa.map(rounded),
        "own": own.collect::<Vec<_>>(),
    })
}

fn compared(found: &Compared) -> Value {
    let pair = |(before, after): (f64, f64)| json!([rounded(before), rounded(after)]);
    json!({
        "mails": found.mails,
        "macro_f1": pair(found.macro_f1),
        "accuracy": pair(found.accuracy),
    })
}

/// Six digits, as in `triaged eval`.
fn rounded(share: f64) -> Value {
    json!((share * 1e6).round() / 1e6)
}
