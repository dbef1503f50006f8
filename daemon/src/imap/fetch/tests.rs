use super::*;
use crate::imap::scripted::{selected, selected_with};

fn uid(n: u32) -> Uid {
    Uid::new(n).expect("not zero")
}

#[test]
fn dates_have_their_zone() {
    let date = internal_date("17-Jul-1996 02:44:25 -0700").map(|t| t.to_string());
    assert_eq!(date.as_deref(), Some("1996-07-17T09:44:25Z"));
    let padded = internal_date(" 7-Jul-1996 02:44:25 +0000").map(|t| t.to_string());
    assert_eq!(padded.as_deref(), Some("1996-07-07T02:44:25Z"));
    assert_eq!(internal_date("yesterday"), None);
}

#[tokio::test]
async fn a_listing_joins_what_is_split_and_drops_what_was_not_asked_for() {
    let mut session = selected(
        3,
        "C: UID FETCH 5:* (UID RFC822.SIZE INTERNALDATE FLAGS)
         S: * 1 FETCH (UID 4 RFC822.SIZE 10 FLAGS ())
         S: * 2 FETCH (UID 5 RFC822.SIZE 20 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")
         S: * 4 EXISTS
         S: * 3 FETCH (FLAGS (\\Seen))
         S: * 2 FETCH (UID 5 FLAGS (\\Seen triaged-urgent))
         S: * 3 FETCH (UID 9 FLAGS (\\Deleted))
         S: %t OK done
         HANG",
    )
    .await;
    let listed = session.fetch_envelopes(uid(5), Uid::LAST).await.expect("a listing");
    let flags = vec!["\\Seen".to_owned(), "triaged-urgent".to_owned()];
    let received = internal_date("17-Jul-1996 02:44:25 -0700");
    let listed_here = Listed { uid: uid(5), size: 20, received, flags, ..Listed::unseen(uid(5)) };
    assert_eq!(listed, [listed_here]);
    assert!(session.view.arrived, "mail that arrived meanwhile is not forgotten");
}

#[tokio::test]
async fn a_message_without_a_date_is_listed() {
    let mut session = selected(
        2,
        "C: UID FETCH 5:9 (UID RFC822.SIZE INTERNALDATE FLAGS)
         S: * 1 FETCH (UID 5 RFC822.SIZE 20 INTERNALDATE NIL FLAGS ())
         S: * 2 FETCH (UID 6 RFC822.SIZE 30 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" FLAGS ())
         S: %t OK done
         C: UID FETCH 5:9 (UID RFC822.SIZE FLAGS)
         S: * 1 FETCH (UID 5 RFC822.SIZE 20 FLAGS ())
         S: * 2 FETCH (UID 6 RFC822.SIZE 30 FLAGS ())
         S: %t OK done
         HANG",
    )
    .await;
    let listed = session.fetch_envelopes(uid(5), uid(9)).await.expect("a listing");
    let dated: Vec<_> = listed.iter().map(|l| (l.uid.get(), l.received.is_some())).collect();
    assert_eq!(dated, [(5, false), (6, true)]);
    assert_eq!(session.unparsed(), 1);
}

#[tokio::test]
async fn n_star_on_a_mailbox_without_new_mail_lists_nothing() {
    let mut session = selected(
        1,
        "C: UID FETCH 50:* (UID RFC822.SIZE INTERNALDATE FLAGS)
         S: * 1 FETCH (UID 49 RFC822.SIZE 20 FLAGS ())
         S: %t OK done
         C: UID FETCH * (UID)
         S: * 1 FETCH (UID 49)
         S: %t OK done
         HANG",
    )
    .await;
    assert_eq!(session.fetch_envelopes(uid(50), Uid::LAST).await, Ok(vec![]));
    assert_eq!(session.highest_uid().await, Ok(Some(uid(49))));
}

#[tokio::test]
async fn flags_are_those_of_the_messages_that_were_asked_for() {
    let mut session = selected(
        3,
        "C: UID FETCH 5:6,9 (UID FLAGS)
         S: * 1 FETCH (UID 5 FLAGS (triaged-urgent))
         S: * 3 FETCH (UID 8 FLAGS ())
         S: * 1 FETCH (UID 5 FLAGS ())
         S: %t OK done
         C: UID SEARCH KEYWORD triaged-urgent
         S: * SEARCH 9 6
         S: %t OK done
         HANG",
    )
    .await;
    let asked: UidSet = [5, 6, 9].into_iter().map(uid).collect();
    let seen = session.look(&asked).await.expect("an answer");
    assert_eq!(seen, Seen { messages: [(uid(5), vec![])].into(), mod_seq: None });
    let keyword = "triaged-urgent".parse().expect("valid");
    let found = session.search_keyword(&keyword).await.expect("an answer");
    assert_eq!(found.to_string(), "6,9");
}

#[tokio::test]
async fn a_large_mailbox_is_searched_in_parts_and_gmail_for_its_labels() {
    let keyword = "triaged-urgent".parse().expect("valid");
    let mut session = selected_with(
        "",
        120_000,
        "C: UID SEARCH 1:50000 KEYWORD triaged-urgent
         S: * SEARCH 9 6
         S: %t OK done
         C: UID SEARCH 50001:100000 KEYWORD triaged-urgent
         S: * SEARCH
         S: %t OK done
         C: UID SEARCH 100001:* KEYWORD triaged-urgent
         S: * SEARCH 200000
         S: %t OK done
         HANG",
    )
    .await;
    let found = session.search_keyword(&keyword).await.expect("an answer");
    assert_eq!(found.to_string(), "6,9,200000");
    let mut session = selected_with(
        "X-GM-EXT-1",
        9,
        "C: UID SEARCH X-GM-LABELS \"triaged-urgent\"
         S: * SEARCH 5
         S: %t OK done
         HANG",
    )
    .await;
    let found = session.search_keyword(&keyword).await.expect("an answer");
    assert_eq!(found.to_string(), "5");
}

#[tokio::test]
async fn the_moment_of_a_look_is_told_where_the_mailbox_counts_changes() {
    let mut session = selected_with(
        "CONDSTORE",
        3,
        "C: UID FETCH 5:6 (UID FLAGS MODSEQ)
         S: * 1 FETCH (UID 5 FLAGS () MODSEQ (7))
         S: * 2 FETCH (UID 6 FLAGS (k) MODSEQ (12345678901))
         S: * 1 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (12345678902))
         S: %t OK done
         C: UID FETCH 5:6 (UID FLAGS MODSEQ)
         S: * 1 FETCH (UID 5 FLAGS () MODSEQ (7))
         S: * 2 FETCH (UID 6 FLAGS ())
         S: %t OK done
         HANG",
    )
    .await;
    let asked: UidSet = [5, 6].into_iter().map(uid).collect();
    let seen = session.look(&asked).await.expect("an answer");
    assert_eq!(seen.mod_seq, Some(12_345_678_901));
    assert_eq!(session.look(&asked).await.expect("an answer").mod_seq, None, "one is missing");
}

#[tokio::test]
async fn older_mail_is_searched_by_day_and_listed_by_uid() {
    let mut session = selected(
        12,
        "C: UID SEARCH UID 1:8 SINCE 28-Feb-2026
         S: * SEARCH 6 5
         S: * SEARCH 9
         S: %t OK done
         C: UID FETCH 5:6 (UID RFC822.SIZE INTERNALDATE FLAGS)
         S: * 1 FETCH (UID 5 RFC822.SIZE 70 INTERNALDATE \" 2-Mar-2026 08:00:00 +0000\" FLAGS ())
         S: * 7 FETCH (UID 12 FLAGS (\\Seen))
         S: %t OK done
         HANG",
    )
    .await;
    let since = "2026-03-01T10:00:00Z".parse().expect("a time");
    let found = session.search_since(since, uid(9)).await.expect("an answer");
    assert_eq!(found.to_string(), "5:6");
    let listed = session.fetch_listed(&found).await.expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].uid, listed[0].size), (uid(5), 70));
}
