//! `hold`: a daemon whose sockets are kept, and the question to the one that keeps them.
//!
//! In: options. Out: a line for each event, for a person or a script, and an exit code.

use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use ::hold::client::{self, ClientError};
use ::hold::event::{Event, Request, Why};
use ::hold::keeper::{HoldError, Settings, Tell, keep};
use ::hold::place::Wanted;
use ::hold::plain;
use store::stage::Again;
use sys::handover::Reserved;
use sys::signals::{Signal, Signals};
use thiserror::Error;
use wire::chain::chain;

use super::content::error::ContentError;
use super::content::places::Places;
use crate::cli::hold::{Hold, What};
use crate::exit::Exit;
use crate::json;

/// Nothing is held, or not any more.
#[derive(Debug, Error)]
enum HoldingError {
    #[error(transparent)]
    Keys(#[from] ContentError),
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error(transparent)]
    Ask(#[from] ClientError),
}

/// Runs `hold` on this machine.
#[must_use]
pub fn run(options: &Hold) -> Exit {
    let mut lines = Lines {
        begun: Instant::now(),
        is_json: options.is_json,
    };
    match obey(options, &mut lines) {
        Ok(exit) => exit,
        Err(error) => {
            lines.fail(&error);
            match error {
                HoldingError::Ask(error) => Exit::from(&error),
                HoldingError::Keys(_) | HoldingError::Hold(_) => Exit::Receiver,
            }
        }
    }
}

fn obey(options: &Hold, lines: &mut Lines) -> Result<Exit, HoldingError> {
    let (places, name) = (Places::default(), &options.name);
    let last = match &options.what {
        What::Keep { directory } => {
            // Before anything else has a descriptor, or a thread.
            let reserved = Reserved::new().map_err(HoldError::Wait)?;
            let settings = places.held(name, directory.clone())?;
            return hold(&settings, &reserved, lines).map(|()| Exit::Installed);
        }
        What::Swap { counter, again } => {
            let settings = places.held(name, None)?;
            let wanted = Wanted::Version {
                counter: *counter,
                again: Again(*again),
            };
            swap(&settings, wanted, lines)?
        }
        What::Status => {
            let tell = &mut |event: &Event| lines.tell(event);
            client::ask(&places.run(), name.name(), Request::Status, tell)?
        }
    };
    Ok(of_last(&last))
}

/// Has another version put in place by the one that holds the daemon; where nobody does, by this
/// machine's init, if the version is for it. The last event.
///
/// # Errors
/// Nobody holds it, or the connection breaks.
pub(crate) fn swap(
    settings: &Settings,
    wanted: Wanted,
    tell: &mut dyn Tell,
) -> Result<Event, ClientError> {
    let request = match wanted {
        Wanted::Version { counter, again } => Request::Swap {
            counter,
            is_again: again.0,
        },
        Wanted::Former => Request::Back,
    };
    let asked = client::ask(&settings.run, &settings.name, request, &mut |event| {
        tell.tell(event);
    });
    match asked {
        Err(ClientError::NotHeld { .. }) if plain::is_for_init(settings, wanted) => {
            let last = plain::swap(settings, wanted, tell);
            tell.tell(&last);
            Ok(last)
        }
        asked => asked,
    }
}

/// Is there somebody whom [`swap`] could ask for this version?
pub(crate) fn can_swap(settings: &Settings, wanted: Wanted) -> bool {
    let asked = client::ask(&settings.run, &settings.name, Request::Status, &mut |_| {});
    match asked {
        Err(ClientError::NotHeld { .. }) => plain::is_for_init(settings, wanted),
        _ => true,
    }
}

fn hold(settings: &Settings, reserved: &Reserved, lines: &mut Lines) -> Result<(), HoldingError> {
    let ending = [Signal::Terminate, Signal::Interrupt];
    let signals = Signals::block(&ending).map_err(HoldError::Wait)?;
    Ok(keep(settings, reserved, &signals, lines)?)
}

/// How the daemon that was asked about a version answered (`daemons.md` 2.3).
pub(crate) const fn of_last(event: &Event) -> Exit {
    match event {
        Event::TakenBack { .. } => Exit::Unhealthy,
        Event::Refused { why } => match why {
            Why::Busy => Exit::Busy,
            Why::Current => Exit::Current,
            Why::NoGeneration | Why::Rejected | Why::BelowFloor => Exit::Packages,
            Why::Ledger => Exit::Receiver,
            Why::Service => Exit::Unavailable,
            _ => Exit::NotNow,
        },
        _ => Exit::Installed,
    }
}

/// Standard output, and standard error for what does not work.
struct Lines {
    begun: Instant,
    is_json: bool,
}

impl Tell for Lines {
    fn tell(&mut self, event: &Event) {
        let line = match self.is_json {
            true => json::hold::event(event, self.begun.elapsed()),
            false => sentence(event),
        };
        // A daemon is held whether somebody reads this or not.
        let _ = writeln!(io::stdout(), "{line}");
    }

    fn fail(&mut self, error: &dyn Error) {
        // Likewise.
        let _ = writeln!(io::stderr(), "spk-visor: {}", chain(error));
    }
}

/// For a person.
pub(crate) fn sentence(event: &Event) -> String {
    match event {
        Event::Started { counter, pid } => format!("counter {counter} runs as process {pid}"),
        Event::Ended { counter, how } => format!("counter {counter} has ended: {how}"),
        Event::Waiting { ms } => format!("it is started again in {ms} ms"),
        Event::Trial { counter } => format!("counter {counter} is tried"),
        Event::Ready { counter, ms } => format!("counter {counter} is ready after {ms} ms"),
        Event::Swapped { counter, pause_ms } => {
            format!("counter {counter} is kept; connections waited for {pause_ms} ms")
        }
        Event::TakenBack {
            counter,
            why,
            pause_ms,
        } => {
            format!("counter {counter} is taken back: {why}; connections waited for {pause_ms} ms")
        }
        Event::Refused { why } => format!("nothing is changed: {why}"),
        Event::Mended { sockets } => {
            format!("sockets that the program had shut down listen again: {sockets}")
        }
        Event::Recovered { counter } => {
            format!("counter {counter} was being tried when this was interrupted: it is taken back")
        }
        Event::Running { counter, pid: 0 } => format!("counter {counter} does not run"),
        Event::Running { counter, pid } => format!("counter {counter} runs as process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::of_last;
    use crate::exit::Exit;
    use hold::event::{Event, Why};

    #[test]
    fn each_ending_has_its_exit_code() {
        let (counter, pause_ms) = (2, 0);
        let why = Why::NotReady;
        for (event, exit) in [
            (Event::Swapped { counter, pause_ms }, Exit::Installed),
            (Event::Running { counter, pid: 1 }, Exit::Installed),
            (
                Event::TakenBack {
                    counter,
                    why,
                    pause_ms,
                },
                Exit::Unhealthy,
            ),
            (Event::Refused { why: Why::Busy }, Exit::Busy),
            (Event::Refused { why: Why::Current }, Exit::Current),
            (
                Event::Refused {
                    why: Why::NoGeneration,
                },
                Exit::Packages,
            ),
            (Event::Refused { why: Why::Ledger }, Exit::Receiver),
        ] {
            assert_eq!(of_last(&event), exit, "{event}");
        }
        for (why, exit) in [
            (Why::Rejected, Exit::Packages),
            (Why::BelowFloor, Exit::Packages),
            (Why::Service, Exit::Unavailable),
            (Why::FailedBefore, Exit::NotNow),
            (Why::Stopped, Exit::NotNow),
            (Why::Leaving, Exit::NotNow),
        ] {
            assert_eq!(of_last(&Event::Refused { why }), exit, "{why}");
        }
    }
}
