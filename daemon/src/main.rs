//! The command `triaged`: parse the command line, run one sub-command, end with its exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let silenced = ["ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"];
    silenced.into_iter().for_each(tell_libraries);
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
