//! Servers that mean harm, or are broken: one good conversation, cut at each byte and changed at
//! random. The client may fail as it likes, but it must come to an end and must not panic.

use std::io::Cursor;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;
use triaged_core::choice::{Choice, Wish};
use triaged_core::decision::{Flag, MailboxChange};
use triaged_core::mailbox::{Uid, UidSet};

use super::guard::Stream;
use super::transport::Line;
use super::{ImapError, Login, Meter, MoveWay, Session, Woken, wire};

/// All that a server says to [`converse`]; the tags are those that the wire counts.
const SAID: &str = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r
+ \r
* CAPABILITY IMAP4rev1 IDLE ENABLE QRESYNC OBJECTID NOTIFY LIST-EXTENDED LIST-STATUS\r
t1 OK in\r
* ENABLED QRESYNC\r
t2 OK enabled\r
t3 OK notifies\r
* LIST (\\HasNoChildren) \"/\" INBOX\r
* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 7 HIGHESTMODSEQ 9)\r
* LIST (\\Archive) \"/\" {5}\r\na\"b\\c\r
* STATUS \"a\\\"b\\\\c\" (UIDVALIDITY 8)\r
t4 OK listed\r
* FLAGS (\\Seen $Junk)\r
* OK [PERMANENTFLAGS (\\Seen $Junk \\*)] yes\r
* 2 EXISTS\r
* OK [UIDVALIDITY 7] x\r
* OK [UIDNEXT 3] x\r
* OK [HIGHESTMODSEQ 9] x\r
* OK [MAILBOXID (F22-1)] x\r
t5 OK [READ-WRITE] open\r
* 1 FETCH (UID 1 RFC822.SIZE 30 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" FLAGS (\\Seen) EMAILID (M1))\r
* 2 FETCH (UID 2 X-GUID a.1 RFC822.SIZE 40 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" FLAGS ())\r
t6 OK listed\r
* 1 FETCH (UID 1 BODY[HEADER]<0> {8}\r\nA: b\r\n\r\n BODY[TEXT]<0> {2}\r\nhi)\r
* 2 FETCH (UID 2 BODY[HEADER]<0> {8}\r\nA: c\r\n\r\n BODY[TEXT]<0> \"ho\")\r
t7 OK read\r
t8 OK [MODIFIED 1] stored\r
* 1 FETCH (UID 1 FLAGS (\\Seen k))\r
* 2 FETCH (UID 2 FLAGS (k))\r
t9 OK verified\r
* OK [COPYUID 8 1:2 5:6] moved\r
* 1 EXPUNGE\r
* VANISHED 2\r
t10 OK moved\r
+ idling\r
* STATUS elsewhere (MESSAGES 1)\r
* 3 EXISTS\r
t11 OK woken\r
";

/// A stream that says all of this at once, whatever it is told, and then ends or falls silent.
fn says(bytes: &[u8], silent: bool) -> Box<dyn Stream> {
    let said = Cursor::new(bytes.to_vec());
    let sink = tokio::io::sink();
    if silent {
        let (quiet, other_end) = tokio::io::duplex(1);
        // The other end has to live for ever for the silence to last.
        std::mem::forget(other_end);
        Box::new(tokio::io::join(said.chain(quiet), sink))
    } else {
        Box::new(tokio::io::join(said, sink))
    }
}

/// Everything that a session can do, once.
async fn converse(stream: Box<dyn Stream>) -> Result<Woken, ImapError> {
    let until = wire::deadline(Duration::from_secs(20));
    let line = Line { stream, greeted: false };
    let password = "pw".into();
    let login = Login::with_password("bob", &password);
    let mut session = Session::log_in(line, until, &login, &Meter::default()).await?;
    session.notify().await?;
    let wanted = vec![Wish::Name("INBOX".to_owned()), Wish::Pattern("*".to_owned())];
    session.survey(&Choice::new(wanted, Vec::new())).await?;
    session.listen_for(["Work".to_owned()].into());
    session.select("INBOX").await?;
    let listed = session.fetch_envelopes(Uid::FIRST, Uid::LAST).await?;
    let uids: UidSet = listed.iter().map(|listed| listed.uid).collect();
    session.fetch_messages(&uids).await?;
    let flags = vec![Flag::Keyword("k".parse().expect("valid"))];
    let change = MailboxChange { adds: true, flags, uids: uids.clone() };
    session.change(&change, None).await?;
    session.look(&uids).await?;
    session.take_to(MoveWay::Move, &uids, "Work").await?;
    session.idle(Duration::from_mins(4), &CancellationToken::new()).await
}

#[tokio::test(start_paused = true)]
async fn the_conversation_itself_is_good() {
    assert_eq!(converse(says(SAID.as_bytes(), true)).await, Ok(Woken::NewMail));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_cut_at_any_byte_ends_with_an_error() {
    for end in 0..SAID.len() {
        let cut = SAID.as_bytes().get(..end).expect("within");
        for silent in [false, true] {
            let error = converse(says(cut, silent)).await.expect_err("it is cut");
            let expected = if silent { "deadline" } else { "closed" };
            assert_eq!(error.kind(), expected, "cut at {end}, silent: {silent}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_with_any_bytes_in_it_comes_to_an_end() {
    // A linear congruential generator (Knuth, MMIX): the same mutants on every run.
    let mut state: u64 = 42;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let pieces: [&[u8]; 12] = [
        b"\r\n",
        b"(",
        b")))",
        b"\"",
        b"{9}\r\n",
        b"{999999999}\r\n",
        b"\\",
        b"\0",
        b"\xe9",
        b"NIL",
        b"* BYE [ALERT]\xc3\xa9\r\n",
        b"* 1 FETCH (INTERNALDATE NIL)\r\n",
    ];
    for _ in 0..3_000 {
        let mut said = SAID.as_bytes().to_vec();
        for _ in 0..=next(3) {
            let at = next(said.len());
            let piece = pieces.get(next(pieces.len())).expect("within");
            let end = (at + next(6)).min(said.len());
            said.splice(at..end, piece.iter().copied());
        }
        // Whatever it is: it ended, and nothing panicked on the way here.
        let _ = converse(says(&said, next(2) == 0)).await;
    }
}
