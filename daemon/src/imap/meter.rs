//! What is known of an account's connections beside their answers: how many bytes came, and what
//! servers wish to be shown to somebody.
//!
//! It outlives the connections, so that one which ended by an error is counted as well. Limits and
//! the log are for whoever holds it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_imap::imap_proto::{Outcome, Response};

use super::code::ResponseCode;

/// Alerts of one connection that are kept; a server may send any number.
const MOST_A_CONNECTION: usize = 4;
/// Alerts that are remembered, so that one which comes with each login is shown once.
const REMEMBERED: usize = 16;
/// Longest alert in characters.
const LONGEST: usize = 200;
/// What stands for a word that may be an address.
const ADDRESS: &str = "(address)";

/// Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    received: Arc<AtomicU64>,
    alerts: Arc<Mutex<Alerts>>,
}

#[derive(Debug, Default)]
struct Alerts {
    /// Not shown yet.
    fresh: Vec<String>,
    /// Shown, or about to be.
    known: VecDeque<String>,
    /// Of this connection.
    count: usize,
}

impl Meter {
    /// Bytes that came from servers, after TLS, since the beginning.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// What servers wished to be shown since this was asked last: short, without controls and
    /// addresses, and no text twice in a row.
    pub fn take_alerts(&self) -> Vec<String> {
        std::mem::take(&mut self.alerts().fresh)
    }

    /// A connection begins.
    pub(super) fn begin(&self) {
        self.alerts().count = 0;
    }

    pub(super) fn count(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes notice of a response: RFC 9051 §7.1 wants alerts to be shown.
    pub(super) fn hear(&self, response: &Response<'_>) {
        if let Response::Data { outcome, .. } | Response::Done { outcome, .. } = response
            && let Some(text) = alert(outcome)
        {
            self.alerts().add(text);
        }
    }

    fn alerts(&self) -> std::sync::MutexGuard<'_, Alerts> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alerts {
    fn add(&mut self, text: String) {
        if self.count >= MOST_A_CONNECTION || self.known.contains(&text) {
            return;
        }
        self.count += 1;
        self.known.truncate(REMEMBERED - 1);
        self.known.push_front(text.clone());
        self.fresh.push(text);
        self.fresh.truncate(REMEMBERED);
    }
}

/// The text of an alert as it may stand in a log.
fn alert(outcome: &Outcome<'_>) -> Option<String> {
    if ResponseCode::of(outcome) != Some(ResponseCode::Alert) {
        return None;
    }
    let text = outcome.information.as_deref().unwrap_or_default();
    // What the parser did not know as a code is still in the text.
    let text = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |of| of.1);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(plain).take(LONGEST).collect();
    let words = text.split_whitespace().map(|word| if word.contains('@') { ADDRESS } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(meter: &Meter, line: &str) {
        let line = format!("{line}\r\n");
        meter.hear(&Response::parse(line.as_bytes()).expect("a response").1);
    }

    #[test]
    fn alerts_are_shown_once_in_words_that_may_stand_in_a_log() {
        let meter = Meter::default();
        hear(&meter, "* OK [ALERT] Maintenance at\tnoon, write to bob@example.org");
        hear(&meter, "* OK still here");
        hear(&meter, "* OK [UIDNEXT 5] x");
        hear(&meter, "t7 NO [alert] Log in by your web browser");
        hear(&meter, "* OK [ALERT] Maintenance at\tnoon, write to bob@example.org");
        let shown = ["Maintenance at noon, write to (address)", "Log in by your web browser"];
        assert_eq!(meter.take_alerts(), shown);
        meter.begin();
        hear(&meter, "* OK [ALERT] Log in by your web browser");
        assert!(meter.take_alerts().is_empty());
    }

    #[test]
    fn alerts_without_end_are_a_few_and_short() {
        let meter = Meter::default();
        for n in 0..1_000 {
            hear(&meter, &format!("* OK [ALERT] {n} {}", "x".repeat(5_000)));
        }
        let shown = meter.take_alerts();
        assert!(shown.len() == MOST_A_CONNECTION && shown.iter().all(|text| text.len() <= LONGEST));
        meter.begin();
        hear(&meter, "* OK [ALERT] the next connection");
        assert_eq!(meter.take_alerts(), ["the next connection"]);
    }
}
