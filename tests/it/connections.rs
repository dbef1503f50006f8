//! Servers that go away, refuse, or are not there yet: the daemon stays and comes back.

use std::time::{Duration, Instant};

use crate::harness::{
    Daemon, FIXTURE, Format, Installation, Mail, Mailserver, Proxy, Settings, free_port,
    on_each_server, until_within,
};

on_each_server!(
    a_dropped_connection_is_caught_up,
    a_wrong_password_keeps_the_daemon_alive_and_shows,
    an_account_that_fails_does_not_stop_another,
);

fn a_dropped_connection_is_caught_up(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.tls_port());
    let account = anna.account().port(proxy.port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start_ready();
    let (first, second) = (Mail::outage(), Mail::outage());

    proxy.refuse();
    anna.deliver(&first);
    daemon.wait_until("the daemon notices", |daemon| !daemon.ready());
    proxy.pass();
    assert_eq!(installation.wait_decided(&anna, &first).outcome, "labelled");
    daemon.wait_ready();

    proxy.cut();
    anna.deliver(&second);
    assert_eq!(installation.wait_decided(&anna, &second).outcome, "labelled");
    assert_eq!(installation.history().len(), 2);
    daemon.stop();
}

fn a_wrong_password_keeps_the_daemon_alive_and_shows(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.tls_port());
    let account = anna.account().port(proxy.port()).password("not the password");
    let installation = Installation::new(&Settings::label().with(account));
    let started = Instant::now();
    let mut daemon = installation.start();
    daemon.wait_until("three logins were refused", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_login_failures_total", &[]) >= 3.0
    });
    // One and two seconds, each at least half of it, whatever the jitter.
    assert!(started.elapsed() > Duration::from_millis(1400), "it backs off");
    let (status, body) = daemon.get("/readyz").unwrap();
    assert_eq!(status, 503, "{body}");
    for said in ["\"anna\"", "\"state\": \"refused\"", "refused the login"] {
        assert!(body.contains(said), "no {said} in {body}");
    }
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);
    let log = daemon.log();
    let warned = |line: &&str| line.contains("account=anna") && line.contains("refused the login");
    assert!(log.lines().filter(warned).count() >= 3, "the log names the account and the reason");
    assert!(proxy.connections() < 10, "{} connections", proxy.connections());
    assert!(daemon.is_running());
    daemon.stop();
}

fn an_account_that_fails_does_not_stop_another(mail: &Mailserver) {
    let (anna, bert) = (mail.user("anna"), mail.user("bert"));
    let settings = Settings::label().with(anna.account().password("wrong")).with(bert.account());
    let installation = Installation::new(&settings);
    let mut daemon = installation.start();
    daemon.wait_until("bert is watched", |daemon| {
        daemon.get("/metrics").is_some()
            && daemon.metric("triaged_accounts", &[("state", "watching")]) >= 1.0
    });
    let outage = Mail::outage();
    bert.deliver(&outage);
    assert_eq!(installation.wait_decided(&bert, &outage).outcome, "labelled");
    assert!(!daemon.ready(), "anna is not watched");
    daemon.stop();
}

#[test]
fn a_server_that_is_down_at_the_start_is_waited_for() {
    let imap = free_port();
    let down = Mailserver::start(Format::Sdbox).user("anna").account().in_clear(imap);
    let installation = Installation::new(&Settings::label().with(down));
    let mut daemon = installation.start();
    daemon.wait_until("it has tried in vain", |daemon| {
        daemon.get("/metrics").is_some() && daemon.metric("triaged_imap_errors_total", &[]) >= 1.0
    });
    assert_eq!(daemon.get("/readyz").unwrap().0, 503);
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);

    let mail = Mailserver::start_at(Format::Sdbox, imap);
    daemon.wait_ready();
    let (anna, outage) = (mail.user("anna"), Mail::outage());
    anna.deliver(&outage);
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.stop();
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (mail, other) = (Mailserver::start(Format::Sdbox), Mailserver::start(Format::Sdbox));
    let anna = mail.user("anna");
    let account = other.user("anna").account().port(anna.tls_port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start();
    daemon.wait_until("it has tried in vain", |daemon| {
        daemon.get("/metrics").is_some() && daemon.metric("triaged_imap_errors_total", &[]) >= 1.0
    });
    let (status, body) = daemon.get("/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(body.to_lowercase().contains("certificate"), "{body}");
    daemon.stop();
}

/// What the daemon promises, and a server's own signs of life do not come through.
const NOTICED: Duration = Duration::from_mins(3);

/// Row 3, a link that is dead; for one on which only the push has died see `status`.
#[test]
fn a_link_that_has_died_while_nothing_happened_is_noticed_within_three_minutes() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.tls_port());
    let account = anna.account().port(proxy.port());
    let installation = Installation::new(&Settings::label().with(account));
    let mut daemon = installation.start_ready();
    proxy.swallow();
    let start = Instant::now();
    let outage = Mail::outage();
    anna.deliver(&outage);
    until_within(NOTICED + Duration::from_mins(1), "the daemon notices", || {
        daemon.log().contains("no answer to IDLE in time").then_some(())
    });
    let noticed = start.elapsed();
    println!("noticed after {noticed:?}");
    assert!(noticed <= NOTICED, "{noticed:?}");
    proxy.cut();
    proxy.pass();
    assert_eq!(installation.wait_decided(&anna, &outage).outcome, "labelled");
    daemon.wait_ready();
    daemon.stop();
}

const MANY: usize = 200;

#[test]
fn many_accounts_that_lost_their_server_come_back_one_after_the_other() {
    let mail = Mailserver::start(Format::Sdbox);
    let users: Vec<_> = (0..MANY).map(|n| mail.user(&format!("user{n:03}"))).collect();
    let proxy = Proxy::to(users[0].plain_port());
    let in_clear = users.iter().map(|user| user.account().in_clear(proxy.port()));
    let settings = in_clear.fold(Settings::label().bundle(FIXTURE), Settings::with);
    let installation = Installation::new(&settings);
    let mut daemon = installation.start();
    daemon.wait_until("all are watched", Daemon::ready);
    assert_one_by_one(&proxy.times());

    proxy.cut();
    daemon.wait_until("all have come back", |daemon| {
        proxy.times().len() >= 2 * MANY && daemon.ready()
    });
    let times = proxy.times().split_off(MANY);
    assert_one_by_one(&times);
    let took = times[MANY - 1].duration_since(times[0]);
    println!("{MANY} accounts came back within {took:?}");
    daemon.stop();
}

/// At most twenty a second: over any forty of them, because a machine that is busy may be late with
/// one and not with the next.
pub(crate) fn assert_one_by_one(times: &[Instant]) {
    let spans = times.windows(41).map(|some| some[40].duration_since(some[0]));
    let least = spans.min().expect("there are so many");
    assert!(least >= Duration::from_millis(1_600), "forty within {least:?}");
}
