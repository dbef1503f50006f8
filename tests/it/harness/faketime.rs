//! A calendar that a test sets, for one process: libfaketime.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The library, which `make deps` fetches.
pub(super) fn library() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let library = root.join(".tools/libfaketimeMT.so.1");
    assert!(library.exists(), "libfaketime is missing. Run `make deps`.");
    library
}

/// The environment of a process whose calendar is off by what the file says, in seconds like `+3600`;
/// its monotonic clock goes on as it should.
pub(super) fn faketime(library: &Path, off_by: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("LD_PRELOAD", library.into()),
        ("FAKETIME_TIMESTAMP_FILE", off_by.into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("FAKETIME_CACHE_DURATION", "1".into()),
        ("NO_FAKE_STAT", "1".into()),
    ]
}
