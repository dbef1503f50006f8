//! The command `triaged`: parse the command line, run one sub-command, end with its exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let silenced = ["ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"];
    silenced.into_iter().for_each(tell_libraries);
    give_memory_back();
    cli::main()
}

/// Sets a variable of this process's environment to 1.
///
/// ONNX Runtime (1.31 does) tells its maker of each process and keeps an identifier of the machine
/// in the home folder, unless one of these variables (the name changed) is set before it is loaded;
/// its interface for that comes too late. Nothing but IMAP leaves a machine because of triaged.
#[expect(unsafe_code, reason = "the environment is the library's only way to be told")]
fn tell_libraries(variable: &str) {
    // SAFETY: called first in main: there is no other thread yet that could read the environment.
    unsafe { std::env::set_var(variable, "1") };
}

/// Lets what a model held go back to the system when another one takes its place.
///
/// A piece of memory from 128 KiB on is a mapping of its own in glibc, and gone when it is freed,
/// but only until the first large one is: then the limit rises to its size (mallopt(3)), the
/// weights of the next model go to the heap, and the heap keeps them. Eight changes of the model
/// made 250 MiB of 91; with the limit held where it begins they make 96.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the C library has no other way to be told")]
fn give_memory_back() {
    /// Where glibc begins, in bytes.
    const LIMIT: i32 = 128 * 1024;
    // SAFETY: called before there is another thread; a value it does not like is left aside.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LIMIT) };
}

/// Other C libraries have no such limit.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_memory_back() {}
