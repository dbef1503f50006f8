//! `triaged status`: what stands in the way is said, with its reason, by the running daemon.

use jiff::{SignedDuration, Timestamp};
use triaged::http::{AccountStatus, Status};
use triaged::standing::WatchMode;

use crate::harness::{Installation, Mail, Mailserver, Proxy, Settings, on_each_format, until};

on_each_format!(
    status_tells_how_each_account_is_watched,
    mail_that_was_not_announced_shows_until_some_is,
    what_a_mailbox_refuses_is_shown_with_the_reason,
);

fn status(installation: &Installation) -> Status {
    let output = installation.triaged(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn wait_status(
    installation: &Installation,
    what: &str,
    holds: impl Fn(&AccountStatus) -> bool,
) -> AccountStatus {
    until(what, || status(installation).accounts.remove("anna").filter(&holds))
}

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
    wait_status(&installation, "anna is watched", |anna| anna.standing.watching.is_some());
    let outage = Mail::outage();
    anna.deliver(&outage);
    installation.wait_decided(&anna, &outage);
    let found = wait_status(&installation, "the push is verified", |anna| {
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
    let silent = Mail::outage();
    anna.append("INBOX", &silent, "", Some(received));
    assert_eq!(installation.wait_decided(&anna, &silent).outcome, "labelled");
    let found = wait_status(&installation, "the push is failing", |anna| {
        anna.standing.watching.as_ref().is_some_and(|watching| watching.push == "failing")
    });
    assert!(found.standing.watching.unwrap().withheld >= 1);
    daemon.wait_counted("triaged_push_withheld_total", &[], 1);
    assert!(daemon.log().contains("had not announced it"));

    proxy.hush(false);
    let loud = Mail::outage();
    anna.deliver(&loud);
    installation.wait_decided(&anna, &loud);
    wait_status(&installation, "the push is verified again", |anna| {
        anna.standing.watching.as_ref().is_some_and(|watching| watching.push == "verified")
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
    wait_status(&installation, "INBOX is open", |anna| {
        anna.standing.mailboxes.contains_key("INBOX")
    });
    anna.deliver(&outage);
    let record = installation.wait_decided(&anna, &outage);
    assert_eq!(record.outcome, "not-permitted", "{record:?}");
    let found = wait_status(&installation, "the keyword is disabled", |anna| {
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
