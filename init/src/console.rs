//! The consoles: one line in, the same line on every console of the machine and in the kernel's
//! log.
//!
//! Lines go to `/dev/kmsg` (`Documentation/ABI/testing/dev-kmsg`): the kernel prints them wherever
//! `console=` says, in order with its own, and a crash dump holds them. Before that file exists,
//! standard error (`/dev/console`) takes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use machine::diagnostics;
use receiver::operator::OperatorControl;
use receiver::operator::event::{Line, ReceiverEvent};
use receiver::operator::reporter::Reporter;
use wire::message::After;
use wire::stage::Stage;
use wizard::event::MachineEvent;
use wizard::host::Inbox;

use crate::stage_latch::StageLatch;
use crate::{supervision, terminals};

/// The kernel refuses lines above about 1 KiB (`PRINTKRB_RECORD_MAX`); this leaves room for its own
/// prefix.
const LINE_MAX: usize = 900;

/// syslog(3) levels: what the kernel shows at its default console level, 7, and above it.
const CRITICAL: u8 = 2;
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
const INFO: u8 = 6;
const DEBUG: u8 = 7;

/// The screens are gone much sooner than this, unless it is their thread that leaves.
const CLOSING_PATIENCE: Duration = Duration::from_millis(300);

static CONSOLE: Console = Console {
    kmsg: OnceLock::new(),
    stages: StageLatch::new(),
    person: OnceLock::new(),
    inbox: OnceLock::new(),
};

/// The one sink.
#[derive(Debug)]
pub struct Console {
    kmsg: OnceLock<File>,
    stages: StageLatch,
    person: OnceLock<OperatorControl>,
    inbox: OnceLock<Inbox>,
}

/// Opens the kernel's log and makes it the sink of `log`. Call it once, after devtmpfs and proc are
/// mounted.
pub fn open() -> &'static Console {
    // Userspace lines are rate-limited by default, and a boot with `quiet` would hide them. Both
    // fail only where the command line fixed the first, or proc is missing; the lines are then
    // fewer, not wrong.
    let _ = fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    let _ = fs::write("/proc/sys/kernel/printk", "7\n");
    if let Ok(kmsg) = OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = CONSOLE.kmsg.set(kmsg); // set before: the same file
    }
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    &CONSOLE
}

/// Last words: what a panic has to say.
pub fn last_words(text: &str) {
    CONSOLE.line(CRITICAL, &format!("smv {}: {text}", Stage::Failed));
}

/// Prints the last words of a panic that ends one thread.
pub fn bug(text: &str) {
    CONSOLE.line(ERROR, &format!("smv: warning: {text}"));
}

impl Console {
    /// The stage that the boot has reached.
    #[must_use]
    pub const fn stages(&self) -> &StageLatch {
        &self.stages
    }

    /// An operator may be present from now on: sets where commands come from and where events go.
    pub fn attend(&self, person: OperatorControl, inbox: Inbox) {
        // Set before: those stay.
        let _ = self.person.set(person);
        let _ = self.inbox.set(inbox);
    }

    /// The machine leaves by itself after this time, unless a person says otherwise.
    pub fn leaving(&self, after: After, within: Duration) {
        if let Some(inbox) = self.inbox.get() {
            let how = after.word();
            inbox.tell(MachineEvent::Leaving { how, within });
        }
    }

    /// The line end belongs to the record: without it Linux keeps the record open for a
    /// continuation and prints it only together with the next (`prb_commit()` and
    /// `prb_final_commit()` in `kernel/printk/printk_ringbuffer.c`).
    fn line(&self, level: u8, text: &str) {
        for line in cut(text) {
            let record = format!("<{level}>{line}\n");
            let written = self
                .kmsg
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

impl Console {
    /// Announces a stage: wakes every waiter for it and shows it on every console.
    pub fn stage(&self, stage: Stage, facts: &str) {
        supervision::entered(stage);
        if stage == Stage::Leaving {
            if let Some(inbox) = self.inbox.get() {
                inbox.close_and_wait(CLOSING_PATIENCE);
            }
            terminals::give_back();
        }
        let level = if stage == Stage::Failed {
            ERROR
        } else {
            NOTICE
        };
        self.line(level, &format!("smv {stage}: {facts}"));
        self.stages.enter(stage);
    }

    /// It may hold the secret: straight to the terminals, past the kernel's log.
    pub fn hint(&self, text: &str) {
        terminals::show(text);
    }

    /// The machine goes on with less.
    pub fn warning(&self, text: &str) {
        self.line(WARNING, &format!("smv: warning: {text}"));
    }
}

impl Reporter for Console {
    fn report(&self, event: &ReceiverEvent) {
        for line in event.lines() {
            match line {
                Line::Stage(stage, facts) => self.stage(stage, &facts),
                Line::Warning(text) => self.warning(&text),
                Line::Hint(text) => self.hint(&text),
            }
        }
        supervision::heard(event);
        if let Some(inbox) = self.inbox.get().filter(|_| !event.is_only_text()) {
            if matches!(event, ReceiverEvent::Failed { .. }) {
                // The reason may be a device without a driver.
                inbox.tell(MachineEvent::Missing(diagnostics::missing()));
            }
            inbox.tell(MachineEvent::News(event.clone()));
        }
    }

    fn operator(&self) -> Option<&OperatorControl> {
        self.person.get()
    }
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => ERROR,
            Level::Warn => WARNING,
            Level::Info => INFO,
            Level::Debug | Level::Trace => DEBUG,
        };
        self.line(level, &format!("{}: {}", record.target(), record.args()));
    }

    fn flush(&self) {}
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
