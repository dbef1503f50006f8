//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// First of the ports given out, and how many there are: below the range from which systems take
/// the near end of outgoing connections, so that none is lost between choosing and listening.
const RANGE: (u32, u32) = (20_000, 12_000);
/// Ports that one test process may use before it meets the next one's.
const PER_PROCESS: u32 = 40;

/// A port that nothing listens on and that no other test gets.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..RANGE.1 {
        let offset = process::id() * PER_PROCESS + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(RANGE.0 + offset % RANGE.1).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free on loopback");
}
