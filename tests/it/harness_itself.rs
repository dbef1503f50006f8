//! The harness is code as well: the server takes mail, the proxy counts and cuts, and nothing is
//! left running.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{
    DATABASE_PASSWORD, Format, Mail, Mailserver, PASSWORD, Postgres, Proxy, Software, free_port,
    group_members, on_each_server, until,
};

on_each_server!(
    a_delivered_mail_is_there_without_flags,
    an_appended_mail_keeps_its_flags,
    who_may_only_read_stores_no_keyword,
);

fn a_delivered_mail_is_there_without_flags(mail: &Mailserver) {
    let anna = mail.user("anna");
    let outage = Mail::outage();
    assert_eq!(anna.find(&outage), None);
    anna.deliver(&outage);
    let stored = anna.wait_for(&outage, |_| true);
    assert!(stored.flags.is_empty(), "{stored:?}");
    assert_eq!(mail.user("bert").find(&outage), None, "users do not share mail");
}

fn an_appended_mail_keeps_its_flags(mail: &Mailserver) {
    let anna = mail.user("anna");
    let invoice = Mail::invoice_question();
    let uid = anna.append("INBOX", &invoice, r"\Flagged Later", None);
    let stored = anna.find(&invoice).expect("it is there");
    assert_eq!(stored.uid, uid);
    assert_eq!(stored.keywords(), ["Later".to_owned()].into());
    assert!(stored.flags.contains("\\Flagged"), "{stored:?}");
}

fn who_may_only_read_stores_no_keyword(mail: &Mailserver) {
    let anna = mail.user("anna");
    let outage = Mail::outage();
    anna.may_only_read();
    anna.deliver(&outage);
    let uid = anna.wait_for(&outage, |_| true).uid;
    let mut client = anna.client();
    client.command("SELECT INBOX");
    // Dovecot says OK all the same.
    let status = client.attempt(&format!("UID STORE {uid} +FLAGS.SILENT (Later)"));
    assert_eq!(status.starts_with("NO"), mail.software() == Software::Cyrus, "{status}");
    assert!(anna.find(&outage).is_some_and(|stored| stored.flags.is_empty()), "it is stored");
}

#[test]
fn a_server_ends_with_its_test_also_when_that_fails() {
    for software in [Software::Dovecot(Format::Sdbox), Software::Cyrus] {
        ends_with_its_test(software);
    }
}

fn ends_with_its_test(software: Software) {
    let mail = Mailserver::of(software);
    let (id, port) = (mail.id(), mail.user("anna").plain_port());
    mail.user("anna").deliver(&Mail::outage());
    assert!(group_members(id).len() > 1, "either server is several processes");
    drop(mail);
    wait_for_end_of(id);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("nobody listens there any more");

    let failed = catch_unwind(|| {
        let mail = Mailserver::of(software);
        std::panic::panic_any(mail.id());
    });
    wait_for_end_of(*failed.expect_err("it panicked").downcast::<u32>().expect("an id"));
}

fn wait_for_end_of(group: u32) {
    until("nothing of the server runs", || group_members(group).is_empty().then_some(()));
}

/// What start.sh promises: a test that is killed can not stop its server, the kernel does.
#[test]
fn a_server_ends_when_the_test_process_is_killed() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests");
    ends_without_its_parent(&format!("{tests}/dovecot/start.sh"), &["sdbox"], 3, &[PASSWORD]);
    ends_without_its_parent(&format!("{tests}/cyrus/start.sh"), &[], 3, &[]);
    if Postgres::start().is_some() {
        let start = format!("{tests}/postgresql/start.sh");
        ends_without_its_parent(&start, &[], 1, &[DATABASE_PASSWORD]);
    }
}

/// `start` is called with a folder, what goes before the ports, the ports, and what goes after.
fn ends_without_its_parent(start: &str, before: &[&str], ports: usize, after: &[&str]) {
    let folder = tempfile::TempDir::with_prefix("triaged-it-").unwrap();
    let ports: Vec<String> = (0..ports).map(|_| free_port().to_string()).collect();
    // The parent keeps no group with its server: only their kinship tells the kernel.
    let script = r#"chmod 755 "$1"; setsid "$0" "$@" >/dev/null & echo $!; wait"#;
    let mut parent = Command::new("sh")
        .args(["-c", script, start])
        .arg(folder.path())
        .args(before)
        .args(&ports)
        .args(after)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut id = [0; 16];
    let read = parent.stdout.take().unwrap().read(&mut id).unwrap();
    let id = str::from_utf8(&id[..read]).unwrap().trim().parse().unwrap();
    until("the server listens", || {
        TcpStream::connect(format!("127.0.0.1:{}", ports[ports.len() - 1])).ok()
    });
    assert!(!group_members(id).is_empty());
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for_end_of(id);
}

#[test]
fn a_database_keeps_what_it_has_is_frozen_and_ends_with_its_test() {
    let Some(mut database) = Postgres::start() else { return };
    database.query("CREATE TABLE kept (n BIGINT)");
    database.query("INSERT INTO kept VALUES (41)");
    database.kill();
    database.start_again();
    assert_eq!(database.query("UPDATE kept SET n = n + 1 RETURNING n"), ["42"]);
    database.stop();
    database.start_again();
    assert_eq!(database.query("SELECT n FROM kept"), ["42"]);
    assert!(database.url().contains(&format!(":{}/", database.port())));

    database.freeze();
    let (port, id) = (database.port(), database.id());
    let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    line.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // What a client asks first: whether TLS can be had ("SSLRequest" of its protocol).
    line.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0; 1];
    line.read_exact(&mut answer).expect_err("it is frozen");
    database.thaw();
    line.set_read_timeout(None).unwrap();
    line.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    database.freeze();
    drop(database);
    wait_for_end_of(id);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("nobody listens there any more");
}

/// Set in a process that freezes a database and then waits to be killed.
const FREEZES: &str = "TRIAGED_IT_FREEZES";

#[test]
fn nothing_of_a_frozen_database_is_left_when_the_test_process_is_killed() {
    if std::env::var_os(FREEZES).is_some() {
        let mut database = Postgres::start().unwrap();
        database.freeze();
        println!("frozen: {}", database.id());
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    if Postgres::start().is_none() {
        return;
    }
    let test =
        "harness_itself::nothing_of_a_frozen_database_is_left_when_the_test_process_is_killed";
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FREEZES, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let said = lines.find(|line| line.contains("frozen: ")).unwrap();
    let (_, id) = said.split_once("frozen: ").unwrap();
    let id: u32 = id.parse().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let children: Vec<u32> = children.split(' ').filter_map(|one| one.parse().ok()).collect();
    assert!(children.len() > 3, "{children:?}");
    other.kill().unwrap();
    other.wait().unwrap();
    // Each of them has a group of its own.
    wait_for_end_of(id);
    children.into_iter().for_each(wait_for_end_of);
}

/// Set in processes that do nothing but take ports, until they are told to end.
const TAKES_PORTS: &str = "TRIAGED_IT_TAKES_PORTS";

#[test]
fn a_port_goes_to_one_of_several_processes_only() {
    if std::env::var_os(TAKES_PORTS).is_some() {
        let ports: Vec<String> = (0..50).map(|_| free_port().to_string()).collect();
        println!("ports: {}", ports.join(" "));
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let test = "harness_itself::a_port_goes_to_one_of_several_processes_only";
    let mut others: Vec<Child> = (0..4)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--nocapture"])
                .env(TAKES_PORTS, "yes")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut ports: Vec<String> = (0..50).map(|_| free_port().to_string()).collect();
    for other in &mut others {
        let lines = BufReader::new(other.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let said = lines.into_iter().find(|line| line.contains("ports: ")).unwrap();
        let (_, list) = said.split_once("ports: ").unwrap();
        ports.extend(list.split(' ').map(str::to_owned));
    }
    for mut other in others {
        drop(other.stdin.take());
        other.wait().unwrap();
    }
    let different: BTreeSet<&String> = ports.iter().collect();
    assert_eq!((ports.len(), different.len()), (250, 250));
}

#[test]
fn the_proxy_swallows_from_a_command_on() {
    let mail = Mailserver::start(Format::Sdbox);
    let proxy = Proxy::to(mail.user("anna").plain_port());
    let line = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    let mut answers = BufReader::new(line.try_clone().unwrap()).lines().map(Result::unwrap);
    answers.next().unwrap();
    proxy.swallow_from("t2 NOOP");
    (&line).write_all(b"t1 NOOP\r\n").unwrap();
    assert!(answers.next().unwrap().starts_with("t1 OK"));
    assert!(!proxy.is_swallowing());
    (&line).write_all(b"t2 NOOP\r\n").unwrap();
    until("it swallows", || proxy.is_swallowing().then_some(()));
    proxy.pass();
    (&line).write_all(b"t3 NOOP\r\n").unwrap();
    assert!(answers.next().unwrap().starts_with("t3 OK"), "the server has not seen t2");
}

#[test]
fn the_proxy_counts_cuts_refuses_and_swallows() {
    let mail = Mailserver::start(Format::Sdbox);
    let proxy = Proxy::to(mail.user("anna").plain_port());
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    let mut greeting = [0; 4];
    let mut line = connect();
    line.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"* OK");
    assert!((20..1000).contains(&proxy.received()), "{}", proxy.received());
    assert_eq!(proxy.connections(), 1);

    let mut rest = vec![0; 1000];
    while !rest.starts_with(b"\n") {
        line.read_exact(&mut rest[..1]).unwrap();
    }
    proxy.swallow();
    line.write_all(b"t1 NOOP\r\n").unwrap();
    line.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    line.read_exact(&mut greeting).expect_err("nothing comes back");
    line.set_read_timeout(None).unwrap();

    proxy.refuse();
    assert_eq!(line.read(&mut rest).unwrap(), 0, "cut");
    assert_eq!(connect().read(&mut rest).unwrap(), 0, "refused");
    proxy.pass();
    connect().read_exact(&mut greeting).unwrap();
    assert_eq!(proxy.connections(), 2);
}
