//! The disk of the state folder is full, and has room again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use triaged::store::Store;

use crate::harness::{
    Daemon, Format, Installation, Mail, Mailserver, Settings, User, until_within,
};

/// A file system of 16 MiB in memory, mounted over a folder until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount, which is said aloud: a container may forbid that to root,
    /// too.
    fn over(folder: &Path) -> Option<SmallDisk> {
        let mount = ["-t", "tmpfs", "-o", "size=16m,mode=0700", "triaged-it"];
        let output = Command::new("mount").args(mount).arg(folder).output().unwrap();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            eprintln!("SKIPPED, and nothing was tested: {}; root may mount", why.trim());
            return None;
        }
        Some(SmallDisk(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves no byte.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [1 << 20, 4096, 1] {
            let piece = vec![1; size];
            let error = std::iter::repeat_with(|| file.write_all(&piece)).find_map(Result::err);
            assert_eq!(error.unwrap().kind(), ErrorKind::StorageFull);
        }
    }

    /// As if somebody had tidied up.
    fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon that is still ending holds files on it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// No page that the daemon has already can hold what it has to say of so many.
const MANY: usize = 400;

/// Mails until the daemon misses its disk, which it does sooner or later.
fn deliver_until_missed(daemon: &Daemon, anna: &User) -> usize {
    let mut delivered = 0;
    until_within(Duration::from_mins(1), "the disk is missed", || {
        if delivered < MANY {
            (0..20).for_each(|_| anna.deliver(&Mail::outage()));
            delivered += 20;
        }
        let (status, body) = daemon.get("/readyz").unwrap();
        (status == 503 && body.contains("full")).then_some(delivered)
    })
}

/// The UIDs that carry one of our keywords.
fn labelled(anna: &User) -> BTreeSet<u32> {
    let mut client = anna.client();
    client.command("EXAMINE INBOX");
    let found = client.command("UID SEARCH KEYWORD triaged-urgent");
    let line = found.iter().find_map(|line| line.strip_prefix("* SEARCH")).unwrap_or_default();
    line.split_whitespace().map(|uid| uid.parse().unwrap()).collect()
}

#[test]
fn nothing_is_done_that_is_not_written_down_and_the_work_goes_on_when_there_is_room() {
    let mail = Mailserver::start(Format::Sdbox);
    let anna = mail.user("anna");
    let installation = Installation::new(&Settings::label().with(anna.account()));
    let Some(disk) = SmallDisk::over(&installation.state()) else { return };
    let mut daemon = installation.start_ready();
    disk.fill();
    let mails = deliver_until_missed(&daemon, &anna);

    let memory = daemon.memory();
    let full = Instant::now();
    until_within(Duration::from_mins(1), "ten seconds on a full disk", || {
        assert_eq!(daemon.get("/healthz").unwrap().0, 200);
        assert_eq!(daemon.get("/readyz").unwrap().0, 503);
        (full.elapsed() > Duration::from_secs(10)).then_some(())
    });
    let grown = daemon.memory().saturating_sub(memory);
    eprintln!("{mails} mails came; memory grew by {} KiB in ten seconds", grown / 1024);
    assert!(grown < 8 << 20, "{grown} bytes more");
    let recorded: BTreeSet<u32> =
        installation.history().into_iter().map(|record| record.uid).collect();
    let done = labelled(&anna);
    assert!(done.is_subset(&recorded), "{done:?} were labelled, {recorded:?} written down");
    assert!(done.len() < mails, "the disk was never full");

    disk.empty();
    let free = Instant::now();
    until_within(Duration::from_mins(1), "all are labelled after there is room", || {
        (labelled(&anna).len() == mails).then_some(())
    });
    daemon.wait_ready();
    eprintln!("all was done {:?} after there was room", free.elapsed());
    installation.wait_settled(mails);
    // What was not written when it was said to be would be gone now.
    daemon.kill();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let state = installation.state();
    let checked = runtime.block_on(Store::check(state.as_path())).unwrap();
    assert_eq!(checked.facts.messages, i64::try_from(mails).unwrap());
    assert_eq!(checked.facts.pending, 0);
}
