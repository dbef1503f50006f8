//! How far requests for older mail are: a bar on a terminal, else a line now and then.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use triaged::store::{Backfill, BackfillState, Backfills, Workers};

use super::say;
use crate::cli::{Exit, Failure};

const LOOK: Duration = Duration::from_millis(500);
/// Looks between two lines where there is no terminal: ten seconds.
const LOOKS_A_LINE: u32 = 20;
const BAR: &str = "{msg} [{bar:40}] {pos} of {len}, {eta} to go";

/// Shows one request after the other until its end; 0 where all were done.
pub(super) async fn run(
    requests: &Backfills,
    ids: &[i64],
    workers: &mut Workers,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    for &id in ids {
        if let Some(reason) = one(requests, id, workers).await? {
            say(&reason);
            exit = Exit::Software;
        }
    }
    Ok(exit)
}

/// Follows a request; why it was not done, where it was not.
async fn one(
    requests: &Backfills,
    id: i64,
    workers: &mut Workers,
) -> Result<Option<String>, Failure> {
    let bar = bar();
    let mut looks = 0;
    loop {
        let Some(request) = requests.find(id).await.map_err(crate::cli::unserved)? else {
            return Ok(Some("the request is gone".to_owned()));
        };
        let mailbox = &request.mailbox;
        match request.state {
            BackfillState::Open => {}
            BackfillState::Done => {
                bar.finish_and_clear();
                say(&format!("{mailbox}: done, {} messages looked at", request.looked_at));
                return Ok(None);
            }
            BackfillState::Failed => {
                let reason = request.reason.as_deref().unwrap_or("no reason is known");
                return Ok(Some(format!("{mailbox}: {reason}")));
            }
            BackfillState::Cancelled => return Ok(Some(format!("{mailbox}: cancelled"))),
        }
        if !workers.is_any().await.map_err(crate::cli::unserved)? {
            return Ok(Some(format!(
                "{mailbox}: the daemon has ended; it goes on when it runs again"
            )));
        }
        show(&bar, &request, looks);
        looks += 1;
        tokio::time::sleep(LOOK).await;
    }
}

fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, request: &Backfill, looks: u32) {
    let found = request.progress.map_or(0, |progress| progress.found);
    bar.set_message(request.mailbox.clone());
    bar.set_length(found);
    bar.set_position(request.looked_at);
    if bar.is_hidden() && looks.is_multiple_of(LOOKS_A_LINE) {
        say(&match request.progress {
            None => format!("{}: waiting for the daemon", request.mailbox),
            Some(_) => format!("{}: {} of {found} messages", request.mailbox, request.looked_at),
        });
    }
}
