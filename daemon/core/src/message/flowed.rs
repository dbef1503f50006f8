//! `format=flowed` text (RFC 3676): joins the lines that the sender's program broke.
//!
//! It deliberately leaves all other text alone: nobody can tell a broken line from a short one.

/// Joins flowed lines; with `delsp` the blank at which a line was broken goes away.
pub(super) fn unwrapped(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let depth = line.bytes().take_while(|&byte| byte == b'>').count();
        let rest = line.get(depth..).unwrap_or_default();
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let signature = rest == "-- ";
        if open != Some(depth) || signature {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(line.get(..depth).unwrap_or_default());
            if depth > 0 {
                out.push(' ');
            }
        }
        let goes_on = rest.ends_with(' ') && !signature;
        out.push_str(if goes_on && delsp { rest.trim_end_matches(' ') } else { rest });
        open = goes_on.then_some(depth);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flowed_lines_are_joined() {
        fn check(text: &str, delsp: bool, expected: &str) {
            assert_eq!(unwrapped(text, delsp), expected, "{text:?}");
        }
        check("a \nb\nc", false, "a b\nc");
        check("a \nb", true, "ab");
        check("> a \n> b\nc", false, "> a b\nc");
        check(">> a \n> b", false, ">> a \n> b");
        check("  x \n-- \nAda", false, " x \n-- \nAda");
        check("a\n\nb", false, "a\n\nb");
        check("", false, "");
    }
}
