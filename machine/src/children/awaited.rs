//! A program that goes on beside us and whose status its caller takes later.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::Ordering;

use rustix::process::Pid;

use super::{HAS_MORE, awaited, reap_orphans};

/// On the list of those that nobody else reaps. Dropped, it is killed and reaped.
#[derive(Debug)]
pub struct Awaited {
    child: Child,
    has_ended: bool,
}

impl Awaited {
    /// Starts it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut awaited = awaited(); // until its id is on the list: nobody reaps it before
        let child = command.spawn()?;
        awaited.push(Pid::from_child(&child));
        Ok(Awaited {
            child,
            has_ended: false,
        })
    }

    /// With its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Its status was lost.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        if !self.has_ended {
            self.has_ended = true;
            let pid = Pid::from_child(&self.child);
            awaited().retain(|listed| *listed != pid);
            if HAS_MORE.swap(false, Ordering::SeqCst) {
                reap_orphans();
            }
        }
        status
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = self.child.kill(); // it has ended just now
            let _ = self.wait(); // nobody asks how
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Awaited;
    use crate::children::reap_orphans;
    use std::process::Command;

    #[test]
    fn its_status_is_there_however_often_others_reap() {
        for code in 0..20 {
            let mut command = Command::new("/bin/sh");
            let mut program =
                Awaited::start(command.args(["-c", &format!("exit {code}")])).unwrap();
            for _ in 0..code {
                reap_orphans();
                std::thread::yield_now();
            }
            assert_eq!(program.wait().unwrap().code(), Some(code));
        }
    }

    #[test]
    fn one_that_is_dropped_leaves_no_zombie() {
        let mut command = Command::new("/bin/sleep");
        let mut program = Awaited::start(command.arg("600")).unwrap();
        let id = program.child().id();
        drop(program);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
