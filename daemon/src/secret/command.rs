//! A program that prints an access token on its first line.
//!
//! Called without a shell, with nothing to read; what it writes to standard error goes nowhere,
//! because it may be a token. It is called for each login: such programs keep tokens themselves.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use triaged_core::config::TokenCommand;

use super::tokens::token;
use super::{CredentialError, LONGEST};

/// Enough for a program that asks a provider far away, and less than the patience of a login.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the command and reads its token.
pub(super) async fn run(command: &TokenCommand) -> Result<SecretString, CredentialError> {
    run_within(command, LIMIT).await
}

async fn run_within(
    command: &TokenCommand,
    limit: Duration,
) -> Result<SecretString, CredentialError> {
    let failed = |what: String| CredentialError::Command { program: command.program.clone(), what };
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("can not be started: {error}")))?;
    let Ok(printed) = timeout(limit, output(&mut child)).await else {
        end(&child);
        return Err(failed(format!("has not ended within {} s", limit.as_secs())));
    };
    let (printed, status) = printed.map_err(|error| failed(format!("fails: {error}")))?;
    if !status.success() {
        return Err(failed(format!("fails: {status}")));
    }
    let line = printed.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    token(line).map_err(|what| failed(format!("prints no token on its first line: {what}")))
}

/// What it prints, up to a bound, and how it ends.
async fn output(
    child: &mut Child,
) -> std::io::Result<(Zeroizing<Vec<u8>>, std::process::ExitStatus)> {
    let mut printed = Zeroizing::new(Vec::with_capacity(2 * LONGEST));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(2 * LONGEST as u64).read_to_end(&mut printed).await?;
    }
    Ok((printed, child.wait().await?))
}

/// Ends it and whatever it has started.
fn end(child: &Child) {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    // It fails where all of them have ended.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    async fn printed(script: &str) -> Result<String, String> {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let command = TokenCommand { program: "/bin/sh".into(), arguments };
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
    async fn one_that_does_not_end_is_ended_with_all_that_it_started() {
        let arguments = vec!["-c".to_owned(), "sleep 1000 & sleep 1000".to_owned()];
        let command = TokenCommand { program: "/bin/sh".into(), arguments };
        let error = run_within(&command, Duration::from_millis(200)).await.expect_err("it hangs");
        assert!(error.to_string().contains("has not ended"), "{error}");
        let nowhere = TokenCommand { program: "/nowhere/token".into(), arguments: Vec::new() };
        let error = run(&nowhere).await.expect_err("not there").to_string();
        assert!(error.contains("/nowhere/token can not be started"), "{error}");
    }
}
