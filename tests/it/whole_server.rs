//! All users of a server, by one master login: who is watched, how they come and go, and how many
//! connections they have.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::connections::assert_one_by_one;
use crate::harness::{
    Daemon, FIXTURE, Format, Installation, MASTER_PASSWORD, Mail, Mailserver, Proxy, Record,
    Server, Settings, User, status_schema, until, until_within,
};

/// Logging five hundred users in takes half a minute, and a busy machine ten times that.
const LONG: Duration = Duration::from_mins(4);

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n:03}")).collect()
}

/// A mail server with a master, and a proxy before it.
struct Scene {
    mail: Mailserver,
    proxy: Proxy,
}

impl Scene {
    fn new() -> Scene {
        let mail = Mailserver::with_master(Format::Sdbox);
        let proxy = Proxy::to(mail.user("anybody").plain_port());
        Scene { mail, proxy }
    }

    fn server(&self) -> Server {
        Server::new(self.proxy.port())
    }

    fn install(server: Server) -> Installation {
        Installation::new(&Settings::shadow().bundle(FIXTURE).with_server(server))
    }

    fn user(&self, name: &str) -> User {
        self.mail.user(name)
    }
}

/// A list of users beside the installation's own files.
fn list(installation: &Installation, lines: &str) -> PathBuf {
    let path = installation.folder().join("users");
    fs::write(&path, lines).unwrap();
    path
}

/// The accounts that /readyz shows, each with its state.
fn states(daemon: &Daemon) -> BTreeMap<String, String> {
    let page = daemon.get("/readyz").map(|(_, body)| body).unwrap_or_default();
    let page: serde_json::Value = serde_json::from_str(&page).unwrap_or_default();
    let accounts = page["accounts"].as_object().into_iter().flatten();
    let state = |one: &serde_json::Value| one["state"].as_str().unwrap().to_owned();
    accounts.map(|(name, one)| (name.clone(), state(one))).collect()
}

fn accounts(daemon: &Daemon, state: &str) -> usize {
    states(daemon).values().filter(|one| *one == state).count()
}

fn wait_watched(daemon: &Daemon, count: usize) {
    until_within(LONG, &format!("{count} are watched"), || {
        let states = states(daemon);
        (states.len() == count && states.values().all(|state| state == "watching")).then_some(())
    });
}

/// The accounts that /readyz shows.
fn shown(daemon: &Daemon) -> Vec<String> {
    states(daemon).into_keys().collect()
}

fn status_is_valid(installation: &Installation) -> bool {
    let status = installation.triaged(&["status", "--json"]).stdout;
    status_schema().is_valid(&serde_json::from_slice(&status).unwrap())
}

fn records(installation: &Installation, account: &str) -> Vec<Record> {
    installation.history().into_iter().filter(|record| record.account == account).collect()
}

fn gets_its_mail_read(installation: &Installation, user: &User, account: &str) {
    let before = records(installation, account).len();
    user.deliver(&Mail::outage());
    until(&format!("the mail of {account} is read"), || {
        (records(installation, account).len() > before).then_some(())
    });
}

#[test]
fn five_hundred_users_that_doveadm_names_are_watched_and_follow_its_list() {
    let scene = Scene::new();
    let mut names = names(500);
    scene.mail.has_users(&names);
    let command = format!("users_command = {:?}", scene.mail.list_command());
    let installation = Scene::install(scene.server().and(&command).and("connections = 600"));
    let mut daemon = installation.start();
    wait_watched(&daemon, 500);
    assert_one_by_one(&scene.proxy.times());
    gets_its_mail_read(&installation, &scene.user("user042"), "mail/user042");

    let (_, metrics) = daemon.get("/metrics").unwrap();
    let series = metrics.lines().filter(|line| !line.starts_with('#'));
    assert!(!metrics.contains("user0") && series.count() < 2_000);
    assert!(status_is_valid(&installation), "its schema says otherwise");
    let status = installation.triaged(&["status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("500 of 500 accounts are watched"), "{status}");
    assert!(status.lines().count() < 100, "{status}");

    names.retain(|name| name != "user007");
    names.push("zoe".to_owned());
    scene.mail.has_users(&names);
    daemon.hang_up();
    until_within(LONG, "one has come and one has gone", || {
        let shown = shown(&daemon);
        let is_shown = |name: &str| shown.iter().any(|shown| shown == name);
        (is_shown("mail/zoe") && !is_shown("mail/user007")).then_some(())
    });
    wait_watched(&daemon, 500);
    assert_eq!(scene.proxy.connections(), 501, "nobody else had to log in again");
    scene.user("user007").deliver(&Mail::outage());
    gets_its_mail_read(&installation, &scene.user("zoe"), "mail/zoe");
    assert!(records(&installation, "mail/user007").is_empty());
    let log = daemon.stop();
    assert!(!log.contains(MASTER_PASSWORD));
}

#[test]
fn a_list_is_followed_as_it_changes_and_a_bad_one_changes_nothing() {
    let scene = Scene::new();
    let choice = "only = [\"user*\", \"anna\"]\nexcept = [\"user00?\"]\nseparator = \"*\"";
    let server = scene.server().and(choice).and("users_file = \"users\"");
    let installation = Scene::install(server);
    let hostile =
        "# people\r\nuser001\nuser010\n\nUser010\nanna\nanna\nroot\nan\x07na\nuser*root\n";
    list(&installation, hostile);
    let mut daemon = installation.start();
    wait_watched(&daemon, 2);
    assert_eq!(shown(&daemon), ["mail/anna", "mail/user010"]);
    gets_its_mail_read(&installation, &scene.user("anna"), "mail/anna");

    list(&installation, "user010\nuser011\nuser001\n");
    until("the list is followed", || {
        (shown(&daemon) == ["mail/user010", "mail/user011"]).then_some(())
    });
    wait_watched(&daemon, 2);
    gets_its_mail_read(&installation, &scene.user("user011"), "mail/user011");
    assert_eq!(records(&installation, "mail/anna").len(), 1);

    for bad in ["", "# nobody\n"] {
        list(&installation, bad);
        daemon.wait_until("the list is refused", |daemon| {
            daemon.get("/readyz").is_some_and(|(_, page)| page.contains("names nobody"))
        });
    }
    fs::remove_file(installation.folder().join("users")).unwrap();
    daemon.wait_until("the list is missed", |daemon| {
        daemon.get("/readyz").is_some_and(|(_, page)| page.contains("can not be read"))
    });
    assert_eq!(shown(&daemon), ["mail/user010", "mail/user011"]);
    assert!(daemon.ready(), "the last good list holds");
    assert!(daemon.metric("triaged_stale_user_lists", &[]) > 0.5);
    // Whoever comes back goes on from where he was.
    list(&installation, "anna\nuser011\n");
    until("the list is followed again", || {
        (shown(&daemon) == ["mail/anna", "mail/user011"]).then_some(())
    });
    wait_watched(&daemon, 2);
    gets_its_mail_read(&installation, &scene.user("anna"), "mail/anna");
    assert_eq!(records(&installation, "mail/anna").len(), 2);
    daemon.stop();
}

#[test]
fn a_list_that_can_not_be_had_at_the_start_is_waited_for() {
    let scene = Scene::new();
    let server = scene.server().and("users_file = \"users\"");
    let installation = Scene::install(server);
    let mut daemon = installation.start();
    daemon.wait_until("it is said", |daemon| {
        daemon
            .get("/readyz")
            .is_some_and(|(status, page)| status == 503 && page.contains("can not be read"))
    });
    list(&installation, "anna\n");
    wait_watched(&daemon, 1);
    daemon.stop();
}

#[test]
fn more_accounts_than_places_are_watched_in_turns() {
    const USERS: usize = 12;
    let scene = Scene::new();
    let names = names(USERS);
    let server = scene.server().and(&format!("users = {names:?}")).and("poll_seconds = 1");
    let installation = Scene::install(server.and("connections = 3"));
    let mut daemon = installation.start();
    wait_watched(&daemon, USERS);
    for name in &names {
        scene.user(name).deliver(&Mail::outage());
    }
    for name in &names {
        until_within(LONG, &format!("{name} had a turn"), || {
            (records(&installation, &format!("mail/{name}")).len() == 1).then_some(())
        });
    }
    daemon.wait_until("they are in turns", |daemon| {
        daemon.get("/status").is_some_and(|(_, page)| page.contains("\"turns\""))
    });
    assert!(status_is_valid(&installation), "its schema says otherwise");
    assert!(daemon.ready(), "who waits for a turn is watched");
    daemon.stop();
    assert!(scene.proxy.most_open() <= 3, "{} were open", scene.proxy.most_open());
}

#[test]
fn a_wrong_master_password_is_not_tried_for_every_user() {
    const USERS: usize = 40;
    let scene = Scene::new();
    let server = scene.server().and(&format!("users = {:?}", names(USERS))).password("wrong");
    let installation = Scene::install(server);
    let mut daemon = installation.start();
    daemon.wait_until("all are refused", |daemon| accounts(daemon, "refused") == USERS);
    // Three in a row; one may have been on its way.
    assert!(scene.proxy.connections() <= 4, "{} logins", scene.proxy.connections());
    let said =
        |daemon: &Daemon| daemon.log().matches("the account is not watched until somebody").count();
    assert_eq!(said(&daemon), 1, "{}", daemon.log());

    let password = installation.folder().join("secrets/mail.password");
    fs::write(&password, "wrong as well\n").unwrap();
    daemon.wait_until("they are refused again", |daemon| said(daemon) == 2);
    daemon.wait_until("all are refused", |daemon| accounts(daemon, "refused") == USERS);
    assert!(scene.proxy.connections() <= 8, "{} logins", scene.proxy.connections());

    fs::write(&password, format!("{MASTER_PASSWORD}\n")).unwrap();
    wait_watched(&daemon, USERS);
    assert!(daemon.ready());
    daemon.stop();
}

#[test]
fn check_says_who_is_watched_and_older_mail_is_asked_for_by_name() {
    let scene = Scene::new();
    let server = scene.server().and("users = [\"anna@x.example\", \"root\"]\nexcept = [\"r*t\"]");
    let installation = Scene::install(server);
    let checked = installation.triaged(&["check", "--online"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    for words in ["2 users, 1 of them watched", "mail/anna~x.example", "logged in at"] {
        assert!(said.contains(words), "no {words} in {said}");
    }

    let anna = scene.user("anna");
    anna.deliver(&Mail::outage());
    let daemon = installation.start();
    wait_watched(&daemon, 1);
    let asked =
        installation.triaged(&["backfill", "--account", "mail/anna@x.example", "--since", "7d"]);
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    assert_eq!(records(&installation, "mail/anna~x.example").len(), 1);
    let nobody = installation.triaged(&["backfill", "--account", "mail/root", "--since", "7d"]);
    assert_eq!(nobody.status.code(), Some(64), "{nobody:?}");
    daemon.stop();
}

#[test]
fn a_user_who_is_refused_does_not_cost_the_others() {
    let scene = Scene::new();
    // Dovecot lets nobody in whose name has such a character (auth_username_chars).
    let users = [vec!["bad!user".to_owned()], names(10)].concat();
    let installation = Scene::install(scene.server().and(&format!("users = {users:?}")));
    let mut daemon = installation.start();
    daemon.wait_until("one is refused and ten are watched", |daemon| {
        accounts(daemon, "refused") == 1 && accounts(daemon, "watching") == 10
    });
    assert!(daemon.metric("triaged_login_failures_total", &[]) < 3.5);
    let status = installation.triaged(&["status", "--account", "mail/bad=21user"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("mail/bad=21user: refused"), "{status}");
    daemon.stop();
}
