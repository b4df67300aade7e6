//! One package from the stream to the root: through a worker that decodes it and reads its archive,
//! and whose answer is unpacked here.
//!
//! ```text
//! stream → [pipe] → worker: decode → archive → [pipe] → unpack
//! ```
//!
//! Each stage waits for the one beside it, so memory stays bounded and all of them work at once.
//! Whatever goes wrong, one error comes out, with the whole chain inside: what the worker says
//! counts only where neither the stream broke nor it died.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use wire::outcome::Outcome;

use crate::content::policy::Policy;
use crate::decode::{DecodeError, DecodeLimits};
use crate::event::{Event, Observer};
use crate::package_stream::{Header, Packages, PackagesError};
use crate::unpack::{self, Owners, Shown, UnpackError, UnpackLimits, Unpacked};
use crate::worker::{Ending, Process, Worker, Workers};

/// Read at once from the stream.
const CHUNK: usize = 128 * 1024;
/// The capacity of a pipe to or from a worker.
const PIPE_BYTES: u64 = 1024 * 1024;
/// Between two [`Event::Received`].
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// The resources that unpacking may use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Memory for decoding and unpacking, all threads together.
    pub memory_bytes: u64,
    /// Threads for decoding; 1 to decode in one.
    pub threads: u32,
    /// Starts the workers that decode the packages and read their archives.
    pub workers: &'static dyn Workers,
}

/// A package was not installed.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PackageError {
    /// Anything from the network to the file system; the chain below says what.
    #[error("package {package}")]
    Unpack {
        package: String,
        #[source]
        source: UnpackError,
    },
    /// Its tar ended before its data.
    #[error("package {package}: data follows the end of the archive")]
    Leftover { package: String },
    /// Its manifest counted something else.
    #[error("package {package} unpacks to {found} {what}; its manifest says {stated}")]
    NotAsStated {
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
        package: String,
        #[source]
        source: io::Error,
    },
    /// This end has cancelled the deploy.
    #[error("the deploy was cancelled")]
    Cancelled,
    /// Nobody who decodes it.
    #[error("starting the decoder of package {package}")]
    Worker {
        package: String,
        #[source]
        source: io::Error,
    },
}

impl PackageError {
    /// As its cause.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            PackageError::Unpack { source, .. } => source.outcome(),
            PackageError::Leftover { .. }
            | PackageError::NotAsStated { .. }
            | PackageError::Cancelled => Outcome::Refuse,
            // One that died says no more before it has begun than later.
            PackageError::Worker { source, .. } => {
                DecodeError::inside(source).map_or(Outcome::Fatal, DecodeError::outcome)
            }
            PackageError::Thread { .. } => Outcome::Fatal,
        }
    }
}

/// Starts a worker and ends it: whether this machine has one that may be trusted with a package.
/// Returns a warning for the operator, if there is one.
///
/// # Errors
/// It has none.
pub fn try_worker(resources: &Resources) -> io::Result<Option<String>> {
    let worker = resources.workers.start(DecodeLimits {
        memory_bytes: decode_bytes(resources),
        threads: resources.threads.max(1),
        output_cap: 0,
    });
    Ok(worker?.warning)
}

/// The rest of `resources.memory_bytes` beside the paths of a package and two pipes.
const fn decode_bytes(resources: &Resources) -> u64 {
    let memory = resources.memory_bytes;
    memory
        .saturating_sub(names_bytes(resources))
        .saturating_sub(2 * PIPE_BYTES)
}

const fn names_bytes(resources: &Resources) -> u64 {
    resources.memory_bytes / 4
}

/// Takes packages into one root, one after the other.
pub struct UnpackPipeline<'a> {
    root: BorrowedFd<'a>,
    decode_bytes: u64,
    threads: u32,
    unpack_limits: UnpackLimits,
    workers: &'static dyn Workers,
    /// Bytes of tar that all packages together may have.
    cap: u64,
    /// Bytes of tar so far.
    unpacked: AtomicU64,
    observer: &'a dyn Observer,
    reported: Instant,
}

impl<'a> UnpackPipeline<'a> {
    /// Shares `resources.memory_bytes` out: a quarter for the paths of a package, two pipes, the
    /// rest for the decoder.
    #[must_use]
    pub fn new(
        root: BorrowedFd<'a>,
        resources: &Resources,
        cap: u64,
        observer: &'a dyn Observer,
    ) -> Self {
        Self {
            root,
            decode_bytes: decode_bytes(resources),
            threads: resources.threads.max(1),
            unpack_limits: UnpackLimits::for_memory(names_bytes(resources)),
            workers: resources.workers,
            cap,
            unpacked: AtomicU64::new(0),
            observer,
            reported: Instant::now(),
        }
    }

    /// Takes only what this policy lets through, and makes everything the caller's own.
    #[must_use]
    pub fn of_content(mut self, policy: Policy) -> Self {
        self.unpack_limits.owners = Owners::Caller;
        self.unpack_limits.content = Some(policy);
        self
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
        let worker = self.workers.start(limits);
        let mut worker = worker.map_err(|source| PackageError::Worker {
            package: package.clone(),
            source,
        })?;
        if let Some(warning) = worker.warning.take() {
            self.observer.event(Event::Warning(warning));
        }
        let passage = Passage {
            root: self.root,
            cap: limits.output_cap,
            limits: unpack_limits,
            unpacked: &self.unpacked,
        };
        let pump = Pump {
            packages,
            unpacked: &self.unpacked,
            observer: self.observer,
            reported: &mut self.reported,
        };
        let passed = passage.run(pump, head, worker);
        let (result, is_whole) = passed.map_err(|source| PackageError::Thread {
            package: package.clone(),
            source,
        })?;
        let found = match result {
            Ok(found) => found,
            Err(Ended::Cancelled) => return Err(PackageError::Cancelled),
            Err(Ended::Failed(source)) => return Err(PackageError::Unpack { package, source }),
        };
        if !is_whole {
            return Err(PackageError::Leftover { package });
        }
        as_stated(package, header, &found)
    }
}

/// Where one package goes.
struct Passage<'a> {
    root: BorrowedFd<'a>,
    cap: u64,
    limits: UnpackLimits,
    unpacked: &'a AtomicU64,
}

/// Why a package did not pass.
enum Ended {
    Failed(UnpackError),
    Cancelled,
}

impl From<UnpackError> for Ended {
    fn from(error: UnpackError) -> Self {
        Ended::Failed(error)
    }
}

/// The stream broke off: after so many bytes of the package, for this reason.
type Broken = Mutex<Option<(u64, PackagesError)>>;

impl Passage<'_> {
    /// The totals of the package, and whether the worker took all of it.
    fn run(
        self,
        mut pump: Pump<'_>,
        head: &[u8],
        worker: Worker,
    ) -> io::Result<(Result<Unpacked, Ended>, bool)> {
        let Worker {
            input,
            output,
            mut process,
            ..
        } = worker;
        let broken = Broken::default();
        let abandon_source = pump.packages.interrupter();
        let (result, is_whole) = thread::scope(|scope| -> io::Result<_> {
            let pumping = thread::Builder::new().name("stream".to_owned());
            let pumping = pumping.spawn_scoped(scope, || pump.run(head, input, &broken))?;
            let (root, cap) = (self.root, self.cap);
            let result = unpack::unpack_frames(output, cap, root, &self.limits, self.unpacked);
            let result = match result {
                // Before the pump is stopped: what it says after that is no reason.
                Err(error) => {
                    let ended = blamed_on_stream(error, &broken);
                    process.kill(); // or the pump might wait for somebody to take its bytes
                    abandon_source(); // or for bytes that nobody wants
                    Err(ended)
                }
                Ok(found) => Ok(found),
            };
            // A pump that panicked has not sent everything.
            Ok((result, pumping.join().unwrap_or(false)))
        })?;
        // A package that ended where the stream broke may look whole to the worker.
        let result = match taken(&broken).filter(|_| result.is_ok()) {
            Some((_, PackagesError::Cancelled)) => Err(Ended::Cancelled),
            Some(broken) => Err(unread(broken).into()),
            None => result,
        };
        Ok((blamed_on_worker(result, process), is_whole))
    }
}

fn taken(broken: &Broken) -> Option<(u64, PackagesError)> {
    let mut broken = broken.lock().unwrap_or_else(PoisonError::into_inner); // one assignment
    broken.take()
}

/// Nothing more came, at the end of the archive.
fn unread((offset, source): (u64, PackagesError)) -> UnpackError {
    let source = io::Error::other(source);
    UnpackError::Input {
        offset,
        path: Shown::of(&[]),
        source: io::Error::other(DecodeError::Input { offset, source }),
    }
}

/// What the worker says of a package that broke off is only what follows from that. A cancel goes
/// before whatever else broke because of it.
fn blamed_on_stream(error: UnpackError, broken: &Broken) -> Ended {
    let broken = taken(broken);
    if let Some((_, PackagesError::Cancelled)) = broken {
        return Ended::Cancelled;
    }
    if !error.is_the_workers() {
        return error.into();
    }
    let blamed = match (broken, error) {
        (
            Some(broken),
            UnpackError::Input { offset, path, .. } | UnpackError::Refused { offset, path, .. },
        ) => match unread(broken) {
            UnpackError::Input { source, .. } => UnpackError::Input {
                offset,
                path,
                source,
            },
            other => other,
        },
        (_, error) => error,
    };
    blamed.into()
}

/// An answer that was cut off has its reason in how the worker ended; and one that died did not end
/// its answer.
fn blamed_on_worker(
    result: Result<Unpacked, Ended>,
    process: Box<dyn Process>,
) -> Result<Unpacked, Ended> {
    let (offset, path, found) = match result {
        Ok(found) => (found.tar_bytes, Shown::of(&[]), Some(found)),
        Err(Ended::Failed(UnpackError::Input {
            offset,
            path,
            source,
        })) if source.get_ref().is_none() => (offset, path, None),
        Err(error) => return Err(error),
    };
    let how = match (process.wait(), found) {
        (Ending::InOrder, Some(found)) => return Ok(found),
        (Ending::InOrder, None) => "ended in the middle of its answer".to_owned(),
        (Ending::Died(how), _) => how,
    };
    Err(Ended::Failed(UnpackError::Input {
        offset,
        path,
        source: io::Error::other(DecodeError::Died { how }),
    }))
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
    /// True when the whole package went through. Where the stream breaks, `broken` says so before
    /// the worker sees an end.
    fn run(&mut self, head: &[u8], mut to: File, broken: &Broken) -> bool {
        // A write fails when the worker is gone; its answer says why.
        if to.write_all(head).is_err() {
            return false;
        }
        let mut sent = head.len() as u64;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = self.packages.read_data(&mut chunk);
            let len = match read {
                Ok(len) => len,
                Err(error) => {
                    *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some((sent, error));
                    return false;
                }
            };
            if len == 0 || self.reported.elapsed() >= REPORT_EVERY {
                self.report();
            }
            if len == 0 {
                return true;
            }
            if to.write_all(chunk.get(..len).unwrap_or_default()).is_err() {
                return false;
            }
            sent = sent.saturating_add(len as u64);
        }
    }

    fn report(&mut self) {
        *self.reported = Instant::now();
        self.observer.event(Event::Received {
            bytes: self.packages.offset_bytes(),
            unpacked_bytes: self.unpacked.load(Ordering::Relaxed),
        });
    }
}
