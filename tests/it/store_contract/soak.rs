//! How long plan and settle take, as figures: `make soak`.

use std::time::{Duration, Instant};

use triaged::store::{Action, EffectState, PlannedMessage};

use super::{at, inbox, planned, uid_of};
use crate::harness::Database;

/// Chunks, and messages in each: enough that the file has some megabytes at the end.
const CHUNKS: u32 = 200;
const MESSAGES: u32 = 50;
/// Far above what a quiet machine takes; a server that is asked for each message alone takes more.
const MOST: Duration = Duration::from_millis(200);

/// A message with the answers of five heads and two keywords.
fn message(n: u32) -> PlannedMessage {
    let mut message = planned(n, Action::Label, &["t-urgent", "t-billing"]);
    if let Some(prediction) = &mut message.prediction {
        let one = prediction.heads[0].clone();
        prediction.heads = (0..5).map(|_| one.clone()).collect();
    }
    message
}

async fn measure(what: &str, database: Database) {
    let store = database.open().await;
    let mut mailbox = inbox(&store).await;
    let (mut plans, mut settles) = (Vec::new(), Vec::new());
    for chunk in 0..CHUNKS {
        let first = 10 + chunk * MESSAGES;
        let messages: Vec<_> = (first..first + MESSAGES).map(message).collect();
        let begun = Instant::now();
        let effects = store.plan(&mailbox, &messages, at(5)).await.unwrap();
        plans.push(begun.elapsed());
        let done: Vec<_> = effects.into_iter().map(|effect| (effect, EffectState::Done)).collect();
        let begun = Instant::now();
        store.settle(&mut mailbox, uid_of(first + MESSAGES), &done, at(6)).await.unwrap();
        settles.push(begun.elapsed());
    }
    let mut medians = Duration::ZERO;
    for (step, mut times) in [("plan", plans), ("settle", settles)] {
        times.sort_unstable();
        let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        eprintln!(
            "{what}: {step} of {MESSAGES} messages {median:?}, at most {late:?} in 99 of 100"
        );
        medians += median;
    }
    assert!(medians < MOST, "{medians:?}");
}

#[tokio::test]
#[ignore = "it gives figures: make soak"]
async fn planning_and_settling_a_chunk_in_a_file() {
    measure("SQLite", Database::sqlite()).await;
}

#[tokio::test]
#[ignore = "it gives figures: make soak"]
async fn planning_and_settling_a_chunk_on_a_server() {
    let Some(database) = Database::postgresql() else { return };
    measure("PostgreSQL", database).await;
}
