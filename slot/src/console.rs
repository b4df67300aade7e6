//! Every line goes to every console and into the kernel's log: `smv <stage>: …`, or a warning.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use machine::kmsg::{Kmsg, Level};
use wire::stage::Stage;

static KMSG: Kmsg = Kmsg::new();

/// What the kernel shows on the consoles, as the command line has it.
const SHOWN: &str = "/proc/sys/kernel/printk";
/// The level that only a kernel which dies is above.
const NOTHING: &str = "1\n";
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

/// Does `work` while the consoles show nothing of the kernel; its log keeps it all.
pub fn unseen(work: impl FnOnce()) {
    unseen_by(Path::new(SHOWN), work);
}

fn unseen_by(shown: &Path, work: impl FnOnce()) {
    let former = fs::read_to_string(shown).ok();
    let is_quiet = former.is_some() && fs::write(shown, NOTHING).is_ok();
    work();
    if let Some(former) = former.filter(|_| is_quiet) {
        let _ = fs::write(shown, former); // it could be written just now
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

#[cfg(test)]
mod tests {
    use super::unseen_by;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_consoles_show_again_what_they_did() {
        let shown = std::env::temp_dir().join(format!("smv-unseen-{}", std::process::id()));
        fs::write(&shown, "7\t4\t1\t7\n").unwrap();
        unseen_by(&shown, || {
            assert_eq!(fs::read_to_string(&shown).unwrap(), "1\n")
        });
        assert_eq!(fs::read_to_string(&shown).unwrap(), "7\t4\t1\t7\n");
        fs::remove_file(&shown).unwrap();
        // Without proc the work is done all the same.
        let mut is_done = false;
        unseen_by(Path::new("/nonexistent/printk"), || is_done = true);
        assert!(is_done && !shown.exists());
    }
}
