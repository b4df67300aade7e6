//! Ctrl-C and SIGTERM at a donor: the first one lets it tell its targets that it gives up, the
//! second one ends it at once.
//!
//! In: signals, and whether there are targets to tell. Out: an [`Interrupt`], or the end of the
//! process. Before there are targets, and in the original stream, which has no words for it, the
//! first signal ends the process.

use std::io::{self, Write};
use std::process;
use std::thread;

use sys::signals::{Signal, Signals};

use crate::exit::Exit;
use donor::interrupt::Interrupt;

/// Takes SIGINT and SIGTERM. Called before the first thread starts: those that exist already are
/// not asked.
///
/// # Errors
/// No descriptor or no thread is left.
pub fn interrupt() -> io::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let mut signals = Signals::block(&[Signal::Interrupt, Signal::Terminate])?;
    let raised = interrupt.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while signals.next_signal().is_ok() {
                signal(&raised);
            }
        })?;
    Ok(interrupt)
}

fn signal(interrupt: &Interrupt) {
    let what = if !interrupt.has_targets() {
        "interrupted"
    } else if !interrupt.raise() {
        "interrupted again: targets that were not notified wait for a donor"
    } else {
        return;
    };
    // Nobody is left to tell when standard error is closed; the exit code still says it.
    let _ = writeln!(io::stderr(), "\nspk-visor: {what}");
    process::exit(Exit::Interrupted.code().into());
}
