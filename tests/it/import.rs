//! From a file to a server: the daemon goes on where it was, and what it did before can be taken back.

use crate::harness::{
    Format, Installation, Mail, Mailserver, Postgres, Proxy, Settings, User, until,
};
use crate::workload::WRITES;

const RULE: &str = "rule = [{ name = \"escalate\", when.labels = [\"urgency.high\"], \
                    then = { flag = true, move = \"Escalations\", create = true } }]";

fn settings(anna: &User, proxy: &Proxy) -> Settings {
    Settings::label().with(anna.account().in_clear(proxy.port())).and(RULE)
}

#[test]
fn on_the_server_the_daemon_goes_on_where_it_was_with_the_file() {
    let Some(server) = Postgres::start() else { return };
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.plain_port());
    let installation = Installation::new(&settings(&anna, &proxy));
    assert!(installation.says(&["import"], 78).contains("add [database]"), "there is no server");
    let daemon = installation.start_ready();
    let (outage, question) = (Mail::outage(), Mail::invoice_question());
    anna.deliver(&outage);
    anna.deliver(&question);
    installation.wait_settled(2);
    let before = installation.history();

    let on_server = settings(&anna, &proxy).database(&server.url());
    installation.configure(&on_server);
    let busy = installation.says(&["import"], 75);
    assert!(busy.contains("stop it first"), "{busy}");
    daemon.stop();
    let checked = installation.says(&["check"], 0);
    assert!(checked.contains("`triaged import` takes over what"), "{checked}");
    let done = installation.says(&["import"], 0);
    assert!(done.contains("1 accounts") && done.contains("2 messages"), "{done}");
    assert_eq!(installation.history(), before);
    let again = installation.says(&["import"], 78);
    assert!(again.contains("there is no file"), "it has another name: {again}");

    proxy.forget_said();
    let daemon = installation.start_ready();
    let wrote = |command: &String| WRITES.iter().any(|write| command.starts_with(write));
    let writes: Vec<String> = proxy.said_commands().into_iter().filter(wrote).collect();
    assert_eq!(writes, Vec::<String>::new(), "what is done is not done again");
    let bulk = Mail::newsletter();
    anna.deliver(&bulk);
    installation.wait_settled(3);
    let number = before.iter().find(|record| record.outcome == "moved").unwrap().number.to_string();
    installation.says(&["undo", "--message", &number], 0);
    until("it is back", || anna.find(&outage));
    assert!(anna.find_in("Escalations", &outage).is_none());
    assert!(anna.find(&question).is_some_and(|stays| !stays.keywords().is_empty()));
    daemon.stop();
    let file = |name: &str| installation.state().join(name).exists();
    assert!(!file("triaged.sqlite") && file("triaged.sqlite.imported"), "nobody takes it again");
}

#[test]
fn a_folder_without_a_file_and_a_server_that_is_away_are_told_apart() {
    let Some(mut server) = Postgres::start() else { return };
    let settings = Settings::label().with_nobody().database(&server.url());
    let installation = Installation::new(&settings);
    let missing = installation.says(&["import"], 78);
    assert!(missing.contains("there is no file"), "{missing}");
    let elsewhere = Installation::new(&Settings::label().with_nobody());
    let daemon = elsewhere.start();
    let file = elsewhere.state().join("triaged.sqlite");
    until("the daemon has made it", || file.exists().then_some(()));
    daemon.kill();
    let from = elsewhere.state().to_str().unwrap().to_owned();
    server.stop();
    let away = installation.says(&["import", "--from", &from], 69);
    assert!(away.contains("can not be reached"), "{away}");
    server.start_again();
    installation.says(&["import", "--from", &from], 0);
}
