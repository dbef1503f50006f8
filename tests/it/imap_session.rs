//! The daemon's IMAP adapter by itself against a real Dovecot: what only a server can prove.
//! What a server does not do on request is tested beside the adapter, on scripted ones.

use std::time::Duration;

use secrecy::SecretString;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use triaged::imap::{Endpoint, ImapError, Login, Session, Woken};
use triaged_core::config::Tls;
use triaged_core::decision::{Flag, MailboxChange};
use triaged_core::label::Keyword;
use triaged_core::mailbox::{Uid, UidSet};

use crate::harness::{Mail, Mailserver, PASSWORD, Proxy, Software, User, on_each_server};

on_each_server!(
    a_login_succeeds_or_says_what_is_wrong,
    a_mailbox_is_found_by_the_name_that_people_write,
    a_message_is_read_byte_by_byte_and_stays_unseen,
    of_a_large_message_only_the_beginning_is_asked_for,
    keywords_are_added_beside_those_that_are_there,
    a_read_only_mailbox_takes_no_keyword,
    a_delivery_wakes_who_waits,
    a_connection_that_is_cut_is_told,
    a_listing_of_many_messages_is_whole,
);

/// Runs a test of the asynchronous adapter.
fn block_on(test: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(test);
}

fn endpoint(user: &User) -> Endpoint {
    Endpoint {
        host: "localhost".into(),
        port: user.tls_port(),
        tls: Tls::Implicit,
        ca_file: Some(user.ca_file()),
        pinned_key: None,
        connect_limit: Duration::from_secs(30),
    }
}

async fn log_in(user: &User) -> Session {
    let password = SecretString::from(PASSWORD);
    Session::connect(&endpoint(user), &Login::with_password(user.name(), &password)).await.unwrap()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn adding(keywords: &[Keyword], uids: &UidSet) -> MailboxChange {
    let flags = keywords.iter().cloned().map(Flag::Keyword).collect();
    MailboxChange { adds: true, flags, uids: uids.clone() }
}

fn keywords(words: &[&str]) -> Vec<Keyword> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

fn a_login_succeeds_or_says_what_is_wrong(mail: &Mailserver) {
    let anna = mail.user("anna");
    block_on(async {
        let session = log_in(&anna).await;
        assert!(session.capabilities().has("IDLE") && session.capabilities().has("UIDPLUS"));
        assert!(!session.capabilities().has("AUTH=PLAIN"), "they are those after the login");
        session.logout().await;

        let connect = async |endpoint: Endpoint, password: &str| {
            let password = SecretString::from(password);
            let login = Login::with_password(anna.name(), &password);
            Session::connect(&endpoint, &login).await.err().unwrap()
        };
        let wrong = connect(endpoint(&anna), "wrong").await;
        assert_eq!(wrong.kind(), "login_refused");
        // Cyrus gives no code.
        let why = wrong.to_string().replace(" [AUTHENTICATIONFAILED]", "");
        assert_eq!(why, "the server refused the login");
        let stranger = Endpoint { ca_file: None, ..endpoint(&anna) };
        assert_eq!(connect(stranger, PASSWORD).await.kind(), "tls");
        // The same server by a name that its certificate does not have.
        let other_name = Endpoint { host: "0.0.0.0".into(), ..endpoint(&anna) };
        assert_eq!(connect(other_name, PASSWORD).await.kind(), "tls");
        let no_tls_there = Endpoint { port: anna.plain_port(), ..endpoint(&anna) };
        assert_eq!(connect(no_tls_there, PASSWORD).await.kind(), "tls");
    });
}

fn a_mailbox_is_found_by_the_name_that_people_write(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    // Cyrus forbids quotes in names.
    let (name, on_the_wire) = match mail.software() {
        Software::Dovecot(_) => ("Entwürfe & \"mehr\"", r#"Entw&APw-rfe &- \"mehr\""#),
        Software::Cyrus => ("Entwürfe & 'mehr'", "Entw&APw-rfe &- 'mehr'"),
    };
    client.command(&format!("CREATE \"{on_the_wire}\""));
    block_on(async {
        let mut session = log_in(&anna).await;
        let status = session.status(name).await.unwrap().status;
        assert_eq!(status.uid_next, Uid::new(1));
        let before = anna.append(on_the_wire, &Mail::outage(), "", None);
        let open = session.select(name).await.unwrap();
        assert_eq!((open.exists, open.read_only), (1, false));
        assert_eq!(open.status.uid_validity, status.uid_validity);
        assert_eq!(open.status.uid_next, Some(uid(before).next()));
        let urgent = Flag::Keyword(keywords(&["triaged-urgent"])[0].clone());
        assert!(open.can_store(&urgent));
        assert_eq!(session.highest_uid().await, Ok(Some(uid(before))));

        let gone = session.select("Not there").await.unwrap_err();
        assert_eq!(gone.kind(), "mailbox_gone");
        assert!(session.selected().is_none() && session.is_open());
        assert_eq!(session.status("Not there").await.unwrap_err().kind(), "mailbox_gone");
        session.select("INBOX").await.unwrap();
        assert_eq!(session.highest_uid().await, Ok(None));
    });
}

fn a_message_is_read_byte_by_byte_and_stays_unseen(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mails = [
        Mail::outage(),
        Mail::raw(&b"Subject: no text\r\n\r\n"[..]),
        Mail::raw(&b"Subject: bytes\r\n\r\n\xff\xfe {5}\r\n\x01(((( \"quoted\" \\ * OK\r\n"[..]),
    ];
    let uids: UidSet = mails.iter().map(|mail| uid(anna.append("INBOX", mail, "", None))).collect();
    block_on(async {
        let mut session = log_in(&anna).await;
        session.select("INBOX").await.unwrap();
        let asked: UidSet = uids.iter().chain([uid(999)]).collect();
        let fetched = session.fetch_messages(&asked).await.unwrap();
        let read: Vec<&[u8]> =
            fetched.iter().map(|fetched| fetched.content.as_deref().unwrap()).collect();
        assert_eq!(read, mails.iter().map(Mail::bytes).collect::<Vec<_>>());
        assert_eq!(fetched.iter().map(|fetched| fetched.uid).collect::<UidSet>(), uids);
        let flags = session.look(&asked).await.unwrap().messages;
        assert_eq!(flags.len(), mails.len());
        assert!(flags.values().all(|flags| !flags.contains(&"\\Seen".to_owned())));
    });
}

fn of_a_large_message_only_the_beginning_is_asked_for(mail: &Mailserver) {
    let anna = mail.user("anna");
    let line = format!("{}\r\n", "x".repeat(98));
    let large = Mail::raw(format!("Subject: large\r\n\r\n{}", line.repeat(300_000)).into_bytes());
    let large_uid = uid(anna.append("INBOX", &large, "", None));
    let proxy = Proxy::to(anna.plain_port());
    let plain = Endpoint {
        host: "127.0.0.1".into(),
        port: proxy.port(),
        tls: Tls::None,
        ..endpoint(&anna)
    };
    block_on(async {
        let password = SecretString::from(PASSWORD);
        let login = Login::with_password(anna.name(), &password);
        let mut session = Session::connect(&plain, &login).await.unwrap();
        session.select("INBOX").await.unwrap();
        let listed = session.fetch_envelopes(Uid::FIRST, Uid::LAST).await.unwrap();
        assert_eq!(listed[0].size, large.bytes().len() as u64);
        let fetched = session.fetch_messages(&large_uid.into()).await.unwrap();
        let read = fetched[0].content.as_ref().unwrap();
        assert!(large.bytes().starts_with(read));
        assert!((128 * 1024..=384 * 1024).contains(&read.len()), "{} bytes", read.len());
        assert!(proxy.received() < 400 * 1024, "{} bytes received", proxy.received());
    });
}

fn keywords_are_added_beside_those_that_are_there(mail: &Mailserver) {
    let anna = mail.user("anna");
    let (first, second) = (Mail::outage(), Mail::newsletter());
    let uids: UidSet = [
        uid(anna.append("INBOX", &first, r"\Seen \Flagged Later $Forwarded", None)),
        uid(anna.append("INBOX", &second, "TRIAGED-URGENT", None)),
    ]
    .into_iter()
    .collect();
    block_on(async {
        let mut session = log_in(&anna).await;
        session.select("INBOX").await.unwrap();
        let ours = keywords(&["triaged-urgent", "triaged-billing"]);
        let asked: UidSet = uids.iter().chain([uid(999)]).collect();
        for _ in 0..2 {
            let stored = session.change(&adding(&ours, &asked), None).await.unwrap();
            assert!(stored.is_ok(), "{stored:?}");
        }
        let flags = session.look(&asked).await.unwrap().messages;
        assert_eq!(flags.keys().copied().collect::<UidSet>(), uids);
        for (uid, flags) in &flags {
            let has = |keyword: &Keyword| flags.iter().any(|flag| keyword.matches(flag));
            assert!(ours.iter().all(has), "{uid}: {flags:?}");
        }
        assert_eq!(session.search_keyword(&ours[1]).await, Ok(uids.clone()));
        // What the server now knows of keywords is known here too, without another SELECT.
        let known = &session.selected().unwrap().flags;
        assert!(known.contains(&"triaged-billing".to_owned()), "{known:?}");
    });
    let flags = anna.find(&first).unwrap().flags;
    for before in ["\\Seen", "\\Flagged", "Later", "$Forwarded"] {
        assert!(flags.contains(before), "{before} is gone: {flags:?}");
    }
    assert_eq!(flags.len(), 6);
}

fn a_read_only_mailbox_takes_no_keyword(mail: &Mailserver) {
    let anna = mail.user("anna");
    let outage = Mail::outage();
    let outage_uid = uid(anna.append("INBOX", &outage, "", None));
    anna.may_only_read();
    block_on(async {
        let mut session = log_in(&anna).await;
        let open = session.select("INBOX").await.unwrap();
        let ours = keywords(&["triaged-urgent"]);
        assert!(!open.can_store(&Flag::Keyword(ours[0].clone())), "{open:?}");
        assert!(open.read_only, "{open:?}");
        let refused = session.change(&adding(&ours, &outage_uid.into()), None).await;
        assert_eq!(refused.unwrap_err().kind(), "not_permitted");
        let flags = session.look(&outage_uid.into()).await.unwrap().messages;
        assert!(flags.values().flatten().all(|flag| flag == "\\Recent"));
    });
    assert!(anna.find(&outage).unwrap().flags.is_empty());
}

fn a_delivery_wakes_who_waits(mail: &Mailserver) {
    let anna = mail.user("anna");
    anna.deliver(&Mail::newsletter());
    let stop = CancellationToken::new();
    let long = Duration::from_mins(1);
    block_on(async {
        let mut session = log_in(&anna).await;
        let open = session.select("INBOX").await.unwrap();
        assert_eq!(session.idle(Duration::from_millis(50), &stop).await, Ok(Woken::Timeout));

        let outage = Mail::outage();
        let (bystander, delivered) = (anna.clone(), outage.clone());
        let delivery = tokio::task::spawn_blocking(move || bystander.deliver(&delivered));
        assert_eq!(session.idle(long, &stop).await, Ok(Woken::NewMail));
        delivery.await.unwrap();
        let new = session.fetch_envelopes(open.status.uid_next.unwrap(), Uid::LAST).await.unwrap();
        assert_eq!(new.len(), 1);
        assert!(new[0].received.is_some());

        let mut other = anna.client();
        other.command("SELECT INBOX");
        other.command("UID STORE 1 +FLAGS (\\Seen)");
        assert_eq!(session.idle(long, &stop).await, Ok(Woken::FlagsChanged));

        stop.cancel();
        assert_eq!(session.idle(long, &stop).await, Ok(Woken::Stopped));
        anna.deliver(&Mail::newsletter());
        assert_eq!(session.noop().await, Ok(true));
        assert_eq!(session.noop().await, Ok(false));
    });
}

fn a_connection_that_is_cut_is_told(mail: &Mailserver) {
    let anna = mail.user("anna");
    let proxy = Proxy::to(anna.tls_port());
    let endpoint = Endpoint { port: proxy.port(), ..endpoint(&anna) };
    block_on(async {
        let password = SecretString::from(PASSWORD);
        let login = Login::with_password(anna.name(), &password);
        let mut session = Session::connect(&endpoint, &login).await.unwrap();
        session.select("INBOX").await.unwrap();
        let stop = CancellationToken::new();
        let waiting = session.idle(Duration::from_mins(1), &stop);
        let (waiting, ()) = tokio::join!(waiting, async { proxy.cut() });
        assert_eq!(waiting, Err(ImapError::Closed));
        assert!(!session.is_open());
        assert_eq!(session.noop().await, Err(ImapError::Closed));
    });
}

fn a_listing_of_many_messages_is_whole(mail: &Mailserver) {
    let anna = mail.user("anna");
    let mut client = anna.client();
    // All of one length, and no two the same: of those Cyrus takes fifty.
    let short = |n: u32| format!("Subject: short {n:03}\r\n\r\nhi\r\n");
    let uids: Vec<u32> =
        (0..250).map(|n| client.append("INBOX", short(n).as_bytes(), "Later", None)).collect();
    block_on(async {
        let mut session = log_in(&anna).await;
        session.select("INBOX").await.unwrap();
        let listed = session.fetch_envelopes(Uid::FIRST, Uid::LAST).await.unwrap();
        assert_eq!(listed.iter().map(|listed| listed.uid.get()).collect::<Vec<_>>(), uids);
        assert!(listed.iter().all(|listed| {
            listed.size == short(0).len() as u64 && listed.flags.contains(&"Later".to_owned())
        }));
        let some = session.fetch_envelopes(uid(uids[10]), uid(uids[19])).await.unwrap();
        assert_eq!(some.len(), 10);
        let last = *uids.last().unwrap();
        assert_eq!(session.fetch_envelopes(uid(last).next(), Uid::LAST).await, Ok(vec![]));
        let odd: UidSet = uids.iter().step_by(2).map(|&number| uid(number)).collect();
        assert_eq!(session.fetch_messages(&odd).await.unwrap().len(), odd.len());
    });
}
