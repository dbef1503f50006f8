//! The command `triaged`: parse the command line, run one sub-command, end with its exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
