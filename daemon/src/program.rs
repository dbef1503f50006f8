//! Runs a program that the configuration names, and takes what it prints: within a time, up to a
//! bound, without a shell and with nothing to read. When its time is over it ends with all that it
//! has started.
//!
//! Nothing here knows what the output means, and nothing logs it: it may be a secret.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use triaged_core::config::ProgramCall;

/// What a program may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Longest time.
    pub time: Duration,
    /// Most bytes of its output. One that prints more is ended, and one byte too many is kept.
    pub bytes: usize,
    /// Whether the first line of its complaints is told; never where that could be a secret.
    pub tells: bool,
}

/// Longest complaint that is passed on, in characters, and that is read, in bytes.
const COMPLAINT: usize = 200;
const LONGEST_COMPLAINT: usize = 4096;

/// Runs it to its end; its standard output, if it succeeds.
///
/// # Errors
/// In words that follow the program's name, like "has not ended within 30 s".
pub async fn output(call: &ProgramCall, bounds: Bounds) -> Result<Zeroizing<Vec<u8>>, String> {
    let stderr = if bounds.tells { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new(&call.program)
        .args(&call.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("can not be started: {error}"))?;
    let Ok(ended) = timeout(bounds.time, end_of(&mut child, bounds.bytes)).await else {
        kill(child.id());
        return Err(format!("has not ended within {} s", bounds.time.as_secs()));
    };
    let (printed, complaint, status) = ended.map_err(|error| format!("fails: {error}"))?;
    if status.success() || printed.len() > bounds.bytes {
        return Ok(printed);
    }
    match first_line(&complaint) {
        Some(line) => Err(format!("fails: {status}: {line}")),
        None => Err(format!("fails: {status}")),
    }
}

/// What it prints, what it complains of, and how it ends.
async fn end_of(
    child: &mut Child,
    bytes: usize,
) -> io::Result<(Zeroizing<Vec<u8>>, Vec<u8>, ExitStatus)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let id = child.id();
    let output = async {
        let printed = Zeroizing::new(beginning(stdout, bytes + 1).await?);
        if printed.len() > bytes {
            kill(id);
        }
        io::Result::Ok(printed)
    };
    let (printed, complaint) = tokio::join!(output, complaint(stderr));
    Ok((printed?, complaint?, child.wait().await?))
}

/// The first bytes of a pipe. The rest is not read: who writes on finds the pipe closed.
async fn beginning(pipe: Option<impl AsyncRead + Unpin>, bytes: usize) -> io::Result<Vec<u8>> {
    /// A buffer that holds a secret does not grow and leave copies behind; a list may.
    const ROOM: usize = 64 * 1024;
    let mut read = Vec::with_capacity(bytes.min(ROOM));
    if let Some(pipe) = pipe {
        pipe.take(bytes as u64).read_to_end(&mut read).await?;
    }
    Ok(read)
}

/// The first of what it complains of. The rest is read and dropped: warnings do not end a program.
async fn complaint(mut pipe: Option<ChildStderr>) -> io::Result<Vec<u8>> {
    let read = beginning(pipe.as_mut(), LONGEST_COMPLAINT).await?;
    if let Some(pipe) = &mut pipe {
        tokio::io::copy(pipe, &mut tokio::io::sink()).await?;
    }
    Ok(read)
}

/// A line for people, without what could steer a terminal.
fn first_line(complaint: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(COMPLAINT).collect())
}

/// Ends it and whatever it has started.
fn kill(id: Option<u32>) {
    let group = id.and_then(|id| Pid::from_raw(id.cast_signed()));
    // It fails where all of them have ended.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(script: &str, bounds: Bounds) -> Result<String, String> {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        let call = ProgramCall { program: "/bin/sh".into(), arguments };
        let printed = output(&call, bounds).await?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    fn bounds() -> Bounds {
        Bounds { time: Duration::from_secs(20), bytes: 10, tells: true }
    }

    #[tokio::test]
    async fn what_it_prints_is_taken_up_to_a_bound() {
        assert_eq!(run("echo anna; echo bert", bounds()).await, Ok("anna\nbert\n".to_owned()));
        assert!(run("yes | head -c 100000 >&2; echo anna", bounds()).await.is_ok());
        let endless = run("yes", bounds()).await;
        assert!(endless.is_ok_and(|printed| printed.len() == 11));
    }

    #[tokio::test]
    async fn a_failure_tells_what_it_complained_of_where_that_is_no_secret() {
        let script = "echo >&2; printf 'no\\033 such socket\\nmore\\n' >&2; exit 3";
        let told = run(script, bounds()).await.expect_err("it fails");
        assert!(told.ends_with(": no such socket"), "{told}");
        let kept = run(script, Bounds { tells: false, ..bounds() }).await.expect_err("it fails");
        assert!(kept.contains('3') && !kept.contains("socket"), "{kept}");
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended_with_all_that_it_started() {
        let bounds = Bounds { time: Duration::from_millis(200), ..bounds() };
        let hangs = run("sleep 1000 & sleep 1000", bounds).await.expect_err("it hangs");
        assert!(hangs.contains("has not ended"), "{hangs}");
    }
}
