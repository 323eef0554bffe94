//! The executable `trinity`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trinity::cli::main()
}
