//! The `foldnet` command; see [`foldnet::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    foldnet::cli::main()
}
