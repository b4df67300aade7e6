//! The command `pipeline`: arguments in, an exit code out. Everything else is in the library.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = own.parent().unwrap_or(own);
    pipeline::cli::run(&pipeline::steps::table(), top, std::env::args_os().skip(1))
}
