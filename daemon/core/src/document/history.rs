//! Leaves out quoted history: what the writer answers is context, not message.
//!
//! It deliberately keeps forwarded mail, which the reader is meant to read, and every line
//! that the writer put between quoted ones.

use super::marks::{self, Mark};

/// A text up to this many characters may be no more than a pointer to what stands below it.
const POINTER_CHARS: usize = 160;

/// The text without its quoted history; the whole text where the writer's part is no more than
/// a pointer to it ("see below", or a forwarded question under a subject of its own).
pub(super) fn without(subject: &str, body: &str) -> String {
    let Written { text, answers } = written(subject, body);
    let brief = text.chars().nth(POINTER_CHARS).is_none();
    let own_subject = !answers && !subject.is_empty() && !marks::is_prefixed_subject(subject);
    if brief && (own_subject || marks::points_below(&text)) {
        return body.trim().to_owned();
    }
    text
}

/// The writer's own lines, and whether they answer somebody by name.
struct Written {
    text: String,
    answers: bool,
}

fn written(subject: &str, body: &str) -> Written {
    let lines: Vec<&str> = body.lines().collect();
    let forwards = marks::is_forward_subject(subject);
    let replies = marks::is_reply_subject(subject);
    let mut kept: Vec<&str> = Vec::with_capacity(lines.len());
    let mut before = None;
    let mut answers = false;
    let mut at = 0;
    while let Some((&line, rest)) = lines.get(at..).and_then(<[&str]>::split_first) {
        let quoted = marks::is_quoted(line);
        let below = lines.get(at..).unwrap_or_default();
        let mark = if quoted { None } else { marks::mark(before, below) };
        let mark = mark.or_else(|| replies.then(|| marks::dated_header(before, below)).flatten());
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
            Some(Mark::Older { lines, to_end, answered }) => {
                answers |= answered;
                if to_end {
                    break;
                }
                at += lines;
            }
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
    Written { text: kept.join("\n").trim().to_owned(), answers }
}
