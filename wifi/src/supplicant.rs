//! A supplicant's process, and the socket on which it is talked to.
//!
//! It is started with nothing but a card's name and a directory; networks and passphrases go
//! through the socket, so that they are on no command line and in no file. It is killed with its
//! owner.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::WifiError;

/// Of what it says on its standard output.
const WORDS_MAX: usize = 160;

/// Starts a program.
pub type Spawn = fn(&mut Command) -> io::Result<Child>;

/// A process.
#[derive(Debug)]
pub(crate) struct Supplicant {
    child: Child,
    /// The process itself, even if PID 1 reaps it and its number belongs to another.
    process: OwnedFd,
    /// None when it has closed it.
    output: Option<ChildStdout>,
    words: String,
    link: Option<UnixDatagram>,
    /// Where it listens.
    path: PathBuf,
    /// Where we do.
    own_path: PathBuf,
}

impl Supplicant {
    pub(crate) fn start(
        program: &Path,
        directory: &Path,
        interface: &str,
        spawn: Spawn,
    ) -> Result<Self, WifiError> {
        let path = directory.join(interface);
        let own_path = directory.join(format!("{interface}.client"));
        for path in [&path, &own_path] {
            let _ = std::fs::remove_file(path); // left behind by the one before
        }
        let mut command = Command::new(program);
        command.args(["-i", interface, "-D", "nl80211", "-C"]);
        command.arg(directory).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let start = |source| WifiError::Start {
            program: program.to_owned(),
            source,
        };
        let mut child = spawn(&mut command).map_err(start)?;
        let opened = watch(&mut child);
        let (process, output) = opened.map_err(|error| {
            let _ = child.kill(); // it cannot be watched: better none
            start(error)
        })?;
        Ok(Self {
            child,
            process,
            output: Some(output),
            words: String::new(),
            link: None,
            path,
            own_path,
        })
    }

    /// Talks to it from now on, if it listens.
    pub(crate) fn connect(&mut self) -> io::Result<()> {
        if self.link.is_some() {
            return Ok(());
        }
        let _ = std::fs::remove_file(&self.own_path); // from a try before this one
        let link = UnixDatagram::bind(&self.own_path)?;
        link.set_nonblocking(true)?;
        link.connect(&self.path)?;
        self.link = Some(link);
        Ok(())
    }

    pub(crate) const fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    pub(crate) fn send(&self, text: &str) -> io::Result<()> {
        let link = self.link.as_ref().ok_or(ErrorKind::NotConnected)?;
        link.send(text.as_bytes()).map(drop)
    }

    /// The next datagram; `None` when there is nothing more.
    pub(crate) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        let Some(link) = &self.link else {
            return Ok(None);
        };
        match link.recv(buffer) {
            Ok(len) => Ok(buffer.get(..len)),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads what it says for people; a pipe that is full would stop it.
    pub(crate) fn listen(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(len @ 1..) => {
                    let text = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default());
                    if let Some(line) = text.lines().rfind(|line| !line.trim().is_empty()) {
                        self.words = printable(line);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                _ => self.output = None,
            }
        }
    }

    /// The last line of it.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// Readable when it has ended.
    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    pub(crate) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn link(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_ref().map(AsFd::as_fd)
    }
}

impl Drop for Supplicant {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL); // it has ended already
        let _ = self.child.wait(); // somebody else has
        for path in [&self.path, &self.own_path] {
            let _ = std::fs::remove_file(path); // it never was there
        }
    }
}

fn watch(child: &mut Child) -> io::Result<(OwnedFd, ChildStdout)> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
    let output = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    fcntl_setfl(&output, fcntl_getfl(&output)? | OFlags::NONBLOCK)?;
    Ok((process, output))
}

fn printable(line: &str) -> String {
    let printable = line.trim().chars().filter(|char| !char.is_control());
    printable.take(WORDS_MAX).collect()
}
