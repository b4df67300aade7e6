//! The duties of PID 1: it reaps orphans and answers Ctrl-Alt-Del.

use std::io;
use std::thread;

use machine::children;
use rustix::system::{RebootCommand, reboot};
use sys::signals::{Signal, Signals};
use wire::chain::chain;
use wire::stage::Stage;

use crate::console::Console;
use crate::handoff;

/// Blocks the signals for every thread that starts from now on, and answers them in a thread of its
/// own. Ctrl-Alt-Del becomes a signal instead of an immediate reset (`reboot(2)`).
///
/// # Errors
/// No thread, no descriptor, or not PID 1.
pub fn answer(console: &'static Console) -> io::Result<()> {
    let signals = Signals::block(&[Signal::Child, Signal::Interrupt, Signal::Terminate])?;
    reboot(RebootCommand::CadOff)?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || serve(signals, console))?;
    Ok(())
}

fn serve(mut signals: Signals, console: &Console) {
    loop {
        match signals.next_signal() {
            Ok(Signal::Child) => children::reap_orphans(),
            // PID 1 has no terminal of its own.
            Ok(Signal::HangUp | Signal::WindowSize) => {}
            Ok(Signal::Interrupt | Signal::Terminate) => {
                console.stages().wait_for_commit();
                console.stage(Stage::Leaving, "how=reboot reason=ctrl-alt-del");
                handoff::reboot_now();
            }
            Err(error) => {
                console.warning(&format!("waiting for signals: {}", chain(&error)));
                return; // orphans stay zombies and Ctrl-Alt-Del is dead; the deploy goes on
            }
        }
    }
}
