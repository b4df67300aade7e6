//! Drivers that the kernel has as modules (`modules.md` 2): [`machine::drivers`] loads them, this
//! keeps it doing so for as long as the shim runs.
//!
//! A module that cannot be loaded is named once and never ends a boot. On a kernel without modules
//! all of it finds nothing to do, except that network cards and disk controllers without a driver
//! are reported in any case.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use machine::diagnostics;
use machine::drivers::{self, DriversError, Loader};
use sys::uevents::Announcements;
use thiserror::Error;
use wire::chain::chain;

use crate::console::{self, Console};

/// The boot goes on after this, though a driver is still busy with its device.
const FIRST_WALK_MAX: Duration = Duration::from_secs(20);
/// When devices without a driver are looked for: a driver that is loaded may still be probing.
const LOOKS: [Duration; 3] = [
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Why drivers are not looked after any more.
#[derive(Debug, Error)]
enum AttendanceError {
    /// Devices that come later stay unknown.
    #[error("listening for new devices")]
    Announcements(#[source] io::Error),
    /// No memory.
    #[error("starting a thread for drivers")]
    Thread(#[source] io::Error),
}

/// Answers the kernel when it wants a module.
#[must_use]
pub fn help(arguments: &[String]) -> ExitCode {
    let console = console::open();
    drivers::help(arguments, &|error| {
        console.warning(&chain(error).to_string())
    })
}

/// Loads what the devices want, and goes on doing so in the background. Returns when all that were
/// there have been served, or a driver takes its time.
pub fn start(line: &str, console: &'static Console) {
    let line = line.to_owned();
    let walked = Arc::new(AtomicBool::new(false));
    let (has_walked, waiting) = (Arc::clone(&walked), thread::current());
    let thread = thread::Builder::new().name("drivers".to_owned());
    let spawned = thread.spawn(move || {
        attend(&line, console, &|| {
            has_walked.store(true, Ordering::Release);
            waiting.unpark();
        });
    });
    if let Err(error) = spawned {
        console.warning(&chain(&AttendanceError::Thread(error)).to_string());
        return;
    }
    let limit = Instant::now() + FIRST_WALK_MAX;
    while !walked.load(Ordering::Acquire) {
        let left = limit.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let seconds = FIRST_WALK_MAX.as_secs();
            console.warning(&format!("drivers: still loading after {seconds} seconds"));
            return;
        }
        thread::park_timeout(left);
    }
}

/// The life of the thread. `served` is called once, when every device has been asked.
fn attend(line: &str, console: &'static Console, served: &dyn Fn()) {
    let began = Instant::now();
    let report = |error: &DriversError| console.warning(&chain(error).to_string());
    let mut listening = None;
    match Loader::open(line, &report) {
        Ok(None) => {}
        Ok(Some(mut loader)) => {
            let announcements = Announcements::open();
            loader.walk();
            match announcements {
                Ok(announcements) => listening = Some((loader, announcements)),
                Err(error) => {
                    console.warning(&chain(&AttendanceError::Announcements(error)).to_string())
                }
            }
        }
        Err(error) => console.warning(&chain(&error).to_string()),
    }
    if let Some((loader, announcements)) = &mut listening {
        let _ = loader.hear(announcements); // asked again below
        let (loaded, seconds) = (loader.loaded(), began.elapsed().as_secs_f32());
        log::info!(target: "drivers", "loaded={loaded} seconds={seconds:.1}");
    }
    served();
    let mut told = Vec::new();
    let mut looks = LOOKS.iter().map(|after| began + *after);
    let mut next_look = looks.next();
    loop {
        let left = next_look.map(|at| at.saturating_duration_since(Instant::now()));
        let has_news = match (&mut listening, left) {
            (Some((loader, announcements)), left) => {
                let heard = announcements.wait(left);
                match heard.and_then(|()| loader.hear(announcements)) {
                    Ok(has_news) => has_news,
                    Err(error) => {
                        console.warning(&chain(&AttendanceError::Announcements(error)).to_string());
                        listening = None;
                        false
                    }
                }
            }
            (None, Some(left)) => {
                thread::sleep(left);
                false
            }
            (None, None) => return,
        };
        if next_look.is_some_and(|at| at <= Instant::now()) {
            tell_what_is_missing(&mut told, console);
            next_look = looks.next();
        }
        if has_news && next_look.is_none() {
            next_look = LOOKS.first().map(|after| Instant::now() + *after);
        }
    }
}

/// Each line once.
fn tell_what_is_missing(told: &mut Vec<String>, console: &Console) {
    for line in diagnostics::missing() {
        if !told.contains(&line) {
            console.warning(&line);
            told.push(line);
        }
    }
}
