//! Leaves out quoted history: what the writer answers is context, not message.
//!
//! It deliberately keeps forwarded mail, which the reader is meant to read, and every line
//! that the writer put between quoted ones.

use super::marks::{self, Mark};

/// The text without its quoted history.
pub(super) fn without(subject: &str, body: &str) -> String {
    let lines: Vec<&str> = body.lines().collect();
    let forwards = marks::is_forward_subject(subject);
    let mut kept: Vec<&str> = Vec::with_capacity(lines.len());
    let mut before = None;
    let mut at = 0;
    while let Some((&line, rest)) = lines.get(at..).and_then(<[&str]>::split_first) {
        let quoted = marks::is_quoted(line);
        let mark = if quoted { None } else { marks::mark(before, lines.get(at..).unwrap_or_default()) };
        match mark {
            Some(Mark::Forward) => {
                kept.push(line);
                kept.extend(rest);
                break;
            }
            Some(_) if forwards => {
                kept.push(line);
                kept.extend(rest);
                break;
            }
            Some(Mark::History) => break,
            Some(Mark::Attribution { lines }) => at += lines,
            None if quoted && forwards => {
                kept.push(line);
                at += 1;
            }
            None if quoted => at += 1,
            None => {
                kept.push(line);
                at += 1;
            }
        }
        before = Some(line).filter(|line| !line.trim().is_empty()).or(before);
    }
    kept.join("\n").trim().to_owned()
}
