//! What happens to a daemon that is held, and what can be asked for: values, and the lines of the
//! control socket (`daemons.md` 3).

mod why;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use why::Why;

/// Longest line, in bytes, with its line feed.
pub const LINE_MAX: usize = 128;

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put this generation in place of the one that runs.
    Swap {
        /// Its counter.
        counter: u64,
        /// Also when it failed before.
        is_again: bool,
    },
    /// Put the generation that was kept before in place of the one that runs.
    Back,
    /// Say what runs.
    Status,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub enum Event {
    /// A program runs.
    Started { counter: u64, pid: u32 },
    /// It has ended: `exit-1`, `signal-9`.
    Ended { counter: u64, how: Why },
    /// It will be started again.
    Waiting { ms: u64 },
    /// Another generation is about to be tried.
    Trial { counter: u64 },
    /// What is tried is ready, so long after it was started.
    Ready { counter: u64, ms: u64 },
    /// It is kept. For so long nobody accepted connections.
    Swapped { counter: u64, pause_ms: u64 },
    /// The one before is back. For so long nobody accepted connections.
    TakenBack {
        counter: u64,
        why: Why,
        pause_ms: u64,
    },
    /// Nothing was changed.
    Refused { why: Why },
    /// A socket that a program had shut down listens again.
    Mended { sockets: u64 },
    /// A trial that a power cut had interrupted was taken back.
    Recovered { counter: u64 },
    /// What runs; process 0: nothing at the moment.
    Running { counter: u64, pid: u32 },
}

/// A line says nothing of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected a line of the control socket")]
pub struct LineError;

impl Event {
    /// Nothing comes behind it: the request is done.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(
            self,
            Event::Swapped { .. }
                | Event::TakenBack { .. }
                | Event::Refused { .. }
                | Event::Running { .. }
        )
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Swap { counter, is_again } => {
                let again = if *is_again { " again" } else { "" };
                write!(f, "swap {counter}{again}")
            }
            Request::Back => f.write_str("back"),
            Request::Status => f.write_str("status"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started { counter, pid } => write!(f, "started {counter} {pid}"),
            Event::Ended { counter, how } => write!(f, "ended {counter} {}", how),
            Event::Waiting { ms } => write!(f, "waiting {ms}"),
            Event::Trial { counter } => write!(f, "trial {counter}"),
            Event::Ready { counter, ms } => write!(f, "ready {counter} {ms}"),
            Event::Swapped { counter, pause_ms } => write!(f, "swapped {counter} {pause_ms}"),
            Event::TakenBack {
                counter,
                why,
                pause_ms,
            } => write!(f, "taken-back {counter} {} {pause_ms}", why),
            Event::Refused { why } => write!(f, "refused {}", why),
            Event::Mended { sockets } => write!(f, "mended {sockets}"),
            Event::Recovered { counter } => write!(f, "recovered {counter}"),
            Event::Running { counter, pid } => write!(f, "running {counter} {pid}"),
        }
    }
}

impl FromStr for Request {
    type Err = LineError;

    fn from_str(line: &str) -> Result<Self, LineError> {
        let words: Vec<&str> = line.split(' ').collect();
        let request = match words.as_slice() {
            ["swap", counter] => Request::Swap {
                counter: number(counter)?,
                is_again: false,
            },
            ["swap", counter, "again"] => Request::Swap {
                counter: number(counter)?,
                is_again: true,
            },
            ["back"] => Request::Back,
            ["status"] => Request::Status,
            _ => return Err(LineError),
        };
        same(request, line)
    }
}

impl FromStr for Event {
    type Err = LineError;

    fn from_str(line: &str) -> Result<Self, LineError> {
        let words: Vec<&str> = line.split(' ').collect();
        let event = match words.as_slice() {
            ["started", counter, pid] => Event::Started {
                counter: number(counter)?,
                pid: number(pid)?,
            },
            ["ended", counter, how] => Event::Ended {
                counter: number(counter)?,
                how: how.parse()?,
            },
            ["waiting", ms] => Event::Waiting { ms: number(ms)? },
            ["trial", counter] => Event::Trial {
                counter: number(counter)?,
            },
            ["ready", counter, ms] => Event::Ready {
                counter: number(counter)?,
                ms: number(ms)?,
            },
            ["swapped", counter, pause_ms] => Event::Swapped {
                counter: number(counter)?,
                pause_ms: number(pause_ms)?,
            },
            ["taken-back", counter, why, pause_ms] => Event::TakenBack {
                counter: number(counter)?,
                why: why.parse()?,
                pause_ms: number(pause_ms)?,
            },
            ["refused", why] => Event::Refused { why: why.parse()? },
            ["mended", sockets] => Event::Mended {
                sockets: number(sockets)?,
            },
            ["recovered", counter] => Event::Recovered {
                counter: number(counter)?,
            },
            ["running", counter, pid] => Event::Running {
                counter: number(counter)?,
                pid: number(pid)?,
            },
            _ => return Err(LineError),
        };
        same(event, line)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, LineError> {
    text.parse().map_err(|_| LineError)
}

/// There is one way to write each line.
fn same<T: fmt::Display>(value: T, line: &str) -> Result<T, LineError> {
    match value.to_string() == line {
        true => Ok(value),
        false => Err(LineError),
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, LINE_MAX, Request, Why};
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    fn events() -> Vec<(Event, &'static str)> {
        let (counter, pid, pause_ms) = (418, 12, 31);
        vec![
            (Event::Started { counter, pid }, "started 418 12"),
            (
                Event::Ended {
                    counter,
                    how: Why::Signal(9),
                },
                "ended 418 signal-9",
            ),
            (Event::Waiting { ms: 100 }, "waiting 100"),
            (Event::Trial { counter }, "trial 418"),
            (Event::Ready { counter, ms: 9 }, "ready 418 9"),
            (Event::Swapped { counter, pause_ms }, "swapped 418 31"),
            (
                Event::TakenBack {
                    counter,
                    why: Why::NotReady,
                    pause_ms,
                },
                "taken-back 418 not-ready 31",
            ),
            (Event::Refused { why: Why::Busy }, "refused busy"),
            (Event::Mended { sockets: 2 }, "mended 2"),
            (Event::Recovered { counter }, "recovered 418"),
            (Event::Running { counter, pid: 0 }, "running 418 0"),
        ]
    }

    fn requests() -> Vec<(Request, &'static str)> {
        let swap = |is_again| Request::Swap {
            counter: u64::MAX,
            is_again,
        };
        vec![
            (swap(false), "swap 18446744073709551615"),
            (swap(true), "swap 18446744073709551615 again"),
            (Request::Back, "back"),
            (Request::Status, "status"),
        ]
    }

    fn both_ways<T: Display + Debug + PartialEq + FromStr>(golden: &[(T, &str)]) {
        for (value, line) in golden {
            assert_eq!(value.to_string(), *line);
            assert!(line.len() < LINE_MAX);
            assert_eq!(line.parse().ok().as_ref(), Some(value));
            for len in 0..line.len() {
                let cut: Option<T> = line[..len].parse().ok();
                assert_ne!(cut.as_ref(), Some(value), "{line}: {len}");
            }
            for at in 0..line.len() {
                for byte in 0..128 {
                    let mut changed = line.as_bytes().to_vec();
                    changed[at] = byte;
                    let changed = String::from_utf8(changed).unwrap();
                    if let Ok(other) = changed.parse::<T>() {
                        assert_eq!(other.to_string(), changed);
                    }
                }
            }
        }
    }

    #[test]
    fn golden_lines_both_ways() {
        both_ways(&events());
        both_ways(&requests());
    }

    #[test]
    fn nothing_else_is_a_line() {
        for line in [
            "", "swap", "swap 01", "swap +1", "swap -1", "swap 1 2", "status ", "Status",
        ] {
            assert!(line.parse::<Request>().is_err(), "{line}");
        }
        for line in [
            "ended 1 Exit",
            "waiting",
            "ready 1",
            "swapped 1 2 3",
            "refused a b",
        ] {
            assert!(line.parse::<Event>().is_err(), "{line}");
        }
    }
}
