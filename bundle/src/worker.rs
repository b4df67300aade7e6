//! The seam to the worker that decodes packages and reads their archives: compressed bytes go into
//! a pipe, frames of entries come out of another one, and at the end it tells how it ended.
//!
//! The contents of packages are read by libraries in C. So that happens in a process beside this
//! one, which its maker has shut in (`machine::cage`); nothing here knows how.

#[cfg(any(test, feature = "fakes"))]
pub mod threads;

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::decode::{DecodeLimits, Input, decode};
use crate::unpack::frames;

/// Makes workers.
pub trait Workers: Debug + Sync {
    /// One for one package.
    ///
    /// # Errors
    /// The machine gives none, or none that may be trusted with a package.
    fn start(&self, limits: DecodeLimits) -> io::Result<Worker>;
}

/// Works on one package.
#[derive(Debug)]
pub struct Worker {
    /// Takes the compressed package; its end is the package's end.
    pub input: File,
    /// Gives the answer ([`frames`]).
    pub output: File,
    /// The thread or process, beside its pipes.
    pub process: Box<dyn Process>,
    /// Something that a person should know of it.
    pub warning: Option<String>,
}

/// A worker's life. Dropped, it is ended.
pub trait Process: Debug + Send {
    /// Ends it now, if it has not ended.
    fn kill(&mut self);
    /// Waits for its end.
    fn wait(self: Box<Self>) -> Ending;
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, as it should.
    InOrder,
    /// Otherwise: `was killed by SIGSYS`.
    Died(String),
}

/// The work of a worker: the package from `input`, the answer to `output`.
///
/// # Errors
/// Nobody takes the answer.
pub fn work(input: impl Input, output: impl Write, limits: DecodeLimits) -> io::Result<()> {
    match decode(input, limits) {
        Ok(decoder) => frames::relay(decoder, output),
        Err(error) => frames::fault(error, output),
    }
}

/// An end of a pipe, read or written without a buffer.
#[derive(Debug)]
pub struct PipeEnd<F>(pub F);

impl<F: AsFd> Read for PipeEnd<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, into)?)
    }
}

impl<F: AsFd> Write for PipeEnd<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: AsFd + Send> Input for PipeEnd<F> {
    /// A pipe that cannot be asked is read: that says why.
    fn ready(&self) -> bool {
        let mut asked = [PollFd::new(&self.0, PollFlags::IN)];
        !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(0))
    }
}
