//! One package from the stream to the root: three threads, two bounded pipes between them.
//!
//! ```text
//! stream → [pipe] → decode → [pipe] → unpack
//! ```
//!
//! Each stage waits for the one beside it, so memory stays bounded and all of them work at once. An error travels to the right
//! as the reading stage's error, with its own cause inside; the unpacking stage's error is therefore the whole chain.

use std::error::Error;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use wire::outcome::Outcome;

use crate::decode::{self, DecodeLimits};
use crate::event::{Event, Observer};
use crate::options::Options;
use crate::packages::{Header, Packages, PackagesError};
use crate::pipe::{self, Reader, Writer};
use crate::unpack::{self, UnpackError, UnpackLimits, Unpacked};

/// Read at once from the stream, and handed at once from decoder to unpacker.
const CHUNK: usize = 128 * 1024;
/// A pipe that holds less makes the stages wait for each other's rhythm; one that holds more only costs memory.
const PIPE_MIN: u64 = 256 * 1024;
const PIPE_MAX: u64 = 4 * 1024 * 1024;
/// Between two [`Event::Received`].
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// A package was not installed.
#[derive(Debug, Error)]
pub enum PackageError {
    /// Anything from the network to the file system; the chain below says what.
    #[error("package {package}")]
    Unpack {
        /// Its name.
        package: String,
        /// The cause.
        #[source]
        source: UnpackError,
    },
    /// Its tar ended before its data.
    #[error("package {package}: data follows the end of the archive")]
    Leftover {
        /// Its name.
        package: String,
    },
    /// Its manifest counted something else.
    #[error("package {package} unpacks to {found} {what}; its manifest says {stated}")]
    NotAsStated {
        /// Its name.
        package: String,
        /// Bytes or entries.
        what: &'static str,
        /// In the manifest.
        stated: u64,
        /// In the package.
        found: u64,
    },
    /// No thread.
    #[error("starting a thread for package {package}")]
    Thread {
        /// Its name.
        package: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl PackageError {
    /// As its cause.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            PackageError::Unpack { source, .. } => source.outcome(),
            PackageError::Leftover { .. } | PackageError::NotAsStated { .. } => Outcome::Refuse,
            PackageError::Thread { .. } => Outcome::Fatal,
        }
    }
}

/// Takes packages into one root, one after the other.
pub struct Intake<'a> {
    root: BorrowedFd<'a>,
    decode_bytes: u64,
    threads: u32,
    unpack_limits: UnpackLimits,
    pipe_bytes: usize,
    /// Bytes of tar that all packages together may have.
    cap: u64,
    /// Bytes of tar so far.
    unpacked: AtomicU64,
    observer: &'a dyn Observer,
    reported: Instant,
}

impl<'a> Intake<'a> {
    /// Shares `options.memory_bytes` out: a sixteenth for each pipe, a quarter for the paths of a package, the rest for the
    /// decoder.
    #[must_use]
    pub fn new(
        root: BorrowedFd<'a>,
        options: &Options,
        cap: u64,
        observer: &'a dyn Observer,
    ) -> Self {
        let memory = options.memory_bytes;
        let pipe_bytes = (memory / 16).clamp(PIPE_MIN, PIPE_MAX);
        let names_bytes = memory / 4;
        Self {
            root,
            decode_bytes: memory
                .saturating_sub(names_bytes)
                .saturating_sub(2 * pipe_bytes),
            threads: options.threads.max(1),
            unpack_limits: UnpackLimits::for_memory(names_bytes),
            pipe_bytes: usize::try_from(pipe_bytes).unwrap_or(CHUNK),
            cap,
            unpacked: AtomicU64::new(0),
            observer,
            reported: Instant::now(),
        }
    }

    /// Unpacks the current one of `packages`, whose first bytes `head` were read already.
    ///
    /// # Errors
    /// The root must then not be used.
    pub fn receive(
        &mut self,
        packages: &mut dyn Packages,
        header: &Header,
        head: &[u8],
    ) -> Result<(), PackageError> {
        let package = header.name.to_string();
        self.observer.event(Event::Package {
            name: package.clone(),
            claimed_len: header.claimed_len.unwrap_or(0),
        });
        let left = self
            .cap
            .saturating_sub(self.unpacked.load(Ordering::Relaxed));
        let limits = DecodeLimits {
            memory_bytes: self.decode_bytes,
            threads: self.threads,
            output_cap: header
                .unpacked
                .map_or(left, |stated| left.min(stated.size_bytes)),
        };
        let mut unpack_limits = self.unpack_limits;
        if let Some(stated) = header.unpacked {
            unpack_limits.entries = unpack_limits.entries.min(u64::from(stated.entries));
        }
        let (compressed_in, compressed_out) = pipe::pipe(self.pipe_bytes);
        let (tar_in, tar_out) = pipe::pipe(self.pipe_bytes);
        let mut pump = Pump {
            packages,
            unpacked: &self.unpacked,
            observer: self.observer,
            reported: &mut self.reported,
        };
        let (root, unpack_limits, unpacked) = (self.root, &unpack_limits, &self.unpacked);
        let observer = self.observer;
        let result = thread::scope(|scope| {
            let named = |name: &str| thread::Builder::new().name(name.to_owned());
            let pumping =
                named("stream").spawn_scoped(scope, move || pump.run(head, compressed_in))?;
            let decoding = named("decode")
                .spawn_scoped(scope, move || decode_into(compressed_out, tar_in, limits))?;
            let result = unpack::unpack(tar_out, root, unpack_limits, unpacked);
            if result.is_err() {
                observer.event(Event::Abandoned); // or the pump might wait for bytes that nobody wants
            }
            // A stage that panicked did not finish its pipe; the unpacker has seen that as an error.
            let whole = decoding.join().unwrap_or(false) & pumping.join().unwrap_or(false);
            Ok((result, whole))
        });
        let (result, is_whole) = result.map_err(|source| PackageError::Thread {
            package: package.clone(),
            source,
        })?;
        let found = result.map_err(|source| PackageError::Unpack {
            package: package.clone(),
            source,
        })?;
        if !is_whole {
            return Err(PackageError::Leftover { package });
        }
        as_stated(package, header, &found)
    }
}

/// A package that comes to less than was stated is not the one that was counted.
fn as_stated(package: String, header: &Header, found: &Unpacked) -> Result<(), PackageError> {
    let Some(stated) = header.unpacked else {
        return Ok(());
    };
    let counts = [
        ("bytes", stated.size_bytes, found.tar_bytes),
        ("entries", u64::from(stated.entries), found.entries),
    ];
    match counts
        .into_iter()
        .find(|(_, stated, found)| stated != found)
    {
        None => Ok(()),
        Some((what, stated, found)) => Err(PackageError::NotAsStated {
            package,
            what,
            stated,
            found,
        }),
    }
}

/// The stage that reads the stream.
struct Pump<'p> {
    packages: &'p mut dyn Packages,
    unpacked: &'p AtomicU64,
    observer: &'p dyn Observer,
    reported: &'p mut Instant,
}

impl Pump<'_> {
    /// True when the whole package went through.
    fn run(&mut self, head: &[u8], mut to: Writer) -> bool {
        // A write fails when the decoder is gone; it has told the reason to the unpacker.
        if to.write_all(head).is_err() {
            return false;
        }
        forward(to, |chunk| {
            let len = self.packages.read_data(chunk)?;
            if len == 0 || self.reported.elapsed() >= REPORT_EVERY {
                self.report();
            }
            Ok::<_, PackagesError>(len)
        })
    }

    fn report(&mut self) {
        *self.reported = Instant::now();
        self.observer.event(Event::Received {
            bytes: self.packages.offset_bytes(),
            unpacked_bytes: self.unpacked.load(Ordering::Relaxed),
        });
    }
}

/// The stage that decodes; true when everything went through.
fn decode_into(from: Reader, to: Writer, limits: DecodeLimits) -> bool {
    let mut decoder = match decode::decode(from, limits) {
        Ok(decoder) => decoder,
        Err(error) => {
            to.fail(std::io::Error::other(error));
            return false;
        }
    };
    forward(to, |chunk| decoder.read_tar(chunk))
}

/// Everything that `read` gives, up to its 0, into `to`; true when it all went through. The reader of `to` learns of an error;
/// a writer that fails has a reader that is gone and has told its own reason.
fn forward<E: Error + Send + Sync + 'static>(
    mut to: Writer,
    mut read: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> bool {
    let mut chunk = vec![0; CHUNK];
    loop {
        match read(&mut chunk) {
            Ok(0) => return to.finish().is_ok(),
            Ok(len) => {
                if to.write_all(chunk.get(..len).unwrap_or_default()).is_err() {
                    return false;
                }
            }
            Err(error) => {
                to.fail(std::io::Error::other(error));
                return false;
            }
        }
    }
}
