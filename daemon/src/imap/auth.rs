//! How we say who we are: AUTHENTICATE PLAIN (RFC 4616) where it is offered, else LOGIN.
//!
//! PLAIN carries every password byte; LOGIN needs a literal for some. Tokens (XOAUTH2,
//! OAUTHBEARER) are not here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::capabilities::Capabilities;
use super::command::{Command, Verb, quoted};
use super::error::ImapError;

/// The command that logs `user` in on a server with these capabilities.
///
/// # Errors
/// [`ImapError::LoginImpossible`] before anything is sent.
pub(super) fn command(
    capabilities: &Capabilities,
    user: &str,
    password: &SecretString,
) -> Result<Command, ImapError> {
    let password = password.expose_secret();
    if user.contains('\0') || password.contains('\0') {
        return Err(ImapError::LoginImpossible("user name or password has a NUL byte"));
    }
    let lines = if capabilities.has("AUTH=PLAIN") {
        let message = Zeroizing::new(format!("\0{user}\0{password}"));
        let message = Zeroizing::new(STANDARD.encode(message.as_bytes()));
        vec![Zeroizing::new("AUTHENTICATE PLAIN".to_owned()), message]
    } else if capabilities.has("LOGINDISABLED") {
        return Err(ImapError::LoginImpossible("the server offers neither PLAIN nor LOGIN"));
    } else {
        login(&[user, password])
    };
    Ok(Command::of_lines(Verb::Login, lines))
}

/// LOGIN with quoted strings, and with literals where a quoted string can not carry the bytes.
fn login(arguments: &[&str]) -> Vec<Zeroizing<String>> {
    let mut lines = Vec::new();
    let mut line = Zeroizing::new("LOGIN".to_owned());
    for argument in arguments {
        line.push(' ');
        if let Some(quoted) = quoted(argument).map(Zeroizing::new) {
            line.push_str(&quoted);
        } else {
            line.extend(["{", &argument.len().to_string(), "}"]);
            let literal = Zeroizing::new((*argument).to_owned());
            lines.push(std::mem::replace(&mut line, literal));
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use async_imap::imap_proto::Capability;

    use super::*;

    fn lines(capabilities: &[&str], user: &str, password: &str) -> Result<Vec<String>, ImapError> {
        let list: Vec<Capability<'_>> =
            capabilities.iter().map(|&word| Capability::Atom(word.into())).collect();
        let command = command(&list.iter().collect(), user, &password.into())?;
        Ok(command.lines.iter().map(|line| line.to_string()).collect())
    }

    #[test]
    fn plain_carries_every_byte() {
        let sent = lines(&["AUTH=PLAIN", "LOGINDISABLED"], "bob", "p\r\nä").expect("a command");
        assert_eq!(sent, ["AUTHENTICATE PLAIN", "AGJvYgBwDQrDpA=="]);
    }

    #[test]
    fn login_quotes_what_it_can_and_sends_the_rest_as_literals() {
        assert_eq!(lines(&[], "bob", "p\"\\").expect("a command"), [r#"LOGIN "bob" "p\"\\""#]);
        assert_eq!(
            lines(&[], "bob", "pä\r\n").expect("a command"),
            ["LOGIN \"bob\" {5}", "pä\r\n"]
        );
        assert_eq!(lines(&[], "bö", "ü").expect("a command"), ["LOGIN {3}", "bö {2}", "ü"]);
    }

    #[test]
    fn what_can_not_be_sent_safely_is_not_sent() {
        let kind = |result: Result<Vec<String>, ImapError>| result.expect_err("refused").kind();
        assert_eq!(kind(lines(&["LOGINDISABLED"], "bob", "pw")), "login_impossible");
        assert_eq!(kind(lines(&["AUTH=PLAIN"], "bob", "p\0w")), "login_impossible");
    }
}
