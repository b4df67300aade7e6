//! The kernel's log: one line in, the same line on every console of the machine.
//!
//! Lines go to `/dev/kmsg` (`Documentation/ABI/testing/dev-kmsg`): the kernel prints them wherever
//! `console=` says, in order with its own, and a crash dump holds them. Before that file exists,
//! standard error (`/dev/console`) takes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;

/// The kernel refuses lines above about 1 KiB (`PRINTKRB_RECORD_MAX`); this leaves room for its own
/// prefix.
const LINE_MAX: usize = 900;

/// How much a line matters, as syslog(3) counts: what the kernel shows at its default console
/// level, 7, and above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are syslog's
pub enum Level {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

/// The file, once it is open.
#[derive(Debug, Default)]
pub struct Kmsg(OnceLock<File>);

impl Kmsg {
    /// Not open yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Opens it. Call it after devtmpfs and proc are mounted.
    pub fn open(&self) {
        // Userspace lines are rate-limited by default, and a boot with `quiet` would hide them.
        // Both fail only where the command line fixed the first, or proc is missing; the lines are
        // then fewer, not wrong.
        let _ = fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
        let _ = fs::write("/proc/sys/kernel/printk", "7\n");
        if let Ok(kmsg) = OpenOptions::new().write(true).open("/dev/kmsg") {
            let _ = self.0.set(kmsg); // set before: the same file
        }
    }

    /// Writes a line. One that is too long becomes several.
    ///
    /// The line end belongs to the record: without it Linux keeps the record open for a
    /// continuation and prints it only together with the next (`prb_commit()` and
    /// `prb_final_commit()` in `kernel/printk/printk_ringbuffer.c`).
    pub fn line(&self, level: Level, text: &str) {
        for line in cut(text) {
            let record = format!("<{}>{line}\n", level as u8);
            let written = self
                .0
                .get()
                .map(|mut kmsg| kmsg.write_all(record.as_bytes()));
            if !matches!(written, Some(Ok(()))) {
                // Nothing is left to complain to.
                let _ = writeln!(io::stderr(), "{line}");
            }
        }
    }
}

/// Cuts into pieces that the kernel takes: at line ends, and at [`LINE_MAX`]. A continuation is
/// indented, so that it never looks like a stage of its own.
fn cut(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for whole in text.lines() {
        let mut rest = whole;
        let mut indent = if lines.is_empty() { "" } else { "  " };
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(rest.floor_char_boundary(LINE_MAX));
            lines.push(format!(
                "{indent}{}",
                head.replace(|char: char| char.is_control(), "?")
            ));
            (rest, indent) = (tail, "  ");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{LINE_MAX, cut};
    use wire::stage::Stage;

    #[test]
    fn a_long_line_is_cut_and_nothing_is_lost() {
        let text = "ä".repeat(2000);
        let lines = cut(&text);
        assert!(lines.len() > 3 && lines.iter().all(|line| line.len() <= LINE_MAX + 2));
        assert_eq!(
            lines
                .iter()
                .map(|line| line.trim_start())
                .collect::<String>(),
            text
        );
    }

    #[test]
    fn no_peer_can_write_a_stage_line_or_move_the_cursor() {
        let lines = cut("smv failed: package a\nsmv installed: x\u{1b}[2J");
        assert_eq!(lines, ["smv failed: package a", "  smv installed: x?[2J"]);
        assert_eq!(Stage::of_line(&lines[0]).unwrap().0, Stage::Failed);
    }
}
