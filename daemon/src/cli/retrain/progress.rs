//! How far the work is, on standard error: a bar on a terminal, plain lines elsewhere.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};
use triaged::retrain::trainer::Told;

/// Without a terminal a line is printed each time so many more per cent are done.
const STEP: u64 = 10;

/// What is shown of the work.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    stage: RefCell<String>,
    /// The last per cent that was printed.
    printed: Cell<u64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:20} {bar:40} {percent:>3} %  {elapsed}");
            let bar = ProgressBar::new(100);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, stage: RefCell::default(), printed: Cell::new(0) }
    }

    /// A stage of which nobody knows how long it takes.
    pub(super) fn stage(&self, name: &str) {
        self.show(name, 0, 0);
    }

    /// Shows what the training process said.
    pub(super) fn told(&self, told: Told) {
        match told {
            Told::Progress { stage, done, of } => self.show(&stage, done, of),
            Told::Note(text) => self.line(&text),
            Told::Complaint(text) => self.line(&format!("training: {text}")),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self, stage: &str, done: u64, of: u64) {
        let percent = done.saturating_mul(100).checked_div(of).unwrap_or(0).min(100);
        let begins = *self.stage.borrow() != stage;
        if begins {
            stage.clone_into(&mut self.stage.borrow_mut());
            self.printed.set(0);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(stage.to_owned());
            bar.set_position(percent);
        } else if begins || percent >= self.printed.get() + STEP {
            self.printed.set(percent);
            let share = if of > 1 { format!(" {percent} %") } else { String::new() };
            say(&format!("{stage}{share}"));
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// One line for the person who waits.
#[expect(clippy::print_stderr, reason = "the command line's own output")]
pub(super) fn say(line: &str) {
    eprintln!("{line}");
}
