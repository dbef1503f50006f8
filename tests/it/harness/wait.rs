//! Waiting: until something is true, never for a fixed time.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a test waits before it fails. Long, because a machine that also builds and trains is
/// slow; a test that passes never waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Calls `look` until it finds something, and fails with `what` when that takes too long.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same for what takes minutes: a training, which gives way to everything else.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} in vain: {what}");
        sleep(Duration::from_millis(30));
    }
}

/// Runs a test whose servers write much when it fails: why it did is said again behind all of that.
pub(crate) fn with_last_words(test: impl FnOnce()) {
    let Err(cause) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)) else { return };
    let said = cause.downcast_ref::<String>().map(String::as_str);
    eprintln!("failed: {}", said.or(cause.downcast_ref::<&str>().copied()).unwrap_or("?"));
    std::panic::resume_unwind(cause);
}
