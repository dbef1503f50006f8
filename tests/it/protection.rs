//! The connection's security through the front door: STARTTLS, pinned keys, certificates that
//! expire, and everything that somebody on the line can try.

use crate::harness::{
    Certificate, Format, Impostor, Installation, Mail, Mailserver, Proxy, Settings,
};

/// What no byte in clear may hold: the password and its usual forms, and who logs in.
const CANARIES: [&str; 5] = [
    "it-canary",
    "aXQtY2FuYXJ5",
    // base64 of NUL mallory NUL, as SASL PLAIN sends it.
    "AG1hbGxvcnkA",
    "mallory",
    "bWFsbG9yeQ",
];

#[test]
fn starttls_and_a_private_authority_protect_every_login() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let account = anna.account().starttls(anna.plain_port());
    let installation = Installation::new(&Settings::label().with(account));
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
    let log = mail.log();
    let logins: Vec<&str> =
        log.lines().filter(|line| line.contains("Login: user=<anna>")).collect();
    // The tests' own client, which looks for the mail, does without.
    let ours = logins.iter().filter(|line| line.contains(", TLS,")).count();
    assert_eq!(ours, 1, "{logins:?}");
}

#[test]
fn starttls_believes_no_other_authority() {
    let (mail, other) = (Mailserver::start(Format::Sdbox), Mailserver::start(Format::Sdbox));
    let anna = mail.user("anna");
    let account = other.user("anna").account().starttls(anna.plain_port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start();
    daemon.wait_until("it is refused", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_imap_errors_total", &[("kind", "tls")]) >= 1.0
    });
    assert!(!mail.log().contains("method=PLAIN"), "{}", mail.log());
    daemon.stop();
}

#[test]
fn a_pinned_key_is_enough_whatever_the_certificate_says() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    mail.takes_certificate(Certificate::Odd);
    for account in [anna.account(), anna.account().starttls(anna.plain_port())] {
        let pinned = account.clone().pinned(&mail.pin());
        let installation = Installation::new(&Settings::label().with(pinned));
        installation.start_ready().stop();

        let zeros = "0".repeat(64);
        let installation = Installation::new(&Settings::label().with(account.pinned(&zeros)));
        let mut daemon = installation.start();
        daemon.wait_until("another key is refused and shown", |daemon| {
            daemon.get("/readyz").is_some_and(|(_, body)| body.contains(&mail.pin()))
        });
        let output = installation.triaged(&["check", "--online"]);
        assert_eq!(output.status.code(), Some(69));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&mail.pin()) && said.contains("pinned_key"), "{said}");
        daemon.stop();
    }
}

/// Row 21: a new certificate on the disk of a real Dovecot, which reads it anew, while we wait in IDLE.
#[test]
fn a_certificate_that_expires_while_idle_is_said_and_one_that_replaces_it_is_taken() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.tls_port());
    let account = anna.account().port(proxy.port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start_ready();

    mail.takes_certificate(Certificate::Expired);
    proxy.cut();
    daemon.wait_until("the reason is said", |daemon| {
        daemon.get("/readyz").is_some_and(|(_, body)| {
            body.contains("\"waiting\"")
                && body.contains("no secure connection")
                && body.contains("xpired")
        })
    });
    assert!(daemon.metric("triaged_imap_errors_total", &[("kind", "tls")]) >= 1.0);
    let outage = Mail::outage();
    anna.deliver(&outage);

    mail.takes_certificate(Certificate::Valid);
    daemon.wait_ready();
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    assert!(daemon.metric("triaged_login_failures_total", &[]) < 0.5);
    daemon.stop();
}

/// What an impostor says, and a word of the reason that is shown.
const STRIPPED_AND_INJECTED: [(&[&str], &str); 12] = [
    (&["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", "%t NO not here\r\n"], "STARTTLS"),
    (&["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n", "%t BAD what?\r\n"], "STARTTLS"),
    (&["* PREAUTH [CAPABILITY IMAP4rev1] welcome, mallory\r\n", "%t OK\r\n"], "PREAUTH"),
    (&["* OK hi\r\n", "%t OK\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", ""], "in clear behind"),
    (&["* OK hi\r\n", "%t OK\r\nt1 OK [CAPABILITY AUTH=PLAIN] in\r\n", ""], "in clear behind"),
    (&["* OK hi\r\n", "%t OK go on\r\n", "* CAPABILITY AUTH=PLAIN\r\n"], "no secure"),
    (&["* OK hi\r\ns1 OK go on\r\n", "", "* OK [CAPABILITY AUTH=PLAIN] hi\r\n"], "no secure"),
    (&["* OK hi\r\n", "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n%t NO\r\n"], "STARTTLS"),
    (&["* OK hi\r\n", "+ \r\n", "%t OK\r\n"], "protocol"),
    (&["* OK hi\r\n", "a1 OK go on\r\n", "%t OK\r\n"], "protocol"),
    (&["* BYE [UNAVAILABLE] come back in clear\r\n"], "ended the connection"),
    (&["+ OK go on\r\n", "%t OK\r\n"], "protocol"),
];

#[test]
fn no_credential_goes_out_in_clear_whatever_is_stripped_or_injected() {
    let mail = Mailserver::start(Format::Sdbox);
    let mallory = mail.user("mallory");
    let impostors = STRIPPED_AND_INJECTED.map(|(says, _)| Impostor::saying(says));
    let account = |(number, impostor): (usize, &Impostor)| {
        mallory.account().named(&format!("case-{number}")).starttls(impostor.port())
    };
    let accounts = impostors.iter().enumerate().map(account);
    let settings = accounts.fold(Settings::label(), Settings::with);
    let installation = Installation::new(&settings);
    let mut daemon = installation.start();
    daemon.wait_until("each was tried twice", |_| {
        impostors.iter().all(|impostor| impostor.connections() >= 2)
    });
    let page = daemon.get("/readyz").unwrap().1;
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    for (number, impostor) in impostors.iter().enumerate() {
        let (says, word) = STRIPPED_AND_INJECTED[number];
        let standing = page["accounts"][format!("case-{number}")].to_string();
        assert!(standing.contains(word), "{says:?}: no {word:?} in {standing}");
        let heard = impostor.heard();
        for canary in CANARIES {
            assert!(!heard.contains(canary), "{says:?}: {canary} in {heard:?}");
        }
        // A handshake begins with the byte 22; before it there is one line.
        let lines = heard.split('\u{16}').next().unwrap().lines();
        assert!(lines.clone().all(|line| line == "s1 STARTTLS"), "{says:?}: {heard:?}");
    }
    assert!(daemon.metric("triaged_accounts", &[("state", "watching")]) < 0.5);
    daemon.stop();
}
