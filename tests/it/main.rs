//! The integration tests: the built `triaged`, run as a process, against a real Dovecot or Cyrus that
//! each test starts for itself. One module a topic; every test name is a sentence.
//!
//! There is no mock here, and no test is skipped when its neighbour is missing: it fails with the
//! line that installs it. PostgreSQL alone may be missing on a developer's machine, not in CI.
//! `tests/dovecot/` is shared with the demo.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test says what went wrong by panicking, prints the servers' logs when it fails, and has \
              no runtime to block"
)]

mod harness;

mod alerts;
mod alerts_once;
mod backfill;
mod bundles;
mod check;
mod choosing;
mod classify;
mod clock;
mod command_line;
mod connections;
mod dashboard;
mod disk_full;
mod eval;
mod exit_codes;
mod floors;
mod generations;
mod harness_itself;
mod hidden_text;
mod hostile;
mod imap_session;
mod import;
mod interrupted;
mod judgement;
mod kill_points;
mod labelling;
mod large_mail;
mod library;
mod login;
mod mailboxes;
mod meanwhile;
mod model_versions;
mod modes;
mod moved;
mod moves;
mod moves_killed;
mod moves_refused;
mod no_keywords;
mod odd_mail;
mod once_only;
mod pending;
mod protection;
mod quarantine;
mod remove_labels;
mod retrain;
mod retrain_learns;
mod rules;
mod same_state;
mod secrets;
mod server_database;
mod service;
mod sharing;
mod silence;
mod soak;
mod status;
mod store_contract;
mod traffic;
mod trouble;
mod undo;
mod undo_killed;
mod versions;
mod whole_server;
mod workload;
