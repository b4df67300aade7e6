//! Programs we run (mke2fs), and what PID 1 owes to everybody else's children.
//!
//! PID 1 inherits every orphan and must reap it, but a `wait` for just anybody would steal the status of a program whose
//! caller waits for it by id. One lock settles it: whoever runs a program holds it from start to end, and reaping takes it too.

use std::io;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{WaitOptions, wait};

static RUNNING: Mutex<()> = Mutex::new(());

/// Runs a program to its end, with nothing on its standard input, and returns its status and what it wrote.
///
/// # Errors
/// It could not be started.
pub fn run(command: &mut Command) -> io::Result<Output> {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner); // guards no data
    command.stdin(Stdio::null()).output()
}

/// Starts a program that goes on beside us. It may be reaped by anybody once it has ended.
///
/// # Errors
/// It could not be started.
pub fn start(command: &mut Command) -> io::Result<Child> {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner); // its start is watched by its status, too
    command.spawn()
}

/// Reaps every child that has ended and that nobody waits for. Waits first while a program of ours runs.
pub fn reap_orphans() {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    while let Ok(Some(_ended)) = wait(WaitOptions::NOHANG) {}
}

#[cfg(test)]
mod tests {
    use super::{reap_orphans, run};
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn reaping_never_steals_the_status_of_our_own_program() {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    reap_orphans();
                    std::thread::yield_now();
                }
            });
            let codes: Vec<_> = (0..20)
                .map(|code| {
                    run(Command::new("/bin/sh").args(["-c", &format!("exit {code}")]))
                        .unwrap()
                        .status
                        .code()
                })
                .collect();
            is_done.store(true, Ordering::Relaxed);
            assert_eq!(codes, (0..20).map(Some).collect::<Vec<_>>());
        });
    }
}
