//! Every line goes to every console and into the kernel's log: `smv <stage>: …`, or a warning.

use std::fs;
use std::sync::OnceLock;

use machine::kmsg::{Kmsg, Level};
use wire::stage::Stage;

static KMSG: Kmsg = Kmsg::new();

/// What the kernel shows on the consoles, as the command line has it.
const SHOWN: &str = "/proc/sys/kernel/printk";
static FORMER: OnceLock<String> = OnceLock::new();

/// Call it after devtmpfs and proc are mounted. Until [`give_back`] the consoles show every line,
/// also with `quiet` on the command line.
pub fn open() {
    if let Ok(former) = fs::read_to_string(SHOWN) {
        let _ = FORMER.set(former); // set before: that one was the first
    }
    KMSG.open();
}

/// Leaves the consoles as they were.
pub fn give_back() {
    if let Some(former) = FORMER.get() {
        // The system says what it wants itself.
        let _ = fs::write(SHOWN, former);
    }
}

/// A step was reached.
pub fn stage(stage: Stage, facts: &str) {
    let level = match stage {
        Stage::Failed => Level::Error,
        _ => Level::Notice,
    };
    KMSG.line(level, &format!("smv {stage}: {facts}"));
}

/// The boot goes on with less.
pub fn warning(text: &str) {
    KMSG.line(Level::Warning, &format!("smv: warning: {text}"));
}
