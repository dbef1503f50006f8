//! Free ports on loopback, which no other test has: not one of this process, not one of another.
//!
//! A port that is looked for and then given to a server is anybody's in between. So each test
//! process holds whole blocks of ports, each by a lock on a file in a folder that all test
//! processes of this machine share, also those of another checkout; the kernel lets go of the
//! locks when the process ends, however it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process;
use std::sync::{Mutex, PoisonError};

/// First of the ports given out, and how many there are: below the range from which systems take
/// the near end of outgoing connections, so that none is lost between choosing and listening.
const RANGE: (u16, u16) = (20_000, 12_000);
/// Ports in a block: a test needs about ten, and one that needs more takes another block.
const BLOCK: u16 = 20;

/// The blocks of this process.
struct Blocks {
    /// The locks, held until the process ends.
    held: Vec<File>,
    /// What is left of the newest block.
    left: Range<u16>,
}

static BLOCKS: Mutex<Blocks> = Mutex::new(Blocks { held: Vec::new(), left: 0..0 });

/// A port that nothing listens on and that no other test gets.
pub(crate) fn free_port() -> u16 {
    // A test that failed in here has left nothing half-done.
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        if let Some(port) = blocks.left.find(free) {
            return port;
        }
        let (lock, ports) = take_block();
        blocks.held.push(lock);
        blocks.left = ports;
    }
}

/// Locks a block that nobody holds. Each process begins to look at another place.
fn take_block() -> (File, Range<u16>) {
    let folder = std::env::temp_dir().join("triaged-it-ports");
    fs::create_dir_all(&folder).unwrap();
    // Other users of this machine shall be able to test as well; the owner has said so already.
    let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o777));
    let count = RANGE.1 / BLOCK;
    let begin = u16::try_from(process::id() % u32::from(count)).unwrap();
    for block in (0..count).map(|step| (begin + step) % count) {
        let first = RANGE.0 + block * BLOCK;
        if let Some(lock) = locked(&folder.join(first.to_string())) {
            return (lock, first..first + BLOCK);
        }
    }
    panic!("all {count} blocks of ports are held, or {} is not for us", folder.display());
}

/// The lock on a file, unless somebody has it or is just making the file.
fn locked(path: &Path) -> Option<File> {
    let file = File::open(path).or_else(|_| File::create_new(path)).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
