//! The daemon and its commands with their database on a PostgreSQL server.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{
    DATABASE_PASSWORD, Daemon, Format, Installation, Mail, Mailserver, Postgres, Settings, User,
    free_port, until,
};

fn anna() -> (Mailserver, User) {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    (mail, anna)
}

fn settings(anna: &User, url: &str) -> Settings {
    Settings::label().database(url).with(anna.account())
}

#[test]
fn the_daemon_and_all_its_commands_work_and_a_restart_does_nothing_twice() {
    let Some(server) = Postgres::start() else { return };
    let (_mail, anna) = anna();
    let old = Mail::newsletter();
    anna.deliver(&old);
    let installation = Installation::new(&settings(&anna, &server.url()));
    let empty = installation.says(&["check"], 0);
    assert!(empty.contains("is empty: `triaged run` fills it"), "{empty}");
    let daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    let asked = ["backfill", "--account", "anna", "--since", "1d"];
    let done = installation.says(&asked, 0);
    assert!(done.contains("2 messages looked at"), "{done}");
    assert_eq!(installation.wait_decided(&anna, &old).outcome, "labelled");
    let none = installation.says(&["retry"], 0);
    assert!(none.contains("no message is in quarantine"), "{none}");
    let check = installation.says(&["check"], 0);
    let place = format!("127.0.0.1:{}/triaged: sound", server.port());
    assert!(check.contains(&place) && check.contains("mails decided: 2"), "{check}");
    assert_eq!(installation.status().database, None);
    daemon.stop();

    let before = installation.history();
    let daemon = installation.start_ready();
    let another = Mail::outage();
    anna.deliver(&another);
    installation.wait_decided(&anna, &another);
    assert_eq!(installation.history()[..2], before);
    assert_eq!(server.query("SELECT count(*) FROM message"), ["3"]);
    assert!(!installation.state().join("triaged.sqlite").exists());
    daemon.stop();
}

/// The password as it might leak: plain, base64, percent form, and what encloses it in base64.
const FORMS: [&str; 4] = [
    DATABASE_PASSWORD,
    "aXQtcG9zdGdyZXMrS2QzbS84Unc1",
    "it-postgres%2BKd3m%2F8Rw5%3D",
    "RyaWFnZWQ6aXQtcG9zdGdyZXM",
];

fn assert_silent(place: &str, content: &[u8]) {
    let content = String::from_utf8_lossy(content);
    assert!(!content.is_empty(), "{place} says nothing at all");
    for form in FORMS {
        assert!(!content.contains(form), "{form} is in {place}:\n{content}");
    }
}

#[test]
fn nothing_of_its_url_is_shown_anywhere() {
    let Some(mut server) = Postgres::start() else { return };
    let (_mail, anna) = anna();
    let settings = |url: &str| settings(&anna, url).log_level("trace");
    let installation = Installation::new(&settings(&server.url()));
    let mut daemon = installation.start_ready();
    let outage = Mail::outage();
    anna.deliver(&outage);
    installation.wait_decided(&anna, &outage);
    server.stop();
    daemon.wait_until("the database is missed", |daemon| !daemon.ready());
    let proc = |file| std::fs::read(format!("/proc/{}/{file}", daemon.id())).unwrap();
    for page in ["/metrics", "/readyz", "/status"] {
        assert_silent(page, daemon.get(page).unwrap().1.as_bytes());
    }
    assert_silent("the command line", &proc("cmdline"));
    assert_silent("the environment", &proc("environ"));
    assert_silent("history", installation.says(&["history"], 69).as_bytes());
    assert_silent("status", installation.says(&["status"], 0).as_bytes());
    assert_silent("check", installation.says(&["check"], 78).as_bytes());
    assert_silent("the log", daemon.log().as_bytes());
    daemon.stop();
    server.start_again();

    let url = server.url();
    for (wrong, code) in [
        (url.replace("triaged:", "nobody:"), 78),
        (url.replace("/triaged?", "/elsewhere?"), 78),
        (url.replace("sslmode=disable", "sslmode=verify-full"), 75),
        (url.replace("sslmode=disable", "ssl_mode=disable"), 78),
        (url.replace("127.0.0.1", "192.0.2.1"), 78),
        (url.replace("postgres://", "http://"), 78),
        (url.replace("127.0.0.1", "127.0.0.1:x"), 78),
    ] {
        installation.configure(&settings(&wrong));
        let (ended, output) = installation.run_in_vain();
        assert_eq!(ended, code, "{output}");
        assert_silent("what a start in vain says", output.as_bytes());
        assert!(output.contains("database"), "{output}");
        let check = installation.triaged(&["check"]);
        assert_silent("check", &[check.stdout, check.stderr].concat());
        let history = installation.triaged(&["history"]);
        assert_silent("history", &[history.stdout, history.stderr].concat());
    }
}

#[test]
fn a_server_that_is_away_ends_a_start_with_75_and_a_command_with_69() {
    let (_mail, anna) = anna();
    let port = free_port();
    let url = Postgres::url_at(port, "triaged");
    let installation = Installation::new(&settings(&anna, &url));
    let (code, output) = installation.run_in_vain();
    assert_eq!(code, 75, "{output}");
    let expected = format!("the database 127.0.0.1:{port}/triaged can not be reached");
    assert!(output.contains(&expected), "{output}");
    let history = installation.says(&["history"], 69);
    assert!(history.contains(&expected), "{history}");
}

fn is_missed(daemon: &mut Daemon) {
    daemon.wait_until("the database is missed", |daemon| {
        let (status, body) = daemon.get("/readyz").unwrap();
        status == 503 && body.contains("\"database\"")
    });
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);
    assert!(daemon.metric("triaged_database_up", &[]) < 1.0);
}

/// What came meanwhile has its keywords this long after the database is back.
fn is_made_up_for(installation: &Installation, anna: &User, mail: &Mail) -> Duration {
    let back = Instant::now();
    let record = until("it is made up for", || {
        let uid = anna.find(mail)?.uid;
        let history = installation.triaged(&["history", "--json"]);
        let history = history.status.success().then(|| installation.history())?;
        history.into_iter().find(|record| record.uid == uid && record.outcome != "pending")
    });
    assert_eq!(record.outcome, "labelled");
    back.elapsed()
}

#[test]
fn a_database_that_is_lost_is_waited_for_and_nothing_is_done_meanwhile() {
    let Some(mut server) = Postgres::start() else { return };
    let (_mail, anna) = anna();
    let installation = Installation::new(&settings(&anna, &server.url()));
    let mut daemon = installation.start_ready();

    server.stop();
    is_missed(&mut daemon);
    let first = Mail::outage();
    anna.deliver(&first);
    daemon.wait_until("the account waits", |daemon| {
        daemon.metric("triaged_accounts", &[("state", "waiting")]) >= 1.0
    });
    assert!(anna.find(&first).unwrap().keywords().is_empty(), "it could not be written down");
    server.start_again();
    let took = is_made_up_for(&installation, &anna, &first);
    eprintln!("a server that was stopped: {took:?} after its return");
    assert!(took < Duration::from_secs(15), "{took:?}");
    daemon.wait_ready();

    server.freeze();
    is_missed(&mut daemon);
    let second = Mail::outage();
    anna.deliver(&second);
    daemon.wait_until("it was noticed to be frozen", |daemon| {
        daemon.get("/readyz").unwrap().1.contains("does not answer")
    });
    assert!(anna.find(&second).unwrap().keywords().is_empty());
    server.thaw();
    let took = is_made_up_for(&installation, &anna, &second);
    eprintln!("a server that was frozen: {took:?} after its thaw");
    assert!(took < Duration::from_secs(15), "{took:?}");
    daemon.wait_ready();
    assert_eq!(server.query("SELECT count(*) FROM message"), ["2"]);
    daemon.stop();
}

/// Gives the server a certificate for 127.0.0.1, and gives back the folder with the authority's.
fn speaks_tls(server: &Postgres) -> String {
    let data = server.query("SHOW data_directory").remove(0);
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ours -keyout ca.key \
            -out ca.pem 2>/dev/null
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=another -keyout other.key \
            -out other.pem 2>/dev/null
        echo subjectAltName=IP:127.0.0.1 >extensions
        openssl req -newkey rsa:2048 -nodes -subj /CN=db -keyout server.key 2>/dev/null |
            openssl x509 -req -CA ca.pem -CAkey ca.key -set_serial 1 -days 2 \
            -extfile extensions -out server.crt 2>/dev/null
        chmod 600 server.key
        chown --reference=PG_VERSION server.key server.crt";
    let made = Command::new("sh").args(["-euc", script]).current_dir(&data).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    server.query("ALTER SYSTEM SET ssl = on");
    server.query("SELECT pg_reload_conf()");
    data
}

#[test]
fn tls_is_verified_by_the_authority_and_the_name() {
    let Some(server) = Postgres::start() else { return };
    let (_mail, anna) = anna();
    let data = speaks_tls(&server);
    let url = |host: &str, authority: &str| {
        let path = Path::new(&data).join(authority);
        let tls = format!("sslmode=verify-full&sslrootcert={}", path.display());
        server.url().replace("sslmode=disable", &tls).replace("127.0.0.1", host)
    };
    let installation = Installation::new(&settings(&anna, &url("127.0.0.1", "other.pem")));
    for wrong in [url("127.0.0.1", "other.pem"), url("localhost", "ca.pem")] {
        installation.configure(&settings(&anna, &wrong));
        let (code, output) = installation.run_in_vain();
        assert_eq!(code, 75, "{output}");
        assert!(output.contains("certificate"), "{output}");
    }
    installation.configure(&settings(&anna, &url("127.0.0.1", "ca.pem")));
    let daemon = installation.start_ready();
    let secure = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                  WHERE datname = 'triaged' AND backend_type = 'client backend' \
                  AND pid <> pg_backend_pid() AND NOT ssl";
    assert_eq!(server.query(secure), ["0"], "none of its sessions is in clear");
    let outage = Mail::outage();
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
}
