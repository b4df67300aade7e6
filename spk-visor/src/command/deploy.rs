//! `deploy-system-img-copy`: a donor with a terminal, a script's pipe and a log around it.
//!
//! In: options. Out: events for a person or a script, and an exit code.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use thiserror::Error;

use crate::cli::Deploy;
use crate::exit::Exit;
use crate::prompt::{Person, Prompt};
use crate::reporter::Reporter;
use crate::screen::Screen;
use crate::signals;
use donor::consent::Questions;
use donor::deploy::{self, DeployError, Frontend};
use donor::event::Event;
use donor::interrupt::Interrupt;
use donor::options::Options;

/// Why a deploy does not begin.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DeployCommandError {
    /// The log cannot be kept.
    #[error("keeping the log in {}", path.display())]
    Log {
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Ctrl-C would not be heard of.
    #[error("taking signals")]
    Signals(#[source] io::Error),
    /// Nothing can be sent to anybody.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// Deploys, with standard output as the screen.
pub fn run(options: &Deploy) -> Exit {
    let screen = Screen::stdout();
    let (log, error) = match open_log(options) {
        Ok(log) => (log, None),
        Err(error) => (None, Some(error)),
    };
    let mut reporter = Reporter::new(screen, io::stderr(), options.is_json, log);
    if let Some(error) = error {
        return reporter.fail(&error, Exit::from(&error));
    }
    let interrupt = match signals::interrupt().map_err(DeployCommandError::Signals) {
        Ok(interrupt) => interrupt,
        Err(error) => return reporter.fail(&error, Exit::from(&error)),
    };
    let person: Person = if io::stdin().is_terminal() {
        Some(Box::new(io::stdin()))
    } else {
        None
    };
    run_on(&options.donor, person, &interrupt, &mut reporter)
}

fn open_log(options: &Deploy) -> Result<Option<File>, DeployCommandError> {
    let Some(path) = &options.log else {
        return Ok(None);
    };
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map(Some).map_err(|source| DeployCommandError::Log {
        path: path.clone(),
        source,
    })
}

/// Deploys; `person` is asked before a disk that is not blank is erased, `interrupt` ends it.
pub fn run_on<W: Write, E: Write>(
    options: &Options,
    person: Person,
    interrupt: &Interrupt,
    reporter: &mut Reporter<W, E>,
) -> Exit {
    let prompt = Prompt::new(person);
    let mut console = Console { reporter, prompt };
    match deploy::run(options, interrupt, &mut console) {
        Ok(ending) => ending.into(),
        Err(error) => {
            let error = DeployCommandError::from(error);
            console.reporter.fail(&error, Exit::from(&error))
        }
    }
}

/// A reporter, and the person in front of it.
struct Console<'b, W: Write, E: Write> {
    reporter: &'b mut Reporter<W, E>,
    prompt: Prompt,
}

impl<W: Write, E: Write> Frontend for Console<'_, W, E> {
    fn expect_several(&mut self) {
        self.reporter.expect_several();
        self.prompt.expect_several();
    }

    fn tell(&mut self, event: &Event) {
        self.reporter.tell(event);
    }

    fn tick(&mut self) {
        self.reporter.tick();
    }

    fn attend(&mut self, questions: &Questions) {
        self.prompt.turn(questions, self.reporter);
    }

    fn has_person(&self) -> bool {
        self.prompt.has_person()
    }

    fn confirm(&mut self, machines: usize, may_erase: bool) -> bool {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return false;
        }
        let _ = write!(
            io::stderr(),
            "deploy onto these {machines} machines{}? [y/N] ",
            if may_erase {
                ", whatever is on their disks"
            } else {
                ""
            }
        );
        let mut line = String::new();
        let read = stdin.lock().take(64).read_line(&mut line);
        read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
    }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
