//! `[[server]]`: whole servers.

use super::*;

const LARGE: &str = r#"
[[server]]
name = "mail"
host = "imap.example.org"
master = "triaged"
password_file = "secret"
users_file = "users"
"#;

#[test]
fn the_smallest_server_watches_everybody_and_writes_nothing() {
    let config = parse(LARGE).expect("valid").relative_to(Path::new("/etc"));
    let [mail] = config.servers.as_slice() else { panic!("one server") };
    assert!(mail.only.is_empty() && mail.except.is_empty() && mail.users.is_empty());
    assert_eq!((mail.every.mode, mail.separator.as_deref()), (Mode::Shadow, None));
    assert_eq!(mail.source, UserSource::File("/etc/users".into()));
    let password = Credential::Password(SecretSource::File("/etc/secret".into()));
    assert_eq!(mail.every.credential, password);
    assert_eq!(config.connections, ConnectionsConfig { in_all: 10_000, per_server: 500 });
}

#[test]
fn a_server_that_can_not_be_is_said() {
    let cases = [
        ("users = [\"anna\"]", "has both users_file and users"),
        ("separator = \"\"", "is no separator"),
        ("separator = \"a\"", "is no separator"),
        ("auth = \"login\"", "can not say whose mail is meant"),
        ("user = \"me\"", "expected a list of tables, found a string"),
        ("only = []", "only: names nobody"),
        ("except = [\"\\u0000\"]", "is no user name"),
        ("renew_minutes = 0", "out of range"),
        ("connections = 0", "out of range"),
        ("[[server.user]]\nmode = \"label\"", "server[0].user[0].name: is missing"),
        ("[[server.user]]\nname = \"a\"\npoll = 3", "did you mean \"poll_seconds\"?"),
        ("[[server.user]]\nname = \"a\"\n[[server.user]]\nname = \"A\"", "a part of its own"),
    ];
    for (lines, words) in cases {
        let said = parse(&format!("{LARGE}{lines}")).expect_err("wrong").to_string();
        assert!(said.contains(words), "{lines}: {said}");
    }
    let nowhere = LARGE.replace("users_file = \"users\"", "users_command = [\"doveadm\"]");
    let said = parse(&nowhere).expect_err("wrong").to_string();
    assert!(said.contains("users_command: does not begin with a path from /"), "{said}");
    let same = format!("{SMALLEST}{}", LARGE.replace("\"mail\"", "\"Work\""));
    let said = parse(&same).expect_err("wrong").to_string();
    assert!(said.contains("is called \"Work\" too"), "{said}");
}
