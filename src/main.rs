//! The executable `trinity`.

use std::process::ExitCode;

/// Accepts tasks at a higher rate than the allocator of glibc: docs/decisions/0024.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trinity::cli::main()
}
