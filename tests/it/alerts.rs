//! Alerts: somebody is told of a mail by mail, and of nothing that a program sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{
    Fault, Format, Guard, Installation, Mail, Mailserver, Moment, PASSWORD, Proxy, SMTP_PASSWORD,
    Settings, Sink, Taken, User, free_port, until,
};

/// Somebody is angry and it is urgent, in a mailbox that many share.
const ESCALATE: &str = "rule = [{ name = \"escalate\", \
    when = { labels = [\"sentiment.negative\", \"urgency.high\"], mailboxes = [\"INBOX\"] }, \
    then = { flag = true, move = \"Escalations\", create = true, alert = \"oncall\" } }]";

/// A rule that has the person on call told of every mail.
const EVERY: &str = "rule = [{ name = \"every\", then = { alert = \"oncall\" } }]";

/// A triaged for this user, whose alerts go to this server.
fn installation(user: &User, sink: &Sink, rules: &str, more: &str) -> Installation {
    let settings = Settings::label().with(user.account()).and(rules).and(&sink.section(more));
    Installation::new(&settings)
}

/// Some mail of a person.
fn note(count: usize) -> Mail {
    Mail::new("Jo <jo@b.example>", &format!("Note {count}"), "The parcel has come. Thanks.\n\nJo")
}

#[test]
fn an_angry_and_urgent_mail_moves_and_alerts_the_person_on_call() {
    let mail = Mailserver::start(Format::Sdbox);
    let (shared, sink) = (mail.user("shared"), Sink::start(Guard::Implicit));
    let installation = installation(&shared, &sink, ESCALATE, "");
    let mut daemon = installation.start_ready();
    let outage = Mail::outage();
    for one in [&outage, &Mail::newsletter(), &Mail::invoice_question()] {
        shared.deliver(one);
    }
    installation.wait_settled(3);
    let moved = shared.find_in("Escalations", &outage).expect("it is there");
    assert!(moved.flags.contains("\\Flagged"), "{moved:?}");
    installation.wait_alerted(1);
    let taken = sink.taken();
    let [alert] = taken.as_slice() else { panic!("one: {taken:?}") };
    assert_eq!(alert.from, "triaged@example.org");
    assert_eq!(alert.to, ["oncall@example.org"]);
    for (name, value) in [
        ("To", "oncall@example.org"),
        ("Auto-Submitted", "auto-generated"),
        ("Precedence", "bulk"),
        ("X-Auto-Response-Suppress", "All"),
        ("X-Triaged-Alert", "escalate"),
        ("Content-Type", "text/plain; charset=utf-8"),
    ] {
        assert_eq!(alert.field(name).as_deref(), Some(value), "{name}");
    }
    let subject = alert.field("Subject").unwrap();
    assert!(
        subject.starts_with("[triaged] escalate: sentiment negative, urgency high"),
        "{subject}"
    );
    let text = alert.text();
    for line in ["account     shared", "moved to    Escalations", "label       urgency: high ("] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let all = format!("{}{text}", alert.data);
    for word in ["northwind", "Production", "Marta", outage.id()] {
        assert!(!all.contains(word), "{word} was not to be told");
    }
    assert_eq!(sink.said_in_clear(), "");
    daemon.wait_counted("triaged_alerts_total", &[("rule", "escalate"), ("state", "sent")], 1);
    assert_eq!(installation.status().outbox.unwrap().waiting, 0);
    daemon.stop();
}

#[test]
fn what_is_included_is_told_and_nothing_is_told_in_shadow_or_by_a_rule_that_is_tried_out() {
    let mail = Mailserver::start(Format::Sdbox);
    let (shared, sink) = (mail.user("shared"), Sink::start(Guard::StartTls));
    let more = "include = [\"subject\", \"from\", \"message-id\"]";
    let tried = "rule = [{ name = \"tried\", dry_run = true, then = { alert = \"oncall\" } }, \
                 { name = \"Real\", when = { subject = [\"zebra\"] }, then = { alert = \"oncall\" } }]";
    let section = sink.section(more);
    let settings = |mode: Settings| mode.with(shared.account()).and(tried).and(&section);
    let installation = Installation::new(&settings(Settings::shadow()));
    let daemon = installation.start_ready();
    shared.deliver(&Mail::new("Jo <jo@b.example>", "A zebra", "It is here. Thanks."));
    installation.wait_settled(1);
    daemon.stop();
    installation.configure(&settings(Settings::label()));
    let daemon = installation.start_ready();
    let odd = "=?utf-8?q?A_zebra_=C3=BC=0D=0ABcc:_x@y.example?=";
    let zebra = Mail::new("Jo <jo@b.example>", odd, "It is here. Thanks.");
    shared.deliver(&note(1));
    shared.deliver(&zebra);
    installation.wait_alerted(1);
    let taken = sink.taken();
    let [alert] = taken.as_slice() else { panic!("one: {taken:?}") };
    assert_eq!(alert.field("Bcc"), None);
    let text = alert.text();
    let id = zebra.id().trim_matches(['<', '>']);
    for line in
        ["  subject     A zebra ü", "  from        jo@b.example", &format!("  Message-ID  {id}")]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
    let states: Vec<_> =
        installation.history().into_iter().flat_map(|record| record.alerts).collect();
    let states: Vec<_> = states.iter().map(|one| (one.rule.as_str(), one.state.as_str())).collect();
    assert_eq!(states, [("Real", "shadow"), ("Real", "sent")]);
    daemon.stop();
    let file = fs::read(installation.state().join("triaged.sqlite")).unwrap();
    assert!(file.windows(4).any(|some| some == b"Real"), "it is the file");
    for words in ["A zebra ü", "jo@b.example", id] {
        let words = words.as_bytes();
        assert!(!file.windows(words.len()).any(|some| some == words), "no word outlives its alert");
    }
}

#[test]
fn no_alert_is_about_an_alert_an_answer_a_bounce_or_a_list() {
    let mail = Mailserver::start(Format::Sdbox);
    let (oncall, sink) = (mail.user("oncall"), Sink::start(Guard::Implicit));
    let installation = installation(&oncall, &sink, EVERY, "");
    let mut daemon = installation.start_ready();
    oncall.deliver(&note(1));
    installation.wait_alerted(1);
    // The person on call is watched, too: the alert comes in, and its delivery, and so on.
    let Taken { data, .. } = sink.taken().remove(0);
    let hops = "Received: from a by b; Mon, 16 Nov 2026 09:12:00 +0000\r\n".repeat(51);
    let with = |header: &str| {
        format!("{header}From: a@b.example\r\nSubject: x\r\n\r\nThe parcel has come.\r\n")
    };
    let mails = [
        data.clone(),
        with("Auto-Submitted: auto-replied\r\n"),
        with("Precedence: bulk\r\n"),
        with("Precedence: list\r\n"),
        with("Return-Path: <>\r\n"),
        with(&hops),
    ];
    for raw in &mails {
        oncall.append("INBOX", &Mail::verbatim(raw.clone().into_bytes()), "", None);
    }
    // A server that delivers takes a header of its own for the truth.
    oncall.deliver(&Mail::verbatim(data.replace("Message-ID", "X-Was-Message-ID").into_bytes()));
    installation.wait_settled(1 + mails.len() + 1);
    oncall.deliver(&note(2));
    installation.wait_alerted(2);
    assert_eq!(sink.taken().len(), 2, "for the two notes, and for nothing else");
    for (reason, count) in [
        ("own-alert", 2),
        ("auto-submitted", 1),
        ("bulk", 2),
        ("null-return-path", 1),
        ("many-hops", 1),
    ] {
        daemon.wait_counted("triaged_alerts_withheld_total", &[("reason", reason)], count);
    }
    daemon.stop();
}

#[test]
fn twenty_alerts_an_hour_and_then_one_digest() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::Clear));
    let installation = installation(&anna, &sink, EVERY, "");
    let calendar = installation.folder().join("calendar");
    fs::write(&calendar, "+0\n").unwrap();
    let mut daemon = installation.start_with_calendar(&calendar);
    daemon.wait_ready();
    for count in 0..27 {
        anna.deliver(&note(count));
    }
    installation.wait_settled(27);
    installation.wait_alerted(20);
    let outbox = installation.status().outbox.unwrap();
    assert_eq!((outbox.waiting, outbox.oldest), (1, None), "the digest waits for its hour");
    assert_eq!(sink.taken().len(), 20);
    fs::write(&calendar, "+3700\n").unwrap();
    let taken = sink.wait_taken(21);
    let digest = &taken[20];
    assert_eq!(digest.field("Subject").as_deref(), Some("[triaged] every: 7 mails more"));
    assert_eq!(digest.field("X-Triaged-Alert").as_deref(), Some("every"));
    assert!(digest.text().contains("may send 20 alerts an hour"), "{}", digest.text());
    daemon.wait_ready();
    anna.deliver(&note(27));
    sink.wait_taken(22);
    let states = installation.history().into_iter().flat_map(|record| record.alerts);
    assert_eq!(states.filter(|alert| alert.state == "digested").count(), 7);
    daemon.stop();
}

#[test]
fn an_address_that_is_refused_is_given_up_and_shown_and_the_others_get_theirs() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::Implicit));
    let section = sink.section("").replace("[\"oncall@", "[\"gone@example.org\", \"oncall@");
    let settings = Settings::label().with(anna.account()).and(EVERY).and(&section);
    let installation = Installation::new(&settings);
    let mut daemon = installation.start_ready();
    sink.fails(Moment::Recipient, Fault::Say("550 5.1.1 <gone@example.org>: no such user"));
    anna.deliver(&note(1));
    installation.wait_alerted(1);
    assert_eq!(sink.taken()[0].to, ["oncall@example.org"]);
    daemon.wait_counted("triaged_alerts_total", &[("rule", "every"), ("state", "failed")], 1);
    let outbox = installation.status().outbox.unwrap();
    assert_eq!((outbox.waiting, outbox.failed), (0, 1));
    let reason = "every: at the recipient (RCPT TO): the server refuses: 550 5.1.1 … no such user";
    assert_eq!(outbox.last_failure.as_deref(), Some(reason));
    let said = String::from_utf8(installation.triaged(&["status"]).stdout).unwrap();
    assert!(said.contains(&format!("given up in seven days: 1; the last: {reason}")), "{said}");
    let log = daemon.stop();
    assert!(log.contains("an alert is given up") && !log.contains("gone@"), "{log}");
}

#[test]
fn a_login_that_is_refused_is_named_and_mended_without_a_restart() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::StartTls));
    let installation = installation(&anna, &sink, EVERY, "");
    let good = installation.triaged(&["check", "--online"]);
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert_eq!(good.status.code(), Some(0), "{said}");
    assert!(
        said.contains("alerts") && said.contains("over TLS after STARTTLS, logged in"),
        "{said}"
    );
    assert!(said.contains("takes mail for 1 of 1 addresses"), "{said}");
    let denied = "554 5.7.1 <oncall@example.org>: Relay access denied";
    sink.fails(Moment::Recipient, Fault::Say(denied));
    let relay = installation.triaged(&["check", "--online"]);
    let said = String::from_utf8_lossy(&relay.stdout).into_owned();
    assert_eq!(relay.status.code(), Some(78), "{said}");
    let why = "for oncall@example.org: at the recipient (RCPT TO): the server refuses: 554 5.7.1 …";
    assert!(said.contains(why) && !said.contains("takes mail"), "{said}");
    assert_eq!(sink.taken().len(), 0, "nothing is sent");
    sink.clients_have("wrong-canary-7");
    let bad = installation.triaged(&["check", "--online"]);
    let said = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert_eq!(bad.status.code(), Some(77), "{said}");
    assert!(said.contains("at the login: the server refuses: 535 5.7.8"), "{said}");
    let mut daemon = installation.start_ready();
    anna.deliver(&note(1));
    let names_it = |text: &str| text.contains("at the login: the server refuses: 535 5.7.8");
    daemon.wait_until("/readyz names it", |daemon| {
        daemon.get("/readyz").is_some_and(|(status, text)| status == 200 && names_it(&text))
    });
    let outbox = installation.status().outbox.unwrap();
    assert!(outbox.waiting == 1 && outbox.oldest.is_some(), "{outbox:?}");
    assert!(daemon.metric("triaged_smtp_errors_total", &[("kind", "login")]) >= 1.0);
    sink.clients_have(SMTP_PASSWORD);
    daemon.hang_up();
    installation.wait_alerted(1);
    daemon.wait_until("/readyz is quiet", |daemon| {
        daemon.get("/readyz").is_some_and(|(_, text)| !text.contains("problem"))
    });
    daemon.stop();
}

#[test]
fn a_server_that_is_away_holds_nothing_up_and_gets_its_mail_later() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::Implicit));
    let proxy = Proxy::to(sink.port());
    proxy.refuse();
    let section = sink.section_at(proxy.port(), "");
    let settings = Settings::label().with(anna.account()).and(ESCALATE).and(&section);
    let installation = Installation::new(&settings);
    let daemon = installation.start_ready();
    anna.deliver(&Mail::outage());
    installation.wait_settled(1);
    let problem = until("status says why", || installation.status().outbox.unwrap().problem);
    assert!(problem.contains("connecting: ") || problem.contains("lost"), "{problem}");
    assert_eq!(sink.connections(), 0);
    // The daemon ends and starts meanwhile: what waits is on the disk.
    daemon.stop();
    let daemon = installation.start_ready();
    proxy.pass();
    installation.wait_alerted(1);
    assert_eq!(sink.taken().len(), 1);
    daemon.stop();
}

#[test]
fn nothing_goes_out_in_clear_where_starttls_is_taken_away_or_tampered_with() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::StartTls));
    let installation = installation(&anna, &sink, EVERY, "");
    let daemon = installation.start_ready();
    for words in [
        "502 5.5.1 no such command",
        "250 fine, go on in clear",
        "220 go on\r\n250-sink.example\r\n250 AUTH PLAIN",
    ] {
        sink.fails(Moment::StartTls, Fault::Say(words));
    }
    anna.deliver(&note(1));
    installation.wait_alerted(1);
    assert_eq!(sink.faults_left(), 0, "all three were met");
    let clear = sink.said_in_clear();
    let plain = clear.lines().filter(|line| line.starts_with("EHLO ") || *line == "STARTTLS");
    assert!(plain.count() >= 8, "{clear}");
    for word in ["AUTH", "MAIL", "RCPT", "oncall", "canary", "c210cC1jYW5hcnk"] {
        assert!(!clear.contains(word), "{word} in {clear}");
    }
    assert_eq!(sink.taken().len(), 1);
    daemon.stop();
}

/// The SMTP password as it might leak: plain, base64, base64 of SASL PLAIN at each offset, percent form.
const FORMS: [&str; 6] = [
    SMTP_PASSWORD,
    "c210cC1jYW5hcnkrV3E4eS80S2Q5",
    "AHRyaWFnZWQAc210cC1jYW5hcnkrV3E4eS80S2Q5",
    "smtp-canary%2BWq8y%2F4Kd9%3D",
    "tdHAtY2FuYXJ5K1dxOHkvNEtkO",
    "bXRwLWNhbmFyeStXcTh5LzRLZDk9",
];

#[test]
fn the_smtp_password_is_nowhere_but_in_its_file_and_on_its_way() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::Implicit));
    for auth in ["plain", "login"] {
        let section = sink.section("").replace("user =", &format!("auth = {auth:?}\nuser ="));
        let settings = Settings::label().log_level("trace").with(anna.account());
        let installation = Installation::new(&settings.and(EVERY).and(&section));
        let daemon = installation.start_ready();
        // A server that repeats what it heard.
        sink.fails(
            Moment::Login,
            Fault::Say(
                "535 AHRyaWFnZWQAc210cC1jYW5hcnkrV3E4eS80S2Q5 smtp-canary+Wq8y/4Kd9= is wrong",
            ),
        );
        anna.deliver(&note(1));
        until("the refusal is known", || installation.status().outbox.unwrap().problem);
        let (_, readyz) = daemon.get("/readyz").unwrap();
        let (_, metrics) = daemon.get("/metrics").unwrap();
        let mut daemon = daemon;
        daemon.hang_up();
        installation.wait_alerted(1);
        let check = installation.triaged(&["check", "--online"]);
        let proc = |file| fs::read(format!("/proc/{}/{file}", daemon.id())).unwrap();
        let places = [
            ("the command line", proc("cmdline")),
            ("the environment", proc("environ")),
            ("/readyz", readyz.into_bytes()),
            ("/metrics", metrics.into_bytes()),
            ("check", [check.stdout, check.stderr].concat()),
            ("history", installation.triaged(&["history", "--json"]).stdout),
            ("status", installation.triaged(&["status", "--json"]).stdout),
            ("the database", fs::read(installation.state().join("triaged.sqlite")).unwrap()),
            ("the log", daemon.stop().into_bytes()),
        ];
        for (place, content) in places {
            let content = String::from_utf8_lossy(&content);
            assert!(!content.is_empty(), "{place} says nothing at all");
            for form in FORMS {
                assert!(!content.contains(form), "{form} is in {place}, with {auth}");
            }
        }
    }
}

/// Dovecot's submission service, out of its Debian package, where its own user can run it.
fn submission() -> TempDir {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
    let folder = TempDir::with_prefix("triaged-it-submission-").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for program in ["submission", "submission-login"] {
        let there = tools.join(program);
        assert!(there.exists(), "{program} is missing. Run `make deps`.");
        fs::copy(there, folder.path().join(program)).unwrap();
    }
    folder
}

#[test]
fn dovecots_submission_server_takes_alerts_with_either_tls_and_either_login() {
    let (programs, sink) = (submission(), Sink::start(Guard::Clear));
    let (starttls, implicit) = (free_port(), free_port());
    let folder = programs.path().display();
    let configuration = format!(
        "protocols = $protocols submission\nhostname = mail.example\n\
         service submission {{\n  executable = {folder}/submission\n}}\n\
         service submission-login {{\n  executable = {folder}/submission-login\n  chroot =\n\
         inet_listener submission {{\n    port = {starttls}\n  }}\n\
         inet_listener submissions {{\n    port = {implicit}\n    ssl = yes\n  }}\n}}\n\
         submission_relay_host = 127.0.0.1\nsubmission_relay_port = {}\n",
        sink.port()
    );
    let mail = Mailserver::start_with(Format::Sdbox, &configuration);
    let anna = mail.user("anna");
    let password = programs.path().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let ways = [("starttls", starttls, "plain"), ("implicit", implicit, "login")];
    for (count, (tls, port, auth)) in ways.into_iter().enumerate() {
        let section = format!(
            "[smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = {tls:?}\nauth = {auth:?}\n\
             user = \"anna\"\npassword_file = {password:?}\nca_file = {:?}\n\
             from = \"triaged@example.org\"\n\
             [[alert]]\nname = \"oncall\"\nto = [\"oncall@example.org\"]\ninclude = [\"subject\"]\n",
            anna.ca_file()
        );
        let settings = Settings::label().with(anna.account()).and(EVERY).and(&section);
        let installation = Installation::new(&settings);
        let daemon = installation.start_ready();
        // Text that a server would trip over if it came as it is.
        let body = "The parcel has come.\n.\n..\nFrom here on, all is well. Thanks.\n.\n";
        let from = "Jo <jo@b.example>";
        anna.deliver(&Mail::new(from, "=?utf-8?b?w7xiZXIgwq4gLgouCg==?=", body));
        installation.wait_alerted(1);
        let taken = sink.taken();
        assert_eq!(taken.len(), count + 1, "{tls}");
        let text = taken[count].text();
        assert!(text.contains("  subject     über ® . ."), "{text}");
        assert_eq!(taken[count].field("X-Triaged-Alert").as_deref(), Some("every"));
        daemon.stop();
    }
}

#[test]
fn nobody_is_alerted_of_mail_that_lay_there_before_the_first_start() {
    let mail = Mailserver::start(Format::Sdbox);
    let (anna, sink) = (mail.user("anna"), Sink::start(Guard::Clear));
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let old = note(1);
    anna.append("INBOX", &old, "", Some(yesterday));
    let settings = Settings::label().with(anna.account().backfill("7d"));
    let installation = Installation::new(&settings.and(EVERY).and(&sink.section("")));
    let mut daemon = installation.start_ready();
    installation.wait_settled(1);
    daemon.wait_counted("triaged_alerts_withheld_total", &[("reason", "older-mail")], 1);
    anna.deliver(&note(2));
    installation.wait_alerted(1);
    assert_eq!(sink.taken().len(), 1);
    daemon.stop();
}
