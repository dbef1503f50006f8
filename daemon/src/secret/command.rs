//! A program that prints an access token on its first line.
//!
//! What it writes to standard error goes nowhere, because it may be a token. It is called for each
//! login: such programs keep tokens themselves.

use std::time::Duration;

use secrecy::SecretString;
use triaged_core::config::ProgramCall;

use super::tokens::token;
use super::{CredentialError, LONGEST};
use crate::program::{self, Bounds};

/// Enough for a program that asks a provider far away, and less than the patience of a login.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the command and reads its token.
pub(super) async fn run(command: &ProgramCall) -> Result<SecretString, CredentialError> {
    run_within(command, LIMIT).await
}

async fn run_within(
    command: &ProgramCall,
    limit: Duration,
) -> Result<SecretString, CredentialError> {
    let failed = |what: String| CredentialError::Command { program: command.program.clone(), what };
    let bounds = Bounds { time: limit, bytes: 2 * LONGEST, tells: false };
    let printed = program::output(command, bounds).await.map_err(failed)?;
    let line = printed.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    token(line).map_err(|what| failed(format!("prints no token on its first line: {what}")))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    async fn printed(script: &str) -> Result<String, String> {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let command = ProgramCall { program: "/bin/sh".into(), arguments };
        let token = run_within(&command, Duration::from_secs(20)).await;
        token.map(|token| token.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_first_line_is_the_token() {
        assert_eq!(printed("echo tok-1; echo more").await, Ok("tok-1".to_owned()));
        assert_eq!(printed("printf 'tok-1\\r\\n'; echo noise >&2").await, Ok("tok-1".to_owned()));
    }

    #[tokio::test]
    async fn what_is_no_token_is_said_without_being_repeated() {
        for script in ["echo hunter2; exit 3", "true", "echo; echo hunter2", "echo 'hun\tter2'"] {
            let error = printed(script).await.expect_err("no token");
            assert!(error.contains("/bin/sh") && !error.contains("hun"), "{error}");
        }
        assert!(printed("kill -9 $$").await.expect_err("it died").contains("signal"));
    }

    #[tokio::test]
    async fn one_that_does_not_end_or_is_not_there_is_named() {
        let arguments = vec!["-c".to_owned(), "sleep 1000".to_owned()];
        let command = ProgramCall { program: "/bin/sh".into(), arguments };
        let error = run_within(&command, Duration::from_millis(200)).await.expect_err("it hangs");
        assert!(error.to_string().contains("has not ended"), "{error}");
        let nowhere = ProgramCall { program: "/nowhere/token".into(), arguments: Vec::new() };
        let error = run(&nowhere).await.expect_err("not there").to_string();
        assert!(error.contains("/nowhere/token can not be started"), "{error}");
    }
}
