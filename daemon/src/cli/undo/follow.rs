//! How far it is to take something back: a bar on a terminal, else a line now and then; and at the end
//! what became of the messages.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use triaged::store::{
    RemovalMailbox, RemovalState, Removed, UndoProgress, UndoState, Undos, Workers,
};

use super::say;
use crate::cli::{Exit, Failure, unserved};

const LOOK: Duration = Duration::from_millis(500);
/// Looks between two lines where there is no terminal: ten seconds.
const LOOKS_A_LINE: u32 = 20;
const BAR: &str = "{msg} [{bar:40}] {pos} of {len}, {eta} to go";

/// Shows a request until its end.
pub(super) async fn undo(
    undos: &Undos,
    request: i64,
    workers: &mut Workers,
) -> Result<Exit, Failure> {
    let shown = Shown::new("messages");
    let mut looks = 0;
    loop {
        let progress = undos.progress(request).await.map_err(unserved)?;
        let (left, total) = (progress.left(), progress.total());
        if left == 0 {
            shown.end();
            return Ok(result("", &progress));
        }
        if !workers.is_any().await.map_err(unserved)? {
            shown.end();
            return Ok(ended(left));
        }
        shown.so_far(total - left, total, &progress.waiting, looks);
        looks += 1;
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows until its end how all keywords of an account are removed, and its stars taken back.
pub(in crate::cli) async fn removal(
    undos: &Undos,
    account: &str,
    (removal, stars): (i64, i64),
    workers: &mut Workers,
) -> Result<Exit, Failure> {
    let shown = Shown::new(&format!("{account}: mailboxes"));
    let mut looks = 0;
    loop {
        let progress = undos.progress(stars).await.map_err(unserved)?;
        let removed = undos.removed(removal).await.map_err(unserved)?;
        let open = |one: &&RemovalMailbox| one.state == RemovalState::Open;
        let left = removed.mailboxes.iter().filter(open).count() as u64;
        if removed.cancelled {
            shown.end();
            say(&format!("{account}: it was cancelled"));
            return Ok(Exit::Software);
        }
        if removed.ended && progress.left() == 0 {
            shown.end();
            let exit = if progress.total() > 0 {
                result(&format!("{account}: stars: "), &progress)
            } else {
                Exit::Ok
            };
            return Ok(if keywords(account, &removed) { exit } else { Exit::Software });
        }
        if !workers.is_any().await.map_err(unserved)? {
            shown.end();
            return Ok(ended(left));
        }
        let total = removed.mailboxes.len() as u64;
        let waiting: &[String] = if total == 0 { &[account.to_owned()] } else { &[] };
        shown.so_far(total - left, total, waiting, looks);
        looks += 1;
        tokio::time::sleep(LOOK).await;
    }
}

/// Says what became of messages.
fn result(of: &str, progress: &UndoProgress) -> Exit {
    let count = |state| progress.count(state);
    let refused = count(UndoState::Refused);
    say(&format!(
        "{of}{} undone, {} kept, {} gone, {refused} refused",
        count(UndoState::Undone),
        count(UndoState::Kept),
        count(UndoState::Gone),
    ));
    for (reason, messages) in &progress.reasons {
        say(&format!("{of}{messages} refused: {reason}"));
    }
    if refused == 0 { Exit::Ok } else { Exit::Software }
}

/// Says what became of keywords; whether they are gone everywhere.
fn keywords(account: &str, removed: &Removed) -> bool {
    let count: u64 = removed.mailboxes.iter().map(|one| one.removed).sum();
    let done = removed.mailboxes.iter().filter(|one| one.state == RemovalState::Done).count();
    say(&format!(
        "{account}: {count} keywords removed; {done} mailboxes have none of ours any more"
    ));
    let failed = removed.mailboxes.iter().filter(|one| one.state == RemovalState::Failed);
    for RemovalMailbox { name, reason, .. } in failed.clone() {
        let reason = reason.as_deref().unwrap_or("no reason is known");
        say(&format!("{account}: {name}: {reason}"));
    }
    failed.count() == 0
}

fn ended(left: u64) -> Exit {
    say(&format!("the daemon has ended, {left} are left; it goes on when it runs again"));
    Exit::Unavailable
}

/// What a person sees meanwhile.
struct Shown {
    bar: ProgressBar,
    what: String,
}

impl Shown {
    fn new(what: &str) -> Self {
        let bar =
            if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self { bar, what: what.to_owned() }
    }

    fn so_far(&self, done: u64, total: u64, waiting: &[String], looks: u32) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.bar.is_hidden() && looks.is_multiple_of(LOOKS_A_LINE) {
            let whom = match waiting {
                [] => String::new(),
                [one] => format!("; in work or waiting: {one}"),
                several => format!("; accounts in work or waiting: {}", several.len()),
            };
            say(&format!("{}: {done} of {total}{whom}", self.what));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
