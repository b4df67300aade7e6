//! The consoles: one line in, the same line on every console of the machine and in the kernel's
//! log.
//!
//! [`machine::kmsg`] takes the lines. What a person decides on goes to the wizard, and each stage
//! into the latch on which other threads wait.

use std::sync::OnceLock;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use machine::diagnostics;
use machine::kmsg::{Kmsg, Level};
use receiver::operator::OperatorControl;
use receiver::operator::event::{Line, ReceiverEvent};
use receiver::operator::reporter::Reporter;
use wire::message::After;
use wire::stage::Stage;
use wizard::event::MachineEvent;
use wizard::host::Inbox;

use crate::stage_latch::StageLatch;
use crate::{supervision, terminals};

/// The screens are gone much sooner than this, unless it is their thread that leaves.
const CLOSING_PATIENCE: Duration = Duration::from_millis(300);

static CONSOLE: Console = Console {
    kmsg: Kmsg::new(),
    stages: StageLatch::new(),
    person: OnceLock::new(),
    inbox: OnceLock::new(),
};

/// The one sink.
#[derive(Debug)]
pub struct Console {
    kmsg: Kmsg,
    stages: StageLatch,
    person: OnceLock<OperatorControl>,
    inbox: OnceLock<Inbox>,
}

/// Opens the kernel's log and makes it the sink of `log`. Call it once, after devtmpfs and proc are
/// mounted.
pub fn open() -> &'static Console {
    CONSOLE.kmsg.open();
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    &CONSOLE
}

/// Last words: what a panic has to say.
pub fn last_words(text: &str) {
    CONSOLE
        .kmsg
        .line(Level::Critical, &format!("smv {}: {text}", Stage::Failed));
}

/// Prints the last words of a panic that ends one thread.
pub fn bug(text: &str) {
    CONSOLE
        .kmsg
        .line(Level::Error, &format!("smv: warning: {text}"));
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
            Level::Error
        } else {
            Level::Notice
        };
        self.kmsg.line(level, &format!("smv {stage}: {facts}"));
        self.stages.enter(stage);
    }

    /// It may hold the secret: straight to the terminals, past the kernel's log.
    pub fn hint(&self, text: &str) {
        terminals::show(text);
    }

    /// The machine goes on with less.
    pub fn warning(&self, text: &str) {
        self.kmsg
            .line(Level::Warning, &format!("smv: warning: {text}"));
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
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warning,
            log::Level::Info => Level::Info,
            log::Level::Debug | log::Level::Trace => Level::Debug,
        };
        self.kmsg
            .line(level, &format!("{}: {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}
