//! The lines of `triaged check`: what was looked at, how it stands, and the worst of it.

use std::env;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use crate::cli::Exit;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ok,
    Warn,
    Fail(Exit),
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    standing: Standing,
    subject: String,
    text: String,
}

impl Line {
    /// As it should be.
    pub(super) fn ok(subject: impl fmt::Display, text: impl fmt::Display) -> Self {
        Self::new(Standing::Ok, &subject, &text)
    }

    /// Works, and somebody should know.
    pub(super) fn warn(subject: impl fmt::Display, text: impl fmt::Display) -> Self {
        Self::new(Standing::Warn, &subject, &text)
    }

    /// Does not work, which ends the command with `exit`.
    pub(super) fn fail(exit: Exit, subject: impl fmt::Display, text: impl fmt::Display) -> Self {
        Self::new(Standing::Fail(exit), &subject, &text)
    }

    /// The exit code that it leads to by itself, if it is a failure.
    #[cfg(test)]
    pub(super) fn exit(&self) -> Option<Exit> {
        match self.standing {
            Standing::Fail(exit) => Some(exit),
            Standing::Ok | Standing::Warn => None,
        }
    }

    fn new(standing: Standing, subject: &dyn fmt::Display, text: &dyn fmt::Display) -> Self {
        Self { standing, subject: subject.to_string(), text: text.to_string() }
    }
}

/// Prints lines as they come and remembers the worst.
pub(super) struct Report<W> {
    out: W,
    colour: bool,
    worst: Exit,
    warnings: usize,
    failures: usize,
}

/// Width of the column of subjects; longer ones push their text to the right.
const SUBJECT: usize = 14;

impl<W: Write> Report<W> {
    pub(super) fn new(out: W, colour: bool) -> Self {
        Self { out, colour, worst: Exit::Ok, warnings: 0, failures: 0 }
    }

    /// Prints a line and counts it.
    pub(super) fn line(&mut self, line: &Line) {
        let (word, colour) = match line.standing {
            Standing::Ok => ("ok  ", "32"),
            Standing::Warn => {
                self.warnings += 1;
                ("warn", "33")
            }
            Standing::Fail(exit) => {
                self.failures += 1;
                if rank(exit) > rank(self.worst) {
                    self.worst = exit;
                }
                ("FAIL", "1;31")
            }
        };
        let word =
            if self.colour { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() };
        let text = printable(&line.text).replace('\n', "\n      ");
        // When nobody reads any more the exit code is all that counts.
        let _ = writeln!(self.out, "{word}  {:<SUBJECT$}  {text}", printable(&line.subject));
    }

    /// Prints the sum and says how the command ends.
    pub(super) fn finish(mut self) -> Exit {
        let failures = counted(self.failures, "failure");
        let warnings = counted(self.warnings, "warning");
        let _ = match (self.failures, self.warnings) {
            (0, 0) => writeln!(self.out, "All is well."),
            (0, _) => writeln!(self.out, "Ready, with {warnings}."),
            (_, 0) => writeln!(self.out, "{failures}."),
            _ => writeln!(self.out, "{failures}, {warnings}."),
        };
        let _ = self.out.flush();
        self.worst
    }
}

/// Which of two failures decides the exit code: what is wrong here before what a server refuses,
/// and that before what may be back in a minute.
fn rank(exit: Exit) -> u8 {
    match exit {
        Exit::Ok => 0,
        Exit::Unavailable => 1,
        Exit::LoginRefused => 2,
        _ => 3,
    }
}

/// Text for a terminal: what a server or a file name could steer it with is shown escaped.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            let _ = write!(printable, "{}", c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// "1 account", "2 accounts".
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Whether standard output is a terminal that wants colour (no-color.org).
pub(super) fn likes_colour() -> bool {
    let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let able = env::var_os("TERM").is_none_or(|term| term != "dumb");
    wanted && able && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(colour: bool, lines: &[Line]) -> (String, Exit) {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, colour);
        for line in lines {
            report.line(line);
        }
        let exit = report.finish();
        (String::from_utf8(out).expect("text"), exit)
    }

    #[test]
    fn lines_are_aligned_and_the_worst_decides() {
        let (text, exit) = printed(
            false,
            &[
                Line::ok("library", "found"),
                Line::fail(Exit::LoginRefused, "work", "the server refused the login"),
                Line::fail(Exit::Unavailable, "home", "cannot reach it"),
                Line::warn("a-rather-long-name INBOX", "read-only\nand more\u{1b}[2J"),
            ],
        );
        let expected = "\
ok    library         found
FAIL  work            the server refused the login
FAIL  home            cannot reach it
warn  a-rather-long-name INBOX  read-only
      and more\\u{1b}[2J
2 failures, 1 warning.
";
        assert_eq!((text.as_str(), exit), (expected, Exit::LoginRefused));
    }

    #[test]
    fn what_is_wrong_here_outweighs_what_a_server_refuses() {
        let fail = |exit| Line::fail(exit, "x", "y");
        let all = [Exit::Unavailable, Exit::Config, Exit::LoginRefused].map(fail);
        assert_eq!(printed(false, &all).1, Exit::Config);
        assert_eq!(printed(false, &[Line::warn("x", "y")]).1, Exit::Ok);
        assert_eq!(printed(false, &[]), ("All is well.\n".to_owned(), Exit::Ok));
    }

    #[test]
    fn colour_is_only_in_the_first_word() {
        let (text, _) = printed(true, &[Line::ok("library", "found")]);
        assert!(text.starts_with("\u{1b}[32mok  \u{1b}[0m  library         found\n"), "{text:?}");
    }
}
