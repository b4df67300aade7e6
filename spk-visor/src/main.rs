//! The command `spk-visor`: arguments in, an exit code out. Everything else is in the library, so
//! that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = machine::cage::run_if_asked(std::env::args_os()) {
        return code;
    }
    spk_visor::run(std::env::args_os().skip(1))
}
