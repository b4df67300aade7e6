//! Every line goes to every console and into the kernel's log: `smv <stage>: …`, or a warning.

use machine::kmsg::{Kmsg, Level};
use wire::stage::Stage;

static KMSG: Kmsg = Kmsg::new();

/// Call it after devtmpfs and proc are mounted.
pub fn open() {
    KMSG.open();
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
