//! Recognises the lines with which mail programs introduce older mail, in the languages that
//! they speak.
//!
//! It deliberately decides nothing: `history` says what becomes of the lines.

use super::vocabulary::{
    ATTRIBUTION_OPENINGS, BELOW, DATE_FIELDS, FORWARD_OPENINGS, FORWARD_PREFIXES, FORWARDED,
    FROM_FIELDS, MESSAGE, ORIGINAL, OTHER_FIELDS, REPLY_PREFIXES, SENT_FIELDS, SUBJECT_FIELDS,
    WROTE,
};

/// An attribution may be wrapped over this many lines.
const ATTRIBUTION_LINES: usize = 3;
/// Longer lines than this are sentences of the writer.
const ATTRIBUTION_BYTES: usize = 300;
const MARKER_BYTES: usize = 120;
/// A header block has no more lines.
const HEADER_LINES: usize = 7;

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
    opens_with(subject, FORWARD_PREFIXES)
}

/// Whether the subject says that the mail is a reply.
pub(super) fn is_reply_subject(subject: &str) -> bool {
    opens_with(subject, REPLY_PREFIXES)
}

fn opens_with(subject: &str, prefixes: &[&str]) -> bool {
    subject.split_once([':', '：']).is_some_and(|(prefix, _)| {
        prefixes.contains(&prefix.trim().trim_matches(['[', '*']).to_lowercase().as_str())
    })
}

/// The subject without the prefixes of replies and forwards, however many there are.
pub(super) fn without_prefixes(subject: &str) -> &str {
    let mut rest = subject.trim();
    while is_reply_subject(rest) || is_forward_subject(rest) {
        rest = rest.split_once([':', '：']).map_or("", |(_, after)| after.trim());
    }
    rest
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

/// Whether the line says "original message" between dashes, or nothing but "original".
fn is_original_marker(line: &str) -> bool {
    let dashed = |dash| line.starts_with(dash) && line.ends_with(dash);
    if line.len() > MARKER_BYTES || !(dashed("--") || dashed("__") || dashed("==")) {
        return false;
    }
    let lower = line.to_lowercase();
    let said = lower.trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '_' | '='));
    let holds = |words: &[&str]| words.iter().any(|word| said.contains(word));
    ORIGINAL.contains(&said) || (holds(ORIGINAL) && holds(MESSAGE))
}

/// The lines of a header block: `From:` with a date field, and another field unless the date
/// follows at once. Something must be of mail and not of a journey: a subject, an address after
/// `From:`, or the minute of sending. A line of dashes above it is the mark of a mailing list's
/// digest, whose mails are all new.
fn header_block(before: Option<&str>, lines: &[&str]) -> Option<usize> {
    let from = lines.first().filter(|line| is_field(line, FROM_FIELDS))?;
    if before.is_some_and(is_digest_rule) {
        return None;
    }
    let block = filled(lines);
    let find = |names| block.iter().position(|line| is_field(line, names));
    let sent = find(SENT_FIELDS);
    let date = sent.or_else(|| find(DATE_FIELDS))?;
    let subject = find(SUBJECT_FIELDS).is_some();
    let complete = date == 1 || subject || find(OTHER_FIELDS).is_some();
    let exact = || sent.and_then(|at| block.get(at)).is_some_and(|line| is_moment(line));
    (complete && (subject || from.contains('@') || exact())).then_some(block.len())
}

/// A header block as Hotmail writes it, the date first, above the mail that is answered. Robots
/// pass on what somebody wrote to a form in the same shape: look for it in replies only.
pub(super) fn dated_header(before: Option<&str>, lines: &[&str]) -> Option<Mark> {
    lines.first().filter(|line| is_field(line, DATE_FIELDS))?;
    // In a digest, the date has a number above it ("Message: 1").
    if before.is_some_and(|line| is_digest_rule(line) || line.contains(':')) {
        return None;
    }
    let block = filled(lines);
    let from = block.iter().find(|line| is_field(line, FROM_FIELDS))?;
    let other = block.iter().any(|line| is_field(line, OTHER_FIELDS));
    (other && from.contains('@')).then(|| older(lines, block.len()))
}

/// The lines of a header block, up to the blank line below it.
fn filled<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let filled = lines.iter().take_while(|line| !line.trim().is_empty());
    filled.take(HEADER_LINES).copied().collect()
}

/// Whether the line holds a year and a time of day.
fn is_moment(line: &str) -> bool {
    let all_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let bytes = line.as_bytes();
    bytes.windows(4).any(all_digits)
        && bytes.windows(3).any(|part| matches!(part, [a, b':', c] if all_digits(&[*a, *c])))
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

/// Whether the text opens with a date, or with a weekday and a date.
fn is_dated_opening(text: &str) -> bool {
    let weekday = |(day, _): &(&str, &str)| day.chars().all(char::is_alphabetic);
    let date = text.split_once(", ").filter(weekday).map_or(text, |(_, date)| date);
    date.starts_with(|c: char| c.is_ascii_digit())
}

fn read_attribution(joined: &str, lines: usize, quoted: bool) -> Option<Mark> {
    let said = joined.trim().trim_end_matches([':', '：', '*', ';', '.']).trim_end();
    let opens = ATTRIBUTION_OPENINGS.iter().any(|opening| said.starts_with(opening));
    let dated = said.contains(|c: char| c.is_ascii_digit());
    let addressed = said.contains('@');
    let wrote = WROTE.iter().any(|verb| said.ends_with(verb));
    let wrote_early = || WROTE.iter().any(|verb| said.contains(&format!(" {verb} ")));
    let named = opens && dated && (addressed || wrote_early());
    // A weekday alone opens sentences, too: what is dated to the minute is a program's.
    let by_program = said.starts_with(|c: char| c.is_ascii_digit()) || is_moment(said);
    let dated_address = by_program && addressed && is_dated_opening(said);
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
        check("------------------ Original ------------------", history(1));
        check("-----Original Appointment-----", history(1));
        check("---- original proposal ----", None);
        check("From: Ada\nSent: Monday\nTo: Bob\nSubject: x", history(4));
        check("*Von:* Ada <a@b.example>\n*Gesendet:* Montag", history(2));
        check("От: Ada\nОтправлено: четверг, 26 июня 2014 г. 15:05\nКому: Bob", history(3));
        check("From: Berlin\nDate: 3 March\nTo: Paris", None);
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
