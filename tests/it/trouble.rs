//! Servers in trouble: restarted, crowded, throttling, or of two minds. The daemon stays away for as
//! long as that needs, says why, and comes back.
//!
//! Where a real server can be brought to it, it is a real one; else an impostor says what Gmail or
//! Exchange say, and a proxy leads to a real server afterwards.

use std::time::Duration;

use triaged::http::AccountStatus;
use triaged::readiness::AccountState;

use crate::harness::{
    Daemon, FIXTURE, Format, Impostor, Installation, Mail, Mailserver, Proxy, Settings, User, until,
};

fn labels_a_mail(installation: &Installation, user: &User) {
    let outage = Mail::outage();
    user.deliver(&outage);
    assert_eq!(installation.wait_decided(user, &outage).outcome, "labelled");
}

fn wait_throttled(installation: &Installation, daemon: &mut Daemon) -> AccountStatus {
    daemon.wait_until("the daemon answers", |daemon| daemon.get("/status").is_some());
    installation
        .wait_status("anna", "the account is throttled", |anna| anna.state.name() == "throttled")
}

/// How long the account stays away, in seconds.
fn away(status: &AccountStatus) -> i64 {
    let until = status.state.retry_at().expect("it comes back");
    until.duration_since(status.since).as_secs()
}

/// Row 6: a server that is restarted, in order or by a loss of power, costs no mail and no label, and
/// nothing is done twice.
#[test]
fn a_server_that_is_restarted_is_come_back_to() {
    let mut mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    // In clear, so that the goodbye comes from the process that has the mail and not from one that
    // speaks TLS for it, which says none.
    let account = anna.account().in_clear(anna.plain_port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start_ready();
    labels_a_mail(&installation, &anna);
    for ends in [Mailserver::stop, Mailserver::kill] {
        ends(&mut mail);
        installation.wait_status("anna", "the daemon notices", |anna| {
            matches!(anna.state, AccountState::Waiting { .. })
        });
        mail.start_again();
        labels_a_mail(&installation, &anna);
        daemon.wait_ready();
    }
    assert_eq!(installation.history().len(), 3);
    let log = daemon.stop();
    assert!(log.contains("the server ended the connection"), "the first one said goodbye: {log}");
}

/// Row 10: a server that has no room for a connection is not hammered; while there is none to spare,
/// mail is looked at by visits, and no connection is kept.
#[test]
fn a_server_without_room_is_visited_now_and_then() {
    let limit = "protocol imap {\n  mail_max_userip_connections = 3\n}\n";
    let mail = Mailserver::start_with(Format::Sdbox, limit);
    let anna = mail.user("anna");
    let others = [anna.client(), anna.client(), anna.client()];
    let proxy = Proxy::to(anna.tls_port());
    let account = anna.account().port(proxy.port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start();
    let found = wait_throttled(&installation, &mut daemon);
    assert!(found.state.reason().is_some_and(|reason| reason.contains("LIMIT")), "{found:?}");
    assert!(away(&found) >= 29, "{found:?}");
    assert_eq!(proxy.connections(), 1);
    assert!(!daemon.ready());
    assert!(daemon.metric("triaged_login_failures_total", &[]) < 0.5, "that is no refused login");

    drop(others);
    until("there is room", || mail.sessions().is_empty().then_some(()));
    let outage = Mail::outage();
    daemon.hang_up();
    let found = installation.wait_status("anna", "it was there and has gone", |anna| {
        anna.state.reason().is_some_and(|reason| reason.contains("no connection is kept"))
    });
    assert!(away(&found) >= 299, "{found:?}");
    assert_eq!(proxy.connections(), 2);
    assert!(daemon.metric("triaged_connections", &[]) < 0.5);
    anna.deliver(&outage);
    daemon.hang_up();
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
}

/// A daemon whose server is an impostor for now; what it says of anna's account when she is throttled
/// or waits.
struct Scene {
    mail: Mailserver,
    proxy: Proxy,
    impostor: Impostor,
    installation: Installation,
    daemon: Daemon,
}

impl Scene {
    fn of(says: &'static [&'static str]) -> Scene {
        let mail = Mailserver::start(Format::Sdbox);
        let impostor = Impostor::saying(says);
        let proxy = Proxy::to(impostor.port());
        let account = mail.user("anna").account().in_clear(proxy.port());
        let installation = Installation::new(&Settings::label().bundle(FIXTURE).with(account));
        let daemon = installation.start();
        Scene { mail, proxy, impostor, installation, daemon }
    }

    /// From now on the server is a real one, and all is well.
    fn ends_well(mut self) {
        let anna = self.mail.user("anna");
        self.proxy.lead_to(anna.plain_port());
        self.daemon.hang_up();
        self.daemon.wait_ready();
        let outage = Mail::outage();
        anna.deliver(&outage);
        self.installation.wait_decided(&anna, &outage);
        assert!(self.daemon.metric("triaged_login_failures_total", &[]) < 0.5);
        self.daemon.stop();
    }
}

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1] hi\r\n";
const WELCOME: &str = "%t OK [CAPABILITY IMAP4rev1] in\r\n";

/// Row 11: a quota on bytes is waited out for long, and the alert that comes with it is shown.
#[test]
fn a_bandwidth_quota_is_waited_out() {
    let mut scene = Scene::of(&[
        GREETING,
        "%t NO [ALERT] Account exceeded command or bandwidth limits. Ask bob@example.org\x07\r\n",
    ]);
    let found = wait_throttled(&scene.installation, &mut scene.daemon);
    assert!(found.state.reason().is_some_and(|reason| reason.contains("bandwidth")), "{found:?}");
    assert!(away(&found) >= 449, "{found:?}");
    assert_eq!(scene.impostor.connections(), 1);
    let log = scene.daemon.log();
    assert!(log.contains("Account exceeded command or bandwidth limits. Ask (address)"), "{log}");
    scene.ends_well();
}

/// Row 12: the delay that a server states is kept, and no longer one is made of it.
#[test]
fn a_stated_delay_is_kept() {
    let mut scene = Scene::of(&[
        GREETING,
        WELCOME,
        "%t NO Request is throttled. Suggested Backoff Time: 4000 milliseconds\r\n",
    ]);
    let found = wait_throttled(&scene.installation, &mut scene.daemon);
    assert!((3..=5).contains(&away(&found)), "{found:?}");
    scene.daemon.wait_until("it has come three times", |_| scene.impostor.connections() >= 3);
    let times = scene.proxy.times();
    for pair in times.windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= Duration::from_secs(4), "{times:?}");
    }
    scene.ends_well();
}

/// Row 13: a login that is good while the mailboxes behind it can not be reached is a server that is
/// not available, and neither a refused login nor a mailbox that is missing.
#[test]
fn authenticated_but_not_connected_passes() {
    let mut scene =
        Scene::of(&[GREETING, WELCOME, "%t NO User is authenticated but not connected.\r\n"]);
    scene.daemon.wait_until("it has come four times", |_| scene.impostor.connections() >= 4);
    let found = scene.installation.wait_status("anna", "she waits", |anna| {
        matches!(anna.state, AccountState::Waiting { .. })
    });
    assert!(found.state.reason().is_some_and(|reason| reason.contains("UNAVAILABLE")), "{found:?}");
    scene.ends_well();
}

/// Row 13, in answer to the login itself, where three refusals would stop the account.
#[test]
fn authenticated_but_not_connected_is_no_refused_login() {
    let mut scene = Scene::of(&[GREETING, "%t NO User is authenticated but not connected.\r\n"]);
    scene.daemon.wait_until("it has come four times", |_| scene.impostor.connections() >= 4);
    scene.ends_well();
}
