//! The command `mkinitramfs`: arguments in, an exit code out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mkinitramfs::cli::run(std::env::args_os().skip(1))
}
