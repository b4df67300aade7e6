//! Threads that may fail without failing the deploy: the screens with their log and cards, and
//! Wi-Fi.
//!
//! `panic = "abort"` ends the whole program with any thread, but not before the panic hook has
//! returned. In one of these threads it never does: the thread stands still for good with
//! everything it holds, and the others go on. Unwinding would free that and cost init 190 kB; what
//! these threads hold together with the deploy are locks of a few lines each, in which nothing
//! panics, and a deploy that did wait for one would be reset by the watchdog (`boot.md` 9).

use std::panic::PanicHookInfo;
use std::thread;

/// The threads, and what stops with them. The screens begin again.
pub const THREADS: [(&str, &str); 4] = [
    (SCREENS, "the screens"),
    ("log", "the log on the screens"),
    ("cards", "the network cards on the screens"),
    (
        "wifi",
        "the care for Wi-Fi: what is joined stays joined, nothing else will be",
    ),
];
/// The screens' thread.
pub const SCREENS: &str = "wizard";

/// In the panic hook: returns at once on every other thread, and never on one of these. `tell` gets
/// the name of the thread and what there is to say.
pub fn stand_still(info: &PanicHookInfo<'_>, tell: impl FnOnce(&'static str, &str)) {
    let thread = thread::current();
    let found = THREADS
        .iter()
        .find(|(name, _)| thread.name() == Some(*name));
    let Some((name, what)) = found else {
        return;
    };
    tell(
        name,
        &format!("a bug in init: {info}; this ends {what}, and the rest goes on"),
    );
    loop {
        thread::park();
    }
}
