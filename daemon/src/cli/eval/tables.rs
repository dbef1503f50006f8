//! What people read of an evaluation: a few lines and two small tables a head.
//!
//! Without a terminal the tables have no lines, and nothing is ever coloured.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, Table, presets};
use triaged_core::evaluation::{Figures, LabelScores};

use super::mistakes::Mistake;
use super::report::{HeadReport, Report};

/// The whole report.
pub(super) fn text(report: &Report<'_>, on_terminal: bool) -> String {
    let mut out = format!("{} on {}", report.model, counted(report.mails, "mail"));
    if report.unlabelled > 0 {
        let _ = write!(out, "; {} without a known label passed over", report.unlabelled);
    }
    if report.refused > 0 {
        let _ = write!(out, "; {} that can not be used", report.refused);
    }
    out.push('\n');
    for head in &report.heads {
        let _ = match &head.figures {
            None => write!(out, "\n{}: no mail says it\n", head.name),
            Some(figures) => write!(out, "\n{}", block(head, figures, on_terminal)),
        };
    }
    out
}

fn block(head: &HeadReport, figures: &Figures, on_terminal: bool) -> String {
    let mut out = format!("{}: {}\n", head.name, counted(figures.mails, "mail"));
    let interval = |(low, high): (f64, f64)| format!("({low:.3} to {high:.3})");
    let _ = writeln!(
        out,
        "macro-F1 {:.3} {}, accuracy {:.3} {}, calibration error {:.3}",
        figures.macro_f1,
        interval(figures.macro_f1_interval),
        figures.accuracy,
        interval(figures.accuracy_interval),
        figures.ece
    );
    if figures.named_accuracy.total_cmp(&figures.accuracy).is_ne() {
        // Only where labels have thresholds of their own.
        let (macro_f1, accuracy) = (figures.named_macro_f1, figures.named_accuracy);
        let _ = writeln!(out, "as named: macro-F1 {macro_f1:.3}, accuracy {accuracy:.3}");
    }
    let _ = writeln!(out, "{}", abstention(figures));
    let _ = writeln!(out, "\n{}", scores(figures, on_terminal));
    let _ = writeln!(out, "\n{}", confusion(figures, on_terminal));
    if !head.mistakes.is_empty() {
        let _ = writeln!(out, "\n{}", mistakes(&head.mistakes, on_terminal));
    }
    out
}

fn abstention(figures: &Figures) -> String {
    let reasons = figures.reasons;
    let mut out = format!("abstained {:.1} %", figures.abstained * 100.0);
    let counts = [
        (reasons.unsure, "unsure"),
        (reasons.language, "another language"),
        (reasons.too_little_text, "too little text"),
    ];
    let why: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    if !why.is_empty() {
        let _ = write!(out, " ({})", why.join(", "));
    }
    if let Some(accuracy) = figures.answered_accuracy {
        let _ = write!(out, ", accuracy of the answered {accuracy:.3}");
    }
    out
}

fn scores(figures: &Figures, on_terminal: bool) -> String {
    let mut table = table(on_terminal);
    table.set_header([
        "label",
        "mails",
        "precision",
        "recall",
        "F1",
        "answered:",
        "precision",
        "recall",
        "F1",
    ]);
    for label in &figures.labels {
        let mut row = vec![label.label.clone(), label.mails.to_string()];
        row.extend(three(label.argmax));
        row.push(String::new());
        row.extend(three(label.answered));
        table.add_row(row);
    }
    finished(table)
}

fn three(scores: LabelScores) -> [String; 3] {
    [scores.precision, scores.recall, scores.f1]
        .map(|score| score.map_or_else(|| "-".to_owned(), |score| format!("{score:.2}")))
}

/// The labels have numbers, so that twelve columns fit.
fn confusion(figures: &Figures, on_terminal: bool) -> String {
    let mut table = table(on_terminal);
    let numbers = 1..=figures.labels.len();
    let titles = ["truth \\ found".to_owned()].into_iter();
    table.set_header(titles.chain(numbers.clone().map(|number| number.to_string())));
    let rows = figures.confusion.argmax.rows().zip(numbers).zip(&figures.labels);
    for ((row, number), label) in rows {
        let name = [format!("{number} {}", label.label)].into_iter();
        let counts =
            row.iter().map(|&count| if count == 0 { ".".into() } else { count.to_string() });
        table.add_row(name.chain(counts));
    }
    finished(table)
}

fn mistakes(mistakes: &[Mistake], on_terminal: bool) -> String {
    let mut table = table(on_terminal);
    table.set_header(["truth", "found", "p", "id", "file"]);
    for mistake in mistakes {
        let doubt = if mistake.abstained.is_some() { "?" } else { "" };
        table.add_row([
            mistake.truth.clone(),
            mistake.found.clone(),
            format!("{:.2}{doubt}", mistake.probability),
            printable(mistake.id.as_deref().unwrap_or("-")),
            printable(&mistake.file),
        ]);
    }
    let mut out = finished(table);
    for mistake in mistakes {
        if let Some(text) = &mistake.text {
            let lines: Vec<_> = text.lines().map(|line| format!("  {}", printable(line))).collect();
            let _ = write!(out, "\n\n{}\n{}", printable(&mistake.file), lines.join("\n"));
        }
    }
    out
}

fn table(on_terminal: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(if on_terminal { presets::UTF8_HORIZONTAL_ONLY } else { presets::NOTHING });
    table
}

/// Numbers to the right, names to the left, and no blanks at the ends of lines.
fn finished(mut table: Table) -> String {
    let named = |title: &str| {
        ["label", "truth", "found", "id", "file"].iter().any(|name| title.starts_with(name))
    };
    let titles: Vec<String> =
        table.header().map(|row| row.cell_iter().map(Cell::content).collect()).unwrap_or_default();
    for (column, title) in table.column_iter_mut().zip(titles) {
        let side = if named(&title) { CellAlignment::Left } else { CellAlignment::Right };
        column.set_cell_alignment(side);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// "1 mail", "2 mails".
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A name or a text comes from a stranger: nothing in it may steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
