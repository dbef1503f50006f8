//! A password is nowhere but in its file and on its way to the server.

use crate::harness::{Installation, Mail, Mailserver, PASSWORD, Settings, on_each_format};

on_each_format!(
    no_password_is_in_logs_metrics_process_table_history_or_errors,
    no_mail_is_in_the_log,
);

/// The password as it might leak: plain, base64, base64 of SASL PLAIN, percent form.
const FORMS: [&str; 4] = [
    PASSWORD,
    "aXQtY2FuYXJ5K1pxN3gvOVZiMj0",
    "AGFubmEAaXQtY2FuYXJ5K1pxN3gvOVZiMj0",
    "it-canary%2BZq7x%2F9Vb2%3D",
];

fn no_password_is_in_logs_metrics_process_table_history_or_errors(mail: &Mailserver) {
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let wrong = format!("{PASSWORD} and more");
    let settings = Settings::label()
        .log_level("trace")
        .with(anna.account())
        .with(bert.account().password(&wrong));
    let installation = Installation::new(&settings);
    let mut daemon = installation.start();
    daemon.wait_until("one login was refused and the other account is watched", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_login_failures_total", &[]) >= 1.0
            && daemon.metric("triaged_accounts", &[("state", "watching")]) >= 1.0
    });
    let outage = Mail::outage();
    anna.deliver(&outage);
    anna.wait_for(&outage, |stored| !stored.keywords().is_empty());

    let check = installation.triaged(&["check", "--online"]);
    let history = installation.triaged(&["history", "--json"]);
    let proc = |file| std::fs::read(format!("/proc/{}/{file}", daemon.id())).unwrap();
    let places = [
        ("the log", daemon.log().into_bytes()),
        ("/metrics", daemon.get("/metrics").unwrap().1.into_bytes()),
        ("/readyz", daemon.get("/readyz").unwrap().1.into_bytes()),
        ("the command line", proc("cmdline")),
        ("the environment", proc("environ")),
        ("check", [check.stdout, check.stderr].concat()),
        ("history", [history.stdout, history.stderr].concat()),
    ];
    for (place, content) in places {
        let content = String::from_utf8_lossy(&content);
        assert!(!content.is_empty(), "{place} says nothing at all");
        for form in FORMS {
            assert!(!content.contains(form), "{form} is in {place}");
        }
    }
    daemon.stop();
}

fn no_mail_is_in_the_log(mail: &Mailserver) {
    let anna = mail.user("anna");
    let settings = Settings::label().log_level("trace").with(anna.account());
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    let outage = Mail::new(
        "Xaver Quoll <xaver@quoll.example>",
        "Zebrafish in the engine room",
        "Everything is down, the wolverine ate the cable.",
    );
    anna.deliver(&outage);
    installation.wait_decided(&anna, &outage);
    let log = daemon.log();
    for word in ["Xaver", "quoll.example", "Zebrafish", "wolverine", outage.id()] {
        assert!(!log.contains(word), "{word} is in the log");
    }
    daemon.stop();
}
