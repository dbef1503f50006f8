//! Recognises the lines with which mail programs introduce older mail, in the languages that
//! they speak.
//!
//! It deliberately decides nothing: `history` says what becomes of the lines.

use super::vocabulary::{
    ATTRIBUTION_OPENINGS, BELOW, FORWARD_OPENINGS, FORWARD_PREFIXES, FORWARDED, FROM_FIELDS,
    ORIGINAL, OTHER_FIELDS, SENT_FIELDS, WROTE,
};

/// An attribution may be wrapped over this many lines.
const ATTRIBUTION_LINES: usize = 3;
/// Longer lines than this are sentences of the writer.
const ATTRIBUTION_BYTES: usize = 300;
const MARKER_BYTES: usize = 120;
/// The header lines of a quoted mail follow its first one closely.
const HEADER_LINES: usize = 6;

/// What a run of lines introduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Forwarded mail: the text below is meant for the reader.
    Forward,
    /// Older mail: `lines` introduce it, `to_end` says that it fills the rest, and `answered`
    /// that the introduction says who wrote it, as only a reply does.
    Older { lines: usize, to_end: bool, answered: bool },
}

/// Whether the subject says that the mail is forwarded; of several prefixes the first counts.
pub(super) fn is_forward_subject(subject: &str) -> bool {
    subject.split_once([':', '：']).is_some_and(|(prefix, _)| {
        FORWARD_PREFIXES.contains(&prefix.trim().trim_matches(['[', '*']).to_lowercase().as_str())
    })
}

/// Whether the subject bears the prefix of a reply or of anything alike ("Re:", "AW:", "[x] Re:").
pub(super) fn is_prefixed_subject(subject: &str) -> bool {
    let subject = subject.rsplit_once(']').map_or(subject, |(_, rest)| rest).trim();
    subject.split_once([':', '：']).is_some_and(|(prefix, _)| prefix.chars().count() <= 5)
}

/// Whether the text sends its reader to what stands below it.
pub(super) fn points_below(text: &str) -> bool {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .filter(|word| !word.is_empty())
        .collect();
    BELOW.iter().any(|known| {
        let known: Vec<&str> = known.split(' ').collect();
        words.windows(known.len()).any(|window| window == known)
    })
}

/// Whether the line is quoted with `>`.
pub(super) fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// What the lines introduce, if anything.
pub(super) fn mark(before: Option<&str>, lines: &[&str]) -> Option<Mark> {
    let first = lines.first()?.trim();
    if first.is_empty() {
        return None;
    }
    if is_forward_marker(first) {
        return Some(Mark::Forward);
    }
    if is_original_marker(first) {
        return Some(older(lines, 1));
    }
    if let Some(header) = header_block(before, lines) {
        return Some(older(lines, header));
    }
    attribution(lines)
}

/// What an introduction of this many lines announces: history to the end, unless quoted lines
/// follow, between which the writer may have answered.
fn older(lines: &[&str], introduction: usize) -> Mark {
    let below = lines.iter().skip(introduction).find(|line| !line.trim().is_empty());
    let to_end = !below.is_some_and(|line| is_quoted(line));
    Mark::Older { lines: introduction, to_end, answered: false }
}

fn is_forward_marker(line: &str) -> bool {
    if line.len() > MARKER_BYTES {
        return false;
    }
    let lower = line.to_lowercase();
    FORWARD_OPENINGS.iter().any(|opening| lower.starts_with(opening))
        || (line.starts_with("--") && FORWARDED.iter().any(|word| lower.contains(word)))
}

fn is_original_marker(line: &str) -> bool {
    let dashed = |dash| line.starts_with(dash) && line.ends_with(dash);
    if line.len() > MARKER_BYTES || !(dashed("--") || dashed("__") || dashed("==")) {
        return false;
    }
    let lower = line.to_lowercase();
    ORIGINAL.iter().any(|word| lower.contains(word))
}

/// The lines of a header block: `From:` with a date field, and another field unless the date
/// follows at once. A line of dashes above it is the mark of a mailing list's digest, whose mails
/// are all new.
fn header_block(before: Option<&str>, lines: &[&str]) -> Option<usize> {
    if !is_field(lines.first()?, FROM_FIELDS) || before.is_some_and(is_digest_rule) {
        return None;
    }
    let below = lines.iter().skip(1).take(HEADER_LINES).take_while(|line| !line.trim().is_empty());
    let mut sent = None;
    let mut other = false;
    let mut last = 0;
    for (at, line) in below.enumerate() {
        if sent.is_none() && is_field(line, SENT_FIELDS) {
            sent = Some(at);
        }
        other |= is_field(line, OTHER_FIELDS);
        last = at + 1;
    }
    let found = sent.is_some_and(|at| at == 0 || other);
    found.then_some(last + 1)
}

fn is_digest_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 10 && line.bytes().all(|byte| byte == b'-')
}

/// Whether the line is a header field of one of these names; bold marks (`*From:*`) are allowed.
fn is_field(line: &str, names: &[&str]) -> bool {
    line.split_once([':', '：']).is_some_and(|(name, value)| {
        let name = name.trim().trim_matches('*').trim();
        name.len() <= 32
            && !value.trim().is_empty()
            && names.contains(&name.to_lowercase().as_str())
    })
}

/// "On Monday Ada wrote:", wrapped or not.
fn attribution(lines: &[&str]) -> Option<Mark> {
    let mut joined = String::new();
    for (at, line) in lines.iter().take(ATTRIBUTION_LINES).enumerate() {
        let line = line.trim();
        if line.is_empty() || joined.len() + line.len() > ATTRIBUTION_BYTES {
            return None;
        }
        // A line of the writer's own right above an attribution is no part of it.
        if at == 1 && !may_be_wrapped(&joined) {
            return None;
        }
        joined.push_str(&line.to_lowercase());
        joined.push(' ');
        if line.ends_with([':', '：', '*', ';']) || line.ends_with("...") {
            let below = lines.iter().skip(at + 1).find(|line| !line.trim().is_empty());
            return read_attribution(&joined, at + 1, below.is_some_and(|line| is_quoted(line)));
        }
    }
    None
}

/// Whether an attribution may begin like this and go on in the next line.
fn may_be_wrapped(first: &str) -> bool {
    first.contains('@')
        || first.starts_with(|c: char| c.is_ascii_digit())
        || ATTRIBUTION_OPENINGS.iter().any(|opening| first.starts_with(opening))
}

fn read_attribution(joined: &str, lines: usize, quoted: bool) -> Option<Mark> {
    let said = joined.trim().trim_end_matches([':', '：', '*', ';', '.']).trim_end();
    let opens = ATTRIBUTION_OPENINGS.iter().any(|opening| said.starts_with(opening));
    let dated = said.contains(|c: char| c.is_ascii_digit());
    let addressed = said.contains('@');
    let wrote = WROTE.iter().any(|verb| said.ends_with(verb));
    let wrote_early = || WROTE.iter().any(|verb| said.contains(&format!(" {verb} ")));
    let named = opens && dated && (addressed || wrote_early());
    let dated_address = addressed && dated && said.starts_with(|c: char| c.is_ascii_digit());
    if quoted {
        let known = wrote || named || dated_address || (lines == 1 && opens && wrote_early());
        return known.then_some(Mark::Older { lines, to_end: false, answered: true });
    }
    let sure = (opens && dated && wrote)
        || (wrote && addressed)
        || (dated_address && said.ends_with('>'))
        || (opens && dated && addressed && wrote_early());
    sure.then_some(Mark::Older { lines, to_end: true, answered: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_from_sentences() {
        fn check(text: &str, expected: Option<Mark>) {
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(mark(None, &lines), expected, "{text}");
        }
        let attribution = |lines| Some(Mark::Older { lines, to_end: false, answered: true });
        let history = |lines| Some(Mark::Older { lines, to_end: true, answered: false });
        check("---------- Forwarded message ---------", Some(Mark::Forward));
        check("-------- Weitergeleitete Nachricht --------", Some(Mark::Forward));
        check("Begin forwarded message:", Some(Mark::Forward));
        check("-----Original Message-----", history(1));
        check("-----Ursprüngliche Nachricht-----", history(1));
        check("-----Message d'origine-----", history(1));
        check("From: Ada\nSent: Monday\nTo: Bob", history(3));
        check("*Von:* Ada\n*Gesendet:* Montag", history(2));
        check("De : Ada\nÀ : Bob\nEnvoyé : lundi\nObjet : x", history(4));
        check("From: 9B To: Theatres\nPatient: none", None);
        check("From: Ada\nSubject: a digest entry", None);
        check(
            "On Mon, 2 Feb 2026 at 16:41, Ada <a@b.example> wrote:\nold",
            Some(Mark::Older { lines: 1, to_end: true, answered: true }),
        );
        check("On Mon, 2 Feb 2026 at 16:41, Ada\n<a@b.example> wrote:\n> old", attribution(2));
        check("Am 02.02.2026 um 16:41 schrieb Ada:\n> alt", attribution(1));
        check("Ada wrote:\n> old", attribution(1));
        check("Here's what she wrote:\nit is late", None);
        check("On Sunday you wrote, and I'd been so glad about it:\ncome", None);
        check("On 6 January I pressed \"Delete\".", None);
        check("----------------------------", None);
    }

    #[test]
    fn the_first_prefix_of_a_subject_counts() {
        assert!(is_forward_subject("FW: Re: x") && is_forward_subject("WG: x"));
        assert!(!is_forward_subject("Re: Fwd: x") && !is_forward_subject("x"));
    }
}
