//! How much an account may receive in a day (`daily_mebibytes`): what is spent stays spent after a
//! restart, older mail stops before new mail does, and all of it is said.

use triaged::http::AccountStatus;

use crate::harness::{FIXTURE, Format, Installation, Mail, Mailserver, Settings, User, until};

/// A mail of which about 90 KiB are read.
fn large() -> Mail {
    let body =
        "All orders of the day, one line each, in the order in which they came.\n".repeat(1_300);
    Mail::new("Orders <orders@example.org>", "Orders", &body)
}

fn settings(anna: &User, mebibytes: u32) -> Settings {
    let account = anna.account().and(&format!("daily_mebibytes = {mebibytes}"));
    Settings::label().bundle(FIXTURE).with(account)
}

fn is_over_budget(anna: &AccountStatus) -> bool {
    anna.state.name() == "over_budget"
}

/// Row 11, from our side: what a server allows in a day is not used up.
#[test]
fn what_is_spent_is_spent_until_the_next_day_also_after_a_restart() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let installation = Installation::new(&settings(&anna, 1));
    let daemon = installation.start_ready();
    // Eleven of them are a mebibyte.
    for _ in 0..14 {
        anna.append("INBOX", &large(), "", None);
    }
    let found = installation.wait_status("anna", "all is spent", is_over_budget);
    let traffic = found.standing.traffic.unwrap();
    assert!(traffic.received_today >= 1 << 20 && traffic.limit == Some(1 << 20), "{found:?}");
    let reason = found.state.reason().unwrap();
    assert!(reason.contains("daily_mebibytes") && reason.contains("the limit is 1"), "{reason}");
    let midnight = found.state.retry_at().unwrap().to_string();
    assert!(midnight.ends_with("T00:00:00Z"), "{midnight}");
    assert!(!daemon.ready());
    assert!(daemon.metric("triaged_accounts", &[("state", "over_budget")]) > 0.5);
    assert!(daemon.metric("triaged_received_bytes_total", &[]) >= f64::from(1 << 20));
    let before = daemon.metric("triaged_received_bytes_total", &[]);
    let late = anna.append("INBOX", &large(), "", None);
    daemon.stop();

    let daemon = installation.start();
    until("the daemon answers", || daemon.get("/status"));
    installation.wait_status("anna", "it is still spent", is_over_budget);
    // A login and a SELECT, and no mail.
    let after = daemon.metric("triaged_received_bytes_total", &[]);
    assert!(after < 20_000.0, "{after} after {before}");
    assert!(installation.history().iter().all(|record| record.uid != late));
    daemon.stop();

    installation.configure(&settings(&anna, 0));
    let daemon = installation.start_ready();
    installation.wait_recorded(&anna, "INBOX", late);
    assert_eq!(installation.history().len(), 15);
    daemon.stop();
}

#[test]
fn older_mail_stops_before_new_mail_does() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let mut client = anna.client();
    for _ in 0..60 {
        client.append("INBOX", large().bytes(), "", None);
    }
    // Seven tenths of it are three chunks of older mail.
    let installation = Installation::new(&settings(&anna, 4));
    let daemon = installation.start_ready();
    let asked = ["backfill", "--account", "anna", "--since", "7d", "--per-minute", "60000"];
    let output = installation.triaged(&[&asked[..], &["--no-wait"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = installation.wait_status("anna", "the backfill is held", |anna| {
        anna.standing.backfill.as_ref().is_some_and(|backfill| backfill.held.is_some())
    });
    assert_eq!(found.state.name(), "watching");
    let backfill = found.standing.backfill.unwrap();
    assert_eq!((backfill.found, backfill.mailbox.as_str()), (Some(60), "INBOX"));
    assert!(backfill.held.unwrap().contains("T00:00:00Z"));
    let done = installation.history().len();
    assert!((20..60).contains(&done), "{done}");
    let text = String::from_utf8(installation.triaged(&["status"]).stdout).unwrap();
    assert!(text.contains("received today ") && text.contains("backfill of INBOX: "), "{text}");

    let outage = Mail::outage();
    anna.deliver(&outage);
    installation.wait_decided(&anna, &outage);
    assert_eq!(installation.history().len(), done + 1, "older mail waits");
    daemon.stop();
}
