//! PID 1 of an installed slot. The kernel also starts this program when it wants a module.

use std::process::ExitCode;

use machine::drivers;
use slot::{boot, console};
use wire::chain::chain;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        boot::run();
    }
    let arguments: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if drivers::is_asked_by_kernel(&arguments) {
        console::open();
        return drivers::help(&arguments, &|error| {
            console::warning(&chain(error).to_string());
        });
    }
    eprintln!("slot-init: this is PID 1 of an installed slot; it does nothing on a running system");
    ExitCode::from(2)
}
