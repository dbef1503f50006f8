//! Logins through the front door: mechanisms, master users, tokens that expire and rotate, and what
//! happens when they are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{
    Account, Authority, CANARY, CLIENT_SECRET, Daemon, Format, Installation, Mail, Mailserver,
    PASSWORD, Proxy, Settings, User, until, until_within,
};

/// A provider, a mail server that believes it, and the administrator's files.
struct Scene {
    authority: Authority,
    mail: Mailserver,
    files: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let files = TempDir::with_prefix("triaged-it-tokens-").unwrap();
        // Dovecot, which is `nobody` for root, reads one of them.
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let authority = Authority::of("anna");
        let mail = Mailserver::start_with(Format::Sdbox, &authority.dovecot(files.path()));
        let scene = Scene { authority, mail, files };
        scene.write("refresh", &Authority::first());
        scene.write("client", CLIENT_SECRET);
        scene
    }

    /// Puts a secret into a file of the administrator.
    fn write(&self, name: &str, secret: &str) -> PathBuf {
        let path = self.files.path().join(name);
        secret_file(&path, secret);
        path
    }

    fn anna(&self) -> User {
        self.mail.user("anna")
    }

    /// Anna's account with tokens in place of a password.
    fn account(&self) -> Account {
        let lines = format!(
            "{}refresh_token_file = \"{}\"\nclient_secret_file = \"{}\"",
            self.authority.section(),
            self.files.path().join("refresh").display(),
            self.files.path().join("client").display(),
        );
        self.anna().account().without_password().and(&lines)
    }

    /// A program that prints what stands in the file `token`.
    fn command(&self) -> String {
        let program = self.files.path().join("print-token");
        let token = self.files.path().join("token");
        fs::write(&program, format!("#!/bin/sh\ncat {}\n", token.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        format!("token_command = [\"{}\"]", program.display())
    }
}

fn secret_file(path: &Path, secret: &str) {
    fs::write(path, format!("{secret}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn state_of(daemon: &Daemon, account: &str) -> String {
    let page = daemon.get("/readyz").map(|(_, body)| body).unwrap_or_default();
    let page: serde_json::Value = serde_json::from_str(&page).unwrap_or_default();
    page["accounts"][account].to_string()
}

fn wait_refused(daemon: &mut Daemon) {
    daemon.wait_until("nothing more is tried", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_accounts", &[("state", "refused")]) > 0.5
    });
}

fn labels_a_mail(installation: &Installation, user: &User) {
    let outage = Mail::outage();
    user.deliver(&outage);
    assert_eq!(installation.wait_decided(user, &outage).outcome, "labelled");
}

#[test]
fn every_mechanism_logs_in_on_a_real_server() {
    let scene = Scene::new();
    let anna = scene.anna();
    for auth in ["plain", "login"] {
        let account = anna.account().and(&format!("auth = {auth:?}"));
        Installation::new(&Settings::shadow().with(account)).start_ready().stop();
    }
    for auth in ["xoauth2", "oauthbearer"] {
        secret_file(&scene.files.path().join("token"), &scene.authority.access_token());
        let lines = format!("{}\nauth = {auth:?}", scene.command());
        let account = anna.account().without_password().and(&lines);
        Installation::new(&Settings::shadow().with(account)).start_ready().stop();
    }
    let log = scene.mail.log();
    for method in ["PLAIN", "XOAUTH2", "OAUTHBEARER"] {
        let login = format!("Login: user=<anna>, method={method},");
        assert!(log.contains(&login), "no {login:?} in\n{log}");
    }
}

#[test]
fn a_master_user_reads_the_mail_of_others_in_both_spellings() {
    let master = "auth_master_user_separator = *\npassdb {\n  driver = static\n  master = yes\n  \
                  args = password=master-canary\n}\n";
    let mail = Mailserver::start_with(Format::Sdbox, master);
    let anna = mail.user("anna");
    // The rights are those of the master, who has none by default.
    mail.user("root").may("INBOX", "lrswt");
    let separated = anna.account().password("master-canary").login("anna*root");
    let authorized = anna.account().password("master-canary").login("root");
    for account in [separated, authorized.and("authorize_as = \"anna\"")] {
        let installation = Installation::new(&Settings::label().with(account));
        let daemon = installation.start_ready();
        labels_a_mail(&installation, &anna);
        daemon.stop();
    }
}

/// Row 19, where the refresh succeeds.
#[test]
fn a_token_that_is_withdrawn_in_mid_session_is_replaced_once() {
    let scene = Scene::new();
    let anna = scene.anna();
    let proxy = Proxy::to(anna.tls_port());
    let settings = Settings::label().with(scene.account().port(proxy.port()));
    let installation = Installation::new(&settings);
    let mut daemon = installation.start_ready();
    assert_eq!(scene.authority.granted(), 1);

    // While the token is good, a new connection does not ask for another one.
    let before = scene.authority.introspected();
    proxy.cut();
    until("it logs in again", || (scene.authority.introspected() > before).then_some(()));
    daemon.wait_ready();
    assert_eq!(scene.authority.granted(), 1, "it is kept in memory");

    scene.authority.withdraw();
    proxy.cut();
    until("it asks for another one", || (scene.authority.granted() == 2).then_some(()));
    daemon.wait_ready();
    labels_a_mail(&installation, &anna);
    assert!(daemon.metric("triaged_login_failures_total", &[]) < 0.5, "that is no failure");

    // A token that says when it ends is replaced before.
    scene.authority.lifetime(1);
    scene.authority.withdraw();
    proxy.cut();
    until("it has a short one", || (scene.authority.granted() == 3).then_some(()));
    daemon.wait_ready();
    let refused = scene.authority.introspected();
    proxy.cut();
    until("it asks before it tries", || (scene.authority.granted() >= 4).then_some(()));
    until("it is in", || (scene.authority.introspected() > refused).then_some(()));
    daemon.stop();
}

/// Row 19: a token ends in mid-session, and the refresh fails: for a while, then for good.
#[test]
fn a_token_that_ends_in_mid_session_and_can_not_be_refreshed_is_waited_for_and_then_said() {
    let scene = Scene::new();
    let anna = scene.anna();
    let proxy = Proxy::to(anna.tls_port());
    let settings = Settings::label().with(scene.account().port(proxy.port()));
    let installation = Installation::new(&settings);
    let mut daemon = installation.start_ready();
    labels_a_mail(&installation, &anna);

    scene.authority.withdraw();
    scene.authority.token_status(Some(503));
    proxy.cut();
    daemon.wait_until("the endpoint is not there", |daemon| {
        let state = state_of(daemon, "anna");
        state.contains("\"waiting\"") && state.contains("not available")
    });
    let outage = Mail::outage();
    anna.deliver(&outage);
    scene.authority.token_status(None);
    daemon.hang_up();
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.wait_ready();

    scene.authority.withdraw();
    scene.authority.takes("another");
    proxy.cut();
    wait_refused(&mut daemon);
    let state = state_of(&daemon, "anna");
    assert!(state.contains("invalid_grant") && state.contains("refresh has changed"), "{state}");
    scene.write("refresh", "another");
    daemon.wait_ready();
    labels_a_mail(&installation, &anna);
    assert_eq!(installation.history().len(), 3);
    daemon.stop();
}

#[test]
fn a_rotated_refresh_token_survives_sigkill() {
    let scene = Scene::new();
    let installation = Installation::new(&Settings::shadow().with(scene.account()));
    for round in 1..=5 {
        let daemon = installation.start();
        // The first that anybody sees of the new tokens is that one is used.
        until("a token is used", || (scene.authority.introspected() >= round).then_some(()));
        daemon.kill();
        assert_eq!((scene.authority.granted(), scene.authority.refused()), (round, 0));
        let kept = installation.state().join("tokens").join("anna.refresh-token");
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&kept).unwrap();
        assert_eq!(text, format!("{CANARY}-refresh-{round}"));
    }
    // Another command of the same user takes its turn with the same token.
    let output = installation.triaged(&["check", "--online"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("over TLS by OAUTHBEARER"), "{said}");
    installation.start_ready().stop();
    assert_eq!(scene.authority.refused(), 0);
}

#[test]
fn a_token_endpoint_that_is_down_is_waited_for_and_one_that_refuses_is_not() {
    let scene = Scene::new();
    scene.authority.token_status(Some(503));
    let installation = Installation::new(&Settings::label().with(scene.account()));
    let mut daemon = installation.start();
    daemon.wait_until("it has tried four times", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_imap_errors_total", &[("kind", "credential")]) > 3.5
    });
    let state = state_of(&daemon, "anna");
    assert!(state.contains("\"waiting\"") && state.contains("not available"), "{state}");
    scene.authority.takes("another");
    scene.authority.token_status(None);
    // By now it waits for up to a minute between two attempts, and it takes three.
    until_within(Duration::from_mins(4), "nothing more is tried", || {
        (daemon.metric("triaged_accounts", &[("state", "refused")]) > 0.5).then_some(())
    });
    assert_eq!(scene.authority.refused(), 3);
    let state = state_of(&daemon, "anna");
    for said in ["invalid_grant", "3 times in a row", "refresh has changed", "systemctl reload"] {
        assert!(state.contains(said), "no {said:?} in {state}");
    }
    assert!(!state.contains("hunter2"), "{state}");
    let output = installation.triaged(&["check", "--online"]);
    assert_eq!(output.status.code(), Some(77), "{}", String::from_utf8_lossy(&output.stdout));

    // What the administrator writes is newer than what is kept.
    scene.write("refresh", "another");
    daemon.wait_ready();
    labels_a_mail(&installation, &scene.anna());
    daemon.stop();
}

/// Row 20: a Dovecot whose back-end for logins is down says UNAVAILABLE.
#[test]
fn a_back_end_that_is_down_is_no_wrong_password() {
    let scene = Scene::new();
    scene.authority.introspection_status(Some(500));
    let installation = Installation::new(&Settings::label().with(scene.account()));
    let mut daemon = installation.start();
    daemon.wait_until("it has tried four times", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_imap_errors_total", &[("kind", "unavailable")]) > 3.5
    });
    let state = state_of(&daemon, "anna");
    assert!(state.contains("\"waiting\"") && state.contains("UNAVAILABLE"), "{state}");
    assert!(daemon.metric("triaged_login_failures_total", &[]) < 0.5);
    scene.authority.introspection_status(None);
    daemon.wait_ready();
    assert_eq!(scene.authority.granted(), 1, "the token was good all the time");
    daemon.stop();
}

/// Row 20: a password that is wrong.
#[test]
fn three_wrong_passwords_stop_an_account_until_the_file_changes() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.tls_port());
    let account = anna.account().port(proxy.port()).password("not the password");
    let settings = Settings::label().with(account);
    let installation = Installation::new(&settings);
    let mut daemon = installation.start();
    wait_refused(&mut daemon);
    assert_eq!(proxy.connections(), 3);
    let file = settings.accounts()[0].password_file(&installation.folder().join("secrets"));
    let state = state_of(&daemon, "anna");
    for said in
        ["refused the login [AUTHENTICATIONFAILED]", "3 times in a row", file.to_str().unwrap()]
    {
        assert!(state.contains(said), "no {said:?} in {state}");
    }
    assert_eq!(daemon.get("/readyz").unwrap().0, 503);
    assert!(daemon.log().contains("until somebody has done something"));

    // Asked for it, it tries again, and no oftener than before.
    daemon.hang_up();
    daemon.wait_until("three more are refused", |_| proxy.connections() == 6);
    wait_refused(&mut daemon);

    secret_file(&file, PASSWORD);
    daemon.wait_ready();
    assert_eq!(proxy.connections(), 7);
    labels_a_mail(&installation, &anna);
    daemon.stop();
}

#[test]
fn a_token_command_is_asked_again_when_somebody_wishes() {
    let scene = Scene::new();
    scene.write("token", &format!("{CANARY}-stale"));
    let account = scene.anna().account().without_password().and(&scene.command());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start();
    wait_refused(&mut daemon);
    let state = state_of(&daemon, "anna");
    assert!(state.contains("what the token command prints") && state.contains("SIGHUP"), "{state}");
    scene.write("token", &scene.authority.access_token());
    daemon.hang_up();
    daemon.wait_ready();
    daemon.stop();
}

#[test]
fn no_token_is_in_logs_metrics_process_table_or_errors() {
    let scene = Scene::new();
    secret_file(&scene.files.path().join("token"), &scene.authority.access_token());
    scene.anna().client().command("CREATE Other");
    let printed = scene.anna().account().named("printed").mailboxes(&["Other"]);
    let printed = printed.without_password().and(&scene.command());
    let settings = Settings::label().log_level("trace").with(scene.account()).with(printed);
    let installation = Installation::new(&settings);
    let mut daemon = installation.start_ready();
    labels_a_mail(&installation, &scene.anna());
    let check = installation.triaged(&["check", "--online"]);
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stdout));
    let proc = |file| fs::read(format!("/proc/{}/{file}", daemon.id())).unwrap();
    let (cmdline, environ) = (proc("cmdline"), proc("environ"));
    // Errors, too: the provider refuses what it gave out.
    scene.authority.withdraw();
    scene.authority.takes("another");
    let refused = installation.triaged(&["check", "--online"]);
    assert_eq!(refused.status.code(), Some(77));
    daemon.hang_up();
    let places = [
        ("the log", daemon.log().into_bytes()),
        ("/metrics", daemon.get("/metrics").unwrap().1.into_bytes()),
        ("/readyz", daemon.get("/readyz").unwrap().1.into_bytes()),
        ("the command line", cmdline),
        ("the environment", environ),
        ("check", [check.stdout, check.stderr, refused.stdout, refused.stderr].concat()),
    ];
    // Plain, and the middle of each of the three ways in which base64 shows it; of the client's
    // secret also what a form makes of it.
    let forms = [
        CANARY,
        "dG9rLWNhbmFye",
        "Rvay1jYW5hcn",
        "0b2stY2FuYXJ5",
        "client-canary",
        "Y2xpZW50LWNhbmFye",
        "canary%2B9%2Fz",
    ];
    for (place, content) in places {
        let content = String::from_utf8_lossy(&content);
        assert!(!content.is_empty(), "{place} says nothing at all");
        for form in forms {
            assert!(!content.contains(form), "{form} is in {place}");
        }
    }
    daemon.stop();
}
