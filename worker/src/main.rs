//! See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    balance_worker::run::main()
}
