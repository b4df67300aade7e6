//! Workers on threads of this process, without walls: what a worker does, for tests of what stands
//! around it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread::{self, JoinHandle};

use super::{Ending, PipeEnd, Process, Worker, Workers, work};
use crate::decode::DecodeLimits;

/// A thread for each.
#[derive(Debug)]
pub struct Threads;

impl Workers for Threads {
    fn start(&self, limits: DecodeLimits) -> io::Result<Worker> {
        let (package, input) = io::pipe()?;
        let (output, answer) = io::pipe()?;
        let file = |fd: OwnedFd| File::from(fd);
        let working = thread::Builder::new().name("worker".to_owned());
        let working = working.spawn(move || work(PipeEnd(package), PipeEnd(answer), limits))?;
        Ok(Worker {
            input: file(input.into()),
            output: file(output.into()),
            process: Box::new(Thread(working)),
            warning: None,
        })
    }
}

/// Ends when its pipes do.
#[derive(Debug)]
struct Thread(JoinHandle<io::Result<()>>);

impl Process for Thread {
    fn kill(&mut self) {}

    fn wait(self: Box<Self>) -> Ending {
        match self.0.join() {
            Ok(Ok(())) => Ending::InOrder,
            Ok(Err(error)) => Ending::Died(format!("could not answer: {error}")),
            Err(_) => Ending::Died("panicked".to_owned()),
        }
    }
}
