//! Other certificates for the key that a throw-away Dovecot has; `start.sh` makes the first one.

use std::fs;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;

use super::wait::until;

/// What a certificate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// Signed by the server's authority, for its names, and in time.
    Valid,
    /// The same, but its time is over.
    Expired,
    /// Signed by nobody, for the name of another server, and its time is over.
    Odd,
}

/// Puts a new certificate into the server's folder; the server has to be told.
pub(super) fn make(folder: &Path, kind: Certificate) {
    let subject = if kind == Certificate::Odd { "/CN=elsewhere.example" } else { "/CN=localhost" };
    let days = if kind == Certificate::Valid { "2" } else { "0" };
    let signed = match kind {
        // Without an extension it would be of version 1, which nobody makes any more.
        Certificate::Odd => "-signkey key.pem -extfile odd",
        _ => "-CA ca.pem -CAkey ca-key.pem -set_serial 3 -extfile extensions",
    };
    shell(
        folder,
        &format!(
            "echo basicConstraints=CA:TRUE >odd
             openssl req -new -key key.pem -subj {subject} |
             openssl x509 -req {signed} -days {days} -out new.pem 2>/dev/null &&
             chmod 644 new.pem && mv new.pem cert.pem"
        ),
    );
    if days == "0" {
        let made = Timestamp::now().as_second();
        until("its second is over", || (Timestamp::now().as_second() > made + 1).then_some(()));
    }
}

/// The SHA-256 of the server's public key, as `pinned_key` wants it.
pub(super) fn pin(folder: &Path) -> String {
    let hash = shell(
        folder,
        "openssl pkey -in key.pem -pubout -outform der | openssl dgst -sha256 -binary | base64",
    );
    format!("sha256//{}", hash.trim())
}

fn shell(folder: &Path, script: &str) -> String {
    assert!(fs::metadata(folder.join("key.pem")).is_ok());
    let output = Command::new("sh").args(["-euc", script]).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
