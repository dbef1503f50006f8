//! Logins of every kind, against scripted servers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use triaged_core::mailbox::{Uid, UidSet};

use super::super::login::Proof;
use super::super::{ImapError, MoveWay, scripted};
use super::{Login, Trust};

async fn kind_of_login(script: &str) -> &'static str {
    scripted::login(script, "pw").await.err().expect("no session").kind()
}

#[tokio::test]
async fn capabilities_are_read_again_after_the_login() {
    let told = [
        "S: %t OK [CAPABILITY IMAP4rev1 IDLE] in",
        "S: * CAPABILITY IMAP4rev1 IDLE\nS: %t OK in",
        "S: %t OK in\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: %t OK done",
    ];
    for after in told {
        let script = format!(
            "S: * OK hi
             C: CAPABILITY
             S: * CAPABILITY IMAP4rev1 AUTH=PLAIN
             S: %t OK done
             C: AUTHENTICATE PLAIN
             S: + go on
             C+ AGJvYgBwdw==
             {after}
             C: LOGOUT
             S: * BYE see you
             S: %t OK done"
        );
        let session = scripted::login(&script, "pw").await.expect("a session");
        assert!(session.capabilities().has("idle") && !session.capabilities().has("AUTH=PLAIN"));
        session.logout().await;
    }
}

#[tokio::test]
async fn who_we_are_is_said_where_that_is_known() {
    for answer in ["S: * ID (\"name\" \"x\")\nS: %t OK", "S: %t NO\n", "S: %t BAD what"] {
        let script = format!(
            "S: * OK [CAPABILITY IMAP4rev1] hi
             C: LOGIN \"bob\" \"pw\"
             S: %t OK [CAPABILITY IMAP4rev1 ID] in
             C: ID (\"name\" \"triaged\" \"version\" \"{}\")
             {answer}
             C: LOGOUT",
            env!("CARGO_PKG_VERSION")
        );
        scripted::login(&script, "pw").await.expect("a session").logout().await;
    }
}

#[tokio::test]
async fn a_refused_token_is_a_refused_login() {
    let ways = [
        ("XOAUTH2", "user=bob\x01auth=Bearer tok\x01\x01", ""),
        ("OAUTHBEARER", "n,a=bob,\x01auth=Bearer tok\x01\x01", "AQ=="),
    ];
    for (way, message, farewell) in ways {
        let message = STANDARD.encode(message);
        let script = format!(
            "S: * OK [CAPABILITY IMAP4rev1 AUTH={way} SASL-IR] hi
             C: AUTHENTICATE {way} {message}
             S: + eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=
             C+ {farewell}
             S: %t NO [AUTHENTICATIONFAILED] no
             HANG"
        );
        let token = SecretString::from("tok");
        let proof = Proof::Token(&token);
        let login = Login { user: "bob", authorize_as: None, auth: None, proof };
        let refused = scripted::login_as(&script, &login).await.err().expect("refused");
        assert_eq!(refused.kind(), "login_refused", "{way}");
    }
}

#[tokio::test]
async fn a_password_that_needs_one_is_sent_as_a_literal() {
    let script = "S: * OK [CAPABILITY IMAP4rev1] hi
         C: LOGIN \"bob\" {3}
         S: + ready
         C+ pä
         S: %t OK [CAPABILITY IMAP4rev1] in
         HANG";
    assert!(scripted::login(script, "pä").await.is_ok());
}

#[tokio::test]
async fn a_login_that_fails_says_why() {
    let answered = |answer: &str| {
        let offer = "S: * OK [CAPABILITY IMAP4rev1] hi\nC: LOGIN \"bob\" \"pw\"";
        format!("{offer}\nS: {answer}\nHANG")
    };
    let cases = [
        ("%t NO [AUTHENTICATIONFAILED] wrong", "login_refused"),
        ("%t NO wrong", "login_refused"),
        ("%t NO [UNAVAILABLE] back-end is down", "unavailable"),
        ("%t NO Temporary authentication failure.", "unavailable"),
        ("%t NO Too many simultaneous connections. (Failure)", "throttled"),
        ("%t NO [ALERT] Too many simultaneous connections. (Failure)", "throttled"),
        ("%t NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", "throttled"),
        ("%t NO Server Busy. Suggested Backoff Time: 30000 milliseconds", "throttled"),
        ("%t NO User is authenticated but not connected.", "unavailable"),
        ("%t BAD what", "rejected"),
        ("* BYE [UNAVAILABLE] maintenance", "bye"),
        ("t99 OK in", "protocol"),
        ("+ more", "protocol"),
    ];
    for (answer, kind) in cases {
        assert_eq!(kind_of_login(&answered(answer)).await, kind, "{answer}");
    }
}

#[tokio::test]
async fn nothing_is_sent_after_a_greeting_that_is_not_one() {
    let cases = [
        ("S: * PREAUTH [CAPABILITY IMAP4rev1] welcome", "preauth"),
        ("S: * BYE too busy", "bye"),
        ("S: HTTP/1.1 400 Bad Request", "protocol"),
        ("S: * 3 EXISTS", "protocol"),
        ("S: * HELLO", "protocol"),
        ("S: * OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi", "login_impossible"),
        ("", "closed"),
    ];
    for (script, kind) in cases {
        assert_eq!(kind_of_login(&format!("{script}\n")).await, kind, "{script}");
    }
}

#[tokio::test]
async fn an_ok_that_asks_for_less_is_done_and_heeded_once() {
    let script = "C: NOOP
         S: %t OK Success [THROTTLED]
         C: NOOP
         S: %t OK Success
         HANG";
    let mut session = scripted::session(script).await;
    assert_eq!(session.noop().await, Ok(false));
    let asked = session.heed().expect_err("it asks for less");
    assert_eq!((asked.kind(), session.is_open()), ("throttled", true));
    assert_eq!(session.noop().await, Ok(false));
    assert_eq!(session.heed(), Ok(()));
}

#[tokio::test]
async fn nothing_is_changed_when_the_trust_is_over() {
    let uids = UidSet::from(Uid::FIRST);
    for at in 0..4 {
        // The script has no step for any of them: what was sent would end the server.
        let mut session = scripted::selected(1, "C: NOOP\nS: %t OK done\nHANG").await;
        session.only_while(Trust::none());
        assert_eq!(session.noop().await, Ok(false));
        let error = match at {
            0 => session.remove(&uids).await.err(),
            1 => session.create("Escalations").await.err(),
            2 => session.take_to(MoveWay::Move, &uids, "Urgent").await.err(),
            _ => session.take_to(MoveWay::CopyAndExpunge, &uids, "Urgent").await.err(),
        };
        assert_eq!((error, session.is_open()), (Some(ImapError::NotOurs), false), "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_greet_meets_the_deadline() {
    assert_eq!(kind_of_login("HANG").await, "deadline");
}
