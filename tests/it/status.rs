//! `triaged status`: what stands in the way is said, with its reason, by the running daemon.
//!
//! Whoever asks for it in a test has it validated against the schema; throttled accounts are in
//! `trouble`, spent ones and running backfills in `traffic`.

use jiff::{SignedDuration, Timestamp};
use triaged::readiness::AccountState;
use triaged::standing::WatchMode;

use crate::harness::{
    Format, Installation, Mail, Mailserver, Proxy, Settings, free_port, on_each_server,
    status_schema, until,
};

on_each_server!(
    status_tells_how_each_account_is_watched,
    mail_that_was_not_announced_shows_until_some_is,
    what_a_mailbox_refuses_is_shown_with_the_reason,
);

fn status_tells_how_each_account_is_watched(mail: &Mailserver) {
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let settings =
        Settings::label().with(anna.account()).with(bert.account().password("not the password"));
    let installation = Installation::new(&settings);
    let nobody = installation.triaged(&["status"]);
    assert_eq!(nobody.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no daemon answers at 127.0.0.1:"));

    let daemon = installation.start();
    until("the daemon answers", || daemon.get("/status"));
    installation.wait_status("anna", "anna is watched", |anna| anna.standing.watching.is_some());
    let outage = Mail::outage();
    anna.deliver(&outage);
    installation.wait_decided(&anna, &outage);
    let found = installation.wait_status("anna", "the push is verified", |anna| {
        anna.standing.watching.as_ref().is_some_and(|watching| watching.push == "verified")
    });
    let watching = found.standing.watching.unwrap();
    assert_eq!((watching.mode, watching.withheld), (WatchMode::Idle, 0));
    assert!(found.standing.last_mail.is_some() && watching.announced.is_some());
    assert_eq!(found.standing.backlog, 0);

    let text = installation.triaged(&["status"]);
    let text = String::from_utf8(text.stdout).unwrap();
    for said in ["1 of 2 accounts are watched", "anna: watching", "refused the login"] {
        assert!(text.contains(said), "no {said} in {text}");
    }
    daemon.stop();
}

/// Row 3, a push that has died.
fn mail_that_was_not_announced_shows_until_some_is(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    anna.client().command("CREATE Other");
    let account = anna.account().in_clear(proxy.port()).mailboxes(&["INBOX", "Other"]);
    let installation = Installation::new(&Settings::label().with(account.and("poll_seconds = 1")));
    let mut daemon = installation.start_ready();
    proxy.hush(true);
    // Nobody has to wait: it was received a while ago, by its own account.
    let received = Timestamp::now() - SignedDuration::from_mins(5);
    // A wait that other news have ended proves nothing of the push: then the next mail does.
    let found = until("the push is failing", || {
        let silent = Mail::outage();
        anna.append("INBOX", &silent, "", Some(received));
        assert_eq!(installation.wait_decided(&anna, &silent).outcome, "labelled");
        installation.status().accounts.remove("anna").filter(|anna| {
            anna.standing.watching.as_ref().is_some_and(|watching| watching.push == "failing")
        })
    });
    assert!(found.standing.watching.unwrap().withheld >= 1);
    daemon.wait_until("it is counted", |daemon| {
        daemon.metric("triaged_push_withheld_total", &[]) > 0.5
    });
    assert!(daemon.log().contains("had not announced it"));

    proxy.hush(false);
    // A look by the clock may find a mail before it is announced, which proves nothing either.
    until("the push is verified again", || {
        let loud = Mail::outage();
        anna.deliver(&loud);
        assert_eq!(installation.wait_decided(&anna, &loud).outcome, "labelled");
        let found = installation.status().accounts.remove("anna")?.standing.watching?;
        (found.push == "verified").then_some(())
    });
    daemon.stop();
}

fn what_a_mailbox_refuses_is_shown_with_the_reason(mail: &Mailserver) {
    let anna = mail.user("anna");
    // All rights but that to set flags.
    anna.may("INBOX", "lrstipekxa");
    let account = anna.account().mailboxes(&["INBOX", "Nowhere"]).and("poll_seconds = 1");
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start();
    let outage = Mail::outage();
    until("the daemon answers", || daemon.get("/status"));
    installation
        .wait_status("anna", "INBOX is open", |anna| anna.standing.mailboxes.contains_key("INBOX"));
    anna.deliver(&outage);
    let record = installation.wait_decided(&anna, &outage);
    assert_eq!(record.outcome, "not-permitted", "{record:?}");
    let found = installation.wait_status("anna", "the keyword is disabled", |anna| {
        anna.standing.mailboxes["INBOX"].disabled_keywords.contains_key("triaged-urgent")
    });
    let inbox = &found.standing.mailboxes["INBOX"];
    assert!(!inbox.read_only && inbox.unreadable.is_none(), "{inbox:?}");
    assert_eq!(
        inbox.disabled_keywords["triaged-urgent"],
        "the mailbox takes no keyword of this name"
    );
    let nowhere = found.standing.mailboxes["Nowhere"].unreadable.as_deref();
    assert!(nowhere.is_some_and(|reason| reason.contains("does not exist")), "{nowhere:?}");
    daemon.stop();
}

#[test]
fn an_account_that_catches_up_or_waits_says_so() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let proxy = Proxy::to(anna.plain_port());
    let nowhere = bert.account().in_clear(free_port());
    let account = anna.account().in_clear(proxy.port());
    let installation = Installation::new(&Settings::label().with(account).with(nowhere));
    let daemon = installation.start();
    until("the daemon answers", || daemon.get("/status"));
    let found = installation.wait_status("bert", "bert waits", |bert| {
        matches!(bert.state, AccountState::Waiting { .. })
    });
    assert!(
        found.state.reason().is_some_and(|reason| reason.contains("cannot reach")),
        "{found:?}"
    );
    installation
        .wait_status("anna", "anna is watched", |anna| anna.state == AccountState::Watching);
    proxy.refuse();
    anna.append("INBOX", &Mail::outage(), "", None);
    proxy.pass();
    proxy.swallow_from("BODY.PEEK");
    let found = installation.wait_status("anna", "anna catches up", |anna| {
        anna.state == AccountState::CatchingUp && anna.standing.backlog == 1
    });
    assert_eq!((found.state.reason(), found.state.retry_at()), (None, None));
    proxy.refuse();
    daemon.stop();
}

#[test]
fn a_server_without_idle_is_polled_and_a_read_only_mailbox_named() {
    let capabilities = "protocol imap {\n  imap_capability = IMAP4rev1 UIDPLUS MOVE\n}\n";
    let mail = Mailserver::start_with(Format::Sdbox, capabilities);
    let anna = mail.user("anna");
    anna.may_only_read();
    let settings = Settings::label().with(anna.account().and("poll_seconds = 1"));
    let installation = Installation::new(&settings);
    let daemon = installation.start();
    until("the daemon answers", || daemon.get("/status"));
    let found = installation.wait_status("anna", "anna is polled", |anna| {
        anna.standing.watching.as_ref().is_some_and(|watching| watching.mode == WatchMode::Poll)
    });
    assert!(found.standing.mailboxes["INBOX"].read_only, "{found:?}");
    let text = String::from_utf8(installation.triaged(&["status"]).stdout).unwrap();
    for said in ["polled: the server has no IDLE", "INBOX: read-only for this login"] {
        assert!(text.contains(said), "no {said} in {text}");
    }
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "read-only");
    daemon.stop();
}

#[test]
fn the_schema_is_printed_and_refuses_what_is_no_status() {
    let nowhere = Installation::new(&Settings::label().with_nobody());
    let printed = nowhere.triaged(&["status", "--schema"]);
    assert_eq!(printed.status.code(), Some(0));
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed["title"], "triaged status --json");

    let account = |more: &str| {
        let json = format!(
            r#"{{"version": "1", "ready": true, "model": {{"serves": "default-1"}}, "accounts":
                {{"anna": {{"since": "2026-11-22T00:00:00Z", "backlog": 0, "mailboxes": {{}}, {more}}}}}}}"#
        );
        status_schema().is_valid(&serde_json::from_str(&json).unwrap())
    };
    assert!(account(r#""state": "watching""#));
    assert!(account(r#""state": "refused", "reason": "no""#));
    for wrong in [
        r#""state": "sleeping""#,
        r#""state": "watching", "reason": "none""#,
        r#""state": "waiting", "reason": "no route""#,
        r#""state": "throttled", "retry_at": "2026-11-22T00:00:00Z""#,
        r#""state": "over_budget", "reason": "spent", "retry_at": "tomorrow""#,
        r#""state": "refused", "reason": """#,
        r#""state": "watching", "surprise": 1"#,
        r#""state": "watching", "watching": {"mode": "idle", "push": "perhaps", "withheld": 0}"#,
    ] {
        assert!(!account(wrong), "{wrong}");
    }
}
