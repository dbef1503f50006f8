//! Lists as they come from directories and from hands, and who is chosen from them.

use proptest::prelude::*;

use super::*;
use crate::config::{Mode, parse};
use crate::sync::Backfill;

fn listed(text: &[u8]) -> Vec<String> {
    Listing::read(text).users
}

#[test]
fn a_list_has_one_user_a_line_and_the_rest_says_nothing() {
    let text = b"\xef\xbb\xbf# who is watched\r\nanna\r\n\r\n  bert \n\t\n#carl\nd@example.org";
    assert_eq!(listed(text), ["anna", "bert", "d@example.org"]);
    assert_eq!(Listing::read(b""), Listing::default());
    assert_eq!(Listing::read(b"\n\n# nobody\n"), Listing::default());
}

#[test]
fn who_is_listed_twice_is_one_user_in_the_first_spelling() {
    let listing = Listing::read("Anna\nbert\nanna\nANNA\nbert\nÜlo\nülo\n".as_bytes());
    assert_eq!(listing.users, ["Anna", "bert", "Ülo"]);
    assert_eq!((listing.twice, listing.wrong), (4, Vec::new()));
}

#[test]
fn a_line_that_names_nobody_costs_no_other() {
    let long = "x".repeat(LONGEST + 1);
    let text = [b"anna\n\xff\xfe\nbe\0rt\nca\x1b[2Jrl\n", long.as_bytes(), b"\nzoe"].concat();
    let listing = Listing::read(&text);
    assert_eq!(listing.users, ["anna", "zoe"]);
    let lines: Vec<usize> = listing.wrong.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
}

fn server(lines: &str) -> ServerConfig {
    let text = format!(
        "[[server]]\nname = \"mail\"\nhost = \"h\"\nmaster = \"triaged\"\npassword_file = \"p\"\n\
         users_file = \"u\"\n{lines}"
    );
    let config = parse(&text).map_err(|problems| problems.to_string()).expect("valid");
    config.servers.into_iter().next().expect("one server")
}

fn chosen(lines: &str, users: &[&str]) -> Vec<String> {
    let users: Vec<String> = users.iter().map(|user| (*user).to_owned()).collect();
    server(lines).roster(&users).accounts.into_iter().map(|account| account.name).collect()
}

#[test]
fn only_and_except_choose_by_name_and_pattern() {
    let users = ["anna@a.example", "bert@a.example", "Root", "test-1@b.example"];
    assert_eq!(chosen("", &users).len(), 4);
    assert_eq!(
        chosen("only = [\"*@A.example\"]", &users),
        ["mail/anna~a.example", "mail/bert~a.example"]
    );
    assert_eq!(
        chosen("except = [\"root\", \"test-?@*\"]", &users),
        ["mail/anna~a.example", "mail/bert~a.example"]
    );
    assert_eq!(
        chosen("only = [\"*@a.example\"]\nexcept = [\"bert@*\"]", &users),
        ["mail/anna~a.example"]
    );
    assert_eq!(chosen("only = [\"nobody\"]", &users), Vec::<String>::new());
}

#[test]
fn what_is_about_nobody_is_said() {
    let server =
        server("only = [\"anna\", \"bret\"]\n[[server.user]]\nname = \"Zoe\"\nmode = \"label\"");
    let roster = server.roster(&["anna".to_owned(), "bert".to_owned()]);
    assert_eq!((roster.nobody, roster.listed), (vec!["bret".to_owned(), "zoe".to_owned()], 2));
}

#[test]
fn the_master_opens_each_mailbox_in_one_of_two_ways() {
    let by_identity = server("").account("anna@example.org");
    assert_eq!(by_identity.user, "triaged");
    assert_eq!(by_identity.authorize_as.as_deref(), Some("anna@example.org"));
    let by_name = server("separator = \"*\"");
    let anna = by_name.account("Anna@example.org");
    assert_eq!((anna.user.as_str(), anna.authorize_as), ("Anna@example.org*triaged", None));
    // A name that would say something else to the server is nobody's.
    let users = ["anna*root".to_owned(), "bert".to_owned()];
    let roster = by_name.roster(&users);
    assert_eq!((roster.accounts.len(), roster.ambiguous), (1, 1));
}

#[test]
fn a_user_may_differ_from_the_others() {
    let server = server(
        "mode = \"label\"\nbackfill = \"7d\"\n[[server.user]]\nname = \"Anna\"\nmode = \"shadow\"\n\
         mailboxes = [\"INBOX\", \"Sent\"]\npoll_seconds = 5",
    );
    let (anna, bert) = (server.account("anna"), server.account("bert"));
    assert_eq!((anna.mode, bert.mode), (Mode::Shadow, Mode::Label));
    assert_eq!((anna.backfill, bert.backfill), (Backfill::Days(7), Backfill::Days(7)));
    assert_eq!((anna.mailboxes.names().count(), bert.mailboxes.names().count()), (2, 1));
    assert_eq!((anna.poll.as_secs(), bert.poll.as_secs()), (5, 60));
}

#[test]
fn an_account_is_found_by_its_name_or_by_the_users() {
    let text = "[[server]]\nname = \"mail\"\nhost = \"h\"\nmaster = \"m\"\npassword_file = \"p\"\n\
                users = [\"a\"]\nexcept = [\"root@*\"]";
    let config = parse(text).expect("valid");
    for name in ["mail/anna~example.org", "mail/anna@example.org"] {
        let account = config.account(name).expect("an account");
        assert_eq!(account.authorize_as.as_deref(), Some("anna@example.org"), "{name}");
        assert_eq!(account.name, "mail/anna~example.org");
    }
    for name in ["mail", "other/anna", "mail/root@example.org", "mail/", "mail/=zz", "anna"] {
        assert_eq!(config.account(name), None, "{name}");
    }
}

#[test]
fn patterns_mean_what_people_think() {
    let cases = [
        ("anna", "anna", true),
        ("anna", "anna2", false),
        ("*", "", true),
        ("a*a", "aa", true),
        ("a*a", "a", false),
        ("*@*.example", "x@mail.example", true),
        ("??", "ü", false),
        ("??", "üb", true),
        ("a**b*c", "axxbyybzc", true),
        ("a*b*c", "acb", false),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(Pattern::new(pattern).is_of(name), expected, "{pattern} {name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_list(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let listing = Listing::read(&bytes);
        for user in &listing.users {
            prop_assert!(!user.is_empty() && !user.chars().any(char::is_control));
        }
    }

    #[test]
    fn a_name_is_plain_unique_and_leads_back(user in "[a-zA-Z@~=*/ _.é\u{202e}]{1,20}") {
        let name = encoded(&user);
        prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-~=".contains(c)));
        prop_assert_eq!(decoded(&name), Some(user.to_lowercase()));
    }

    #[test]
    fn a_pattern_without_stars_is_the_name(name in "[a-z@.]{1,12}", other in "[a-z@.]{1,12}") {
        prop_assert_eq!(Pattern::new(&name).is_of(&other), name == other);
        let inside = format!("*{name}*");
        prop_assert_eq!(Pattern::new(&inside).is_of(&other), other.contains(&name));
    }
}
