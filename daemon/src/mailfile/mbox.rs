//! The lines of an mbox that part its messages, and those that only look so.
//!
//! It deliberately does not read lengths from headers: programs that write them are gone, and
//! files that were edited lie.

/// Whether a line, given whether the one before it was blank, begins a message: `From `, a sender
/// and a time.
pub(super) fn begins_message(line: &[u8], after_blank: bool) -> bool {
    after_blank
        && line.strip_prefix(b"From ").is_some_and(|rest| {
            let rest = rest.trim_ascii();
            let words = rest.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).count();
            words >= 4 && rest.windows(3).any(is_clock)
        })
}

/// A digit, a colon and a digit, as in 14:07.
fn is_clock(window: &[u8]) -> bool {
    matches!(window, [hour, b':', minute] if hour.is_ascii_digit() && minute.is_ascii_digit())
}

/// A line without the mark that keeps `From ` from beginning a message (mboxo and mboxrd).
pub(super) fn unescaped(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|&&byte| byte == b'>').count();
    let quoted = line.get(marks..).is_some_and(|rest| rest.starts_with(b"From "));
    if marks > 0 && quoted { line.get(1..).unwrap_or_default() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_envelope_after_a_blank_line_begins_a_message() {
        fn check(line: &str, after_blank: bool, expected: bool) {
            assert_eq!(begins_message(line.as_bytes(), after_blank), expected, "{line}");
        }
        check("From ada@engine.example Mon Nov  2 10:07:00 2026", true, true);
        check("From MAILER-DAEMON Mon Nov  2 10:07:00 2026", true, true);
        check("From ada@engine.example Mon Nov  2 10:07:00 2026", false, false);
        check("From here on it is easy.", true, false);
        check("From: ada@engine.example", true, false);
        check(">From ada Mon Nov  2 10:07:00 2026", true, false);
    }

    #[test]
    fn one_mark_is_taken_off() {
        fn check(line: &str, expected: &str) {
            assert_eq!(unescaped(line.as_bytes()), expected.as_bytes());
        }
        check(">From here", "From here");
        check(">>From here", ">From here");
        check("> From here", "> From here");
        check(">quoted", ">quoted");
    }
}
