//! The commands of a node that updates itself: options in, events and an exit code out. What they
//! decide is in `update`, what they ask of this Linux in `machine`.
//!
//! [`place`] opens the node, [`sources`] says where it looks for releases, [`take`] is `update`,
//! [`trial`] has `activate`, `rollback` and `recover`, [`upgrade`] is `entire-system-upgrade`,
//! [`download`] the part of it that needs no rights and [`offline`] what such a part has left,
//! [`confirm`] judges and keeps a trial, [`status`] says where the node stands.
//! [`event`] is what happens meanwhile, and [`report`] shows it; an [`error::NodeError`] is why a
//! command did not do what it was asked for.

pub mod confirm;
pub mod download;
pub mod error;
pub mod event;
pub mod offline;
pub mod place;
pub mod report;
pub mod sources;
pub mod status;
pub mod take;
pub mod trial;
pub mod upgrade;

use std::process::Command;
use std::thread;
use std::time::Duration;

use machine::health::Monotonic;
use machine::{children, departure, watchdog};
use rustix::system::RebootCommand;
use update::admit::Again;
use update::arm::Counted;
use update::stage::ReadAll;

use self::confirm::Verdict;
use self::error::{NoNode, NodeError};
use self::place::Place;
use self::report::{Report, Tell};
use self::trial::Activate;
use self::upgrade::{Machine, Standing};
use super::content;
use crate::cli::trial::What;
use crate::cli::upgrade::{After, Extent};
use crate::cli::{Status, Trial, Update, Upgrade};
use crate::exit::Exit;

/// An init that has not shut the machine down by then does not.
const REBOOT_PATIENCE: Duration = Duration::from_secs(90);

/// Runs `update` on this machine.
#[must_use]
pub fn update(options: &Update) -> Exit {
    let mut report = Report::stdout(options.is_json);
    let done = take::update(&Place::default(), options, &mut report);
    finish(done, &mut report)
}

/// Runs `entire-system-upgrade` on this machine.
#[must_use]
pub fn upgrade(options: &Upgrade) -> Exit {
    let mut report = Report::stdout(options.is_json);
    if options.extent == Extent::Download {
        return match download::download(&Place::default(), options, &mut report) {
            Ok(exit) => report.end(exit),
            Err(error) => finish(Err(error), &mut report),
        };
    }
    let machine = Machine {
        may_hang: watchdog::trial::exists() || options.without_watchdog,
        workers: &content::WORKERS,
        load: upgrade::kexec::load,
    };
    let done = upgrade::upgrade(&Place::default(), options, machine, &mut report);
    let done = match done {
        Ok(done) => done,
        Err(error) => return finish(Err(error), &mut report),
    };
    let exit = done.exit(options.extent);
    if let Err(error) = &done.system {
        report.refuse(error);
    }
    report.end(exit);
    match done.system {
        Ok(Standing::Loaded(counted)) => leave(counted),
        Ok(Standing::Armed) if options.after != After::Later => reboot(),
        _ => {}
    }
    exit
}

/// For the kernel that is loaded, whose start is spent.
fn leave(_counted: Counted) {
    // It returns when the kernel did not start.
    let _ = departure::into_loaded_kernel();
    reboot();
}

/// Runs `activate`, `confirm`, `rollback` or `recover` on this machine.
#[must_use]
pub fn trial(options: Trial) -> Exit {
    let mut report = Report::stdout(options.is_json);
    let place = Place::default();
    let has_watchdog = watchdog::trial::exists();
    let done = match options.what {
        What::Activate {
            without_watchdog,
            again,
            is_verify,
        } => {
            let how = Activate {
                may_hang: has_watchdog || without_watchdog,
                again: Again(again),
                all: ReadAll(is_verify),
            };
            trial::activate(&place, how, &mut report)
        }
        What::Rollback { without_watchdog } => {
            trial::rollback(&place, has_watchdog || without_watchdog, &mut report)
        }
        What::Recover => {
            let content = content::recover(options.is_json);
            let done = trial::recover(&place, &mut report);
            return recovered(content, done, &mut report);
        }
        What::Confirm { is_wait } => {
            let mut clock = Monotonic::default();
            let done = confirm::confirm(&place, is_wait, &mut clock, &mut report);
            let done = match (done, content::tried_set(options.is_json)) {
                (Ok(Verdict::Kept) | Err(NodeError::NoNode(_)), Ok(Some(_))) => {
                    confirm::judge_packages(&place, is_wait, &mut clock, &mut report)
                }
                (Err(NodeError::NoNode(_)), Ok(None)) if content::has_sets() => Ok(Verdict::Kept),
                (Ok(Verdict::Kept), Err(exit)) => return report.end(exit),
                (done, _) => done,
            };
            match done {
                Ok(Verdict::Kept) => {
                    let exit = content::keep_set(options.is_json);
                    return report.end(exit);
                }
                Ok(Verdict::Unhealthy(error)) => {
                    let exit = report.refuse(&error);
                    report.end(exit);
                    if is_wait {
                        reboot();
                    }
                    return exit;
                }
                Err(error) => Err(error),
            }
        }
    };
    finish(done, &mut report)
}

/// Runs `status` on this machine.
#[must_use]
pub fn status(options: Status) -> Exit {
    let mut report = Report::stdout(options.is_json);
    let (content, of_content) = content::status(options.is_json);
    let exit = match status::status(&Place::default(), options, &mut report) {
        Ok((text, exit)) => {
            report.say(&text);
            exit
        }
        // A system without slots may have content.
        Err(NodeError::NoNode(why)) if !content.is_empty() => {
            if let (NoNode::OneRoot { .. }, false) = (&why, options.is_json) {
                report.say(&why.to_string());
            }
            Exit::Installed
        }
        Err(error) => report.refuse(&error),
    };
    content.iter().for_each(|line| report.say(line));
    match exit {
        Exit::Installed => of_content,
        exit => exit,
    }
}

/// The exit code of both parts of `recover`. A system without slots may have content.
fn recovered(content: Option<Exit>, slots: Result<(), NodeError>, report: &mut dyn Tell) -> Exit {
    match (content, slots) {
        (Some(exit), Err(NodeError::NoNode(_))) => report.end(exit),
        (None | Some(Exit::Installed), slots) => finish(slots, report),
        (Some(exit), Ok(())) => report.end(exit),
        (Some(_), Err(error)) => finish(Err(error), report),
    }
}

fn finish(done: Result<(), NodeError>, report: &mut dyn Tell) -> Exit {
    let exit = match done {
        Ok(()) => Exit::Installed,
        Err(error) => report.refuse(&error),
    };
    report.end(exit)
}

/// As init does it, with its services stopped; by the kernel when init does not.
fn reboot() {
    let mut shut_down = Command::new("reboot");
    // What it says goes to the console by itself.
    let _ = children::run_group(&mut shut_down, REBOOT_PATIENCE);
    thread::sleep(REBOOT_PATIENCE);
    rustix::fs::sync();
    // Where the kernel does not, the watchdog does: nobody feeds it any more.
    let _ = rustix::system::reboot(RebootCommand::Restart);
}
