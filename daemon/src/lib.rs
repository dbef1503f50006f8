//! triaged: watches IMAP mailboxes, classifies each new message with a small language model on
//! this machine, and writes what it finds as IMAP keywords.
//!
//! `ARCHITECTURE.md` beside this folder draws the house: floors, rooms and walkthroughs.

pub mod account;
pub mod app;
pub mod backfill;
pub mod clock;
pub mod configuration;
pub mod http;
pub mod imap;
pub mod lifecycle;
pub mod mailfile;
pub mod metrics;
pub mod model;
pub mod outbox;
pub mod ownership;
pub mod pipeline;
pub mod program;
pub mod pulse;
pub mod readiness;
pub mod reload;
pub mod retrain;
pub mod roster;
pub mod secret;
pub mod smtp;
pub mod standing;
pub mod storage;
pub mod store;
pub mod supervisor;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod trusted;
