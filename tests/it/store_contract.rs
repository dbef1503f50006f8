//! What the store promises, in the words of its verbs: each of these tests runs on a file of SQLite and
//! on a PostgreSQL server.

mod decisions;
mod import;
mod leases;
mod moves;
mod outbox;
mod places;
mod requests;
mod soak;
mod undo;
mod upgrade;

use jiff::Timestamp;
use triaged::store::{Action, PlannedMessage, Store, StoredMailbox};
use triaged_core::decision::Decision;
use triaged_core::mailbox::{Uid, UidValidity};
use triaged_core::score::{HeadPrediction, Prediction};
use triaged_core::sync::Cursor;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn uid_of(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn generation(n: u32) -> UidValidity {
    UidValidity::new(n).unwrap()
}

fn cursor(validity: u32, next: u32) -> Cursor {
    Cursor { uid_validity: generation(validity), next: uid_of(next), not_before: None }
}

/// A message with one head's answer, and these keywords to add.
fn planned(n: u32, action: Action, add: &[&str]) -> PlannedMessage {
    PlannedMessage {
        uid: uid_of(n),
        identity: None,
        email: None,
        message_id: None,
        subject: None,
        action,
        prediction: Some(Prediction {
            heads: vec![HeadPrediction {
                head: "urgency".into(),
                label: "high".into(),
                confidence: 0.875,
                abstained: None,
                scores: vec![],
            }],
        }),
        model: Some("default-1".into()),
        defects: vec!["truncated"],
        decision: Decision::adding(add.iter().map(|text| text.parse().unwrap())),
        quarantined: false,
    }
}

/// Alice's INBOX, in which the UIDs from 5 on are to be looked at.
async fn inbox(store: &Store) -> StoredMailbox {
    let account = store.account("alice", at(0)).await.unwrap();
    store.begin_mailbox(account.id, "INBOX", cursor(1, 5)).await.unwrap()
}
