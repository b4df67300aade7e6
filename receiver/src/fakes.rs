//! A machine for tests that have no kernel to spare: file systems that are directories, a network
//! of socket pairs, a screen that remembers, and the smallest system that can be installed. Only
//! with the feature `fakes`; never shipped.

// Test code: a failure here is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

pub mod donor;
mod packages;
pub mod ports;

pub use packages::{package, system};

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use disk::contents::DiskContents;
use disk::disk::Disk;
use disk::layout::Layout;
use disk::volumes::{Volumes, VolumesError};
use machine::gate::{Candidate, Contents};
use machine::inventory::{Found, Transport};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sys::eventfd::EventFd;
use tempfile::TempDir;
use wire::code::Code;

use crate::donor::{Donor, Interrupted, Interrupter, Network};
use crate::operator::OperatorControl;
use crate::operator::event::ReceiverEvent;
use crate::operator::reporter::Reporter;

/// No event of a test takes longer; reaching it fails the test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at socket pairs.
const LOOK: Duration = Duration::from_millis(5);

/// Under which a fake network reaches its target.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 15));

/// A directory for the length of a test.
#[derive(Debug)]
pub struct TestDir(TempDir);

impl TestDir {
    /// Made now, removed when dropped.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let prefix = format!("smv-{name}-");
        Self(tempfile::Builder::new().prefix(&prefix).tempdir().unwrap())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A file of 2 GiB and no blocks, to be deployed to.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        let path = self.path().join("disk.img");
        fs::File::create(&path).unwrap().set_len(2 << 30).unwrap();
        path
    }
}

/// The root file system as a directory, new at each mount.
#[derive(Debug)]
pub struct PlainVolumes {
    root: PathBuf,
}

impl PlainVolumes {
    /// The root will be here.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }
}

impl Volumes for PlainVolumes {
    fn mount(&mut self, _: &mut dyn Disk, _: &Layout) -> Result<OwnedFd, VolumesError> {
        let _ = fs::remove_dir_all(&self.root); // of the deploy before
        fs::create_dir_all(&self.root).unwrap();
        Ok(fs::File::open(&self.root).unwrap().into())
    }

    fn unmount(&mut self, _: &mut dyn Disk, root: OwnedFd) -> Result<(), VolumesError> {
        drop(root);
        Ok(())
    }
}

/// A blank disk of 16 GiB that nobody has.
#[must_use]
pub fn candidate() -> Candidate {
    let disk = Found {
        path: PathBuf::from("/dev/fake"),
        size_bytes: 16 << 30,
        sector_bytes: 512,
        transport: Transport::Virtio,
        is_removable: false,
        is_read_only: false,
        serial: Some("FAKE-0123456789".to_owned()),
        vendor: None,
        model: Some("disk".to_owned()),
        wwn: None,
    };
    Candidate::made_up(disk, Contents::Holds(DiskContents::Blank))
}

/// Every line, in order: `smv waiting: ...`, `warning: ...`, hints as they are; and every event.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Mutex<Vec<String>>,
    events: Mutex<Vec<ReceiverEvent>>,
    changed: Condvar,
    events_changed: Condvar,
    operator: Option<OperatorControl>,
}

impl Lines {
    /// In front of which somebody may say something.
    #[must_use]
    pub fn of(operator: &OperatorControl) -> Self {
        Self {
            operator: Some(operator.clone()),
            ..Self::default()
        }
    }

    /// All events so far.
    #[must_use]
    pub fn all_events(&self) -> Vec<ReceiverEvent> {
        self.events.lock().unwrap().clone()
    }

    /// Waits for the first event behind the first `skip` ones that `is_meant`; returns its index
    /// and itself.
    pub fn wait_for_event(
        &self,
        skip: usize,
        is_meant: impl Fn(&ReceiverEvent) -> bool,
    ) -> (usize, ReceiverEvent) {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.lock().unwrap();
        loop {
            let found = events.iter().enumerate().skip(skip);
            if let Some((index, found)) = { found }.find(|(_, event)| is_meant(event)) {
                return (index, found.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not what was awaited: {events:#?}");
            events = self.events_changed.wait_timeout(events, left).unwrap().0;
        }
    }

    fn push(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.changed.notify_all();
    }

    /// All so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for the first line behind the first `skip` ones that contains `part`; returns its
    /// index and itself.
    pub fn wait_for(&self, skip: usize, part: &str) -> (usize, String) {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            let found = lines.iter().enumerate().skip(skip);
            if let Some((index, line)) = { found }.find(|(_, line)| line.contains(part)) {
                return (index, line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {part:?} in {lines:#?}");
            lines = self.changed.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Reporter for Lines {
    fn report(&self, event: &ReceiverEvent) {
        for line in event.lines() {
            self.push(line.to_string());
        }
        self.events.lock().unwrap().push(event.clone());
        self.events_changed.notify_all();
    }

    fn operator(&self) -> Option<&OperatorControl> {
        self.operator.as_ref()
    }
}

/// The link between the two sides of a network.
#[derive(Debug, Default)]
struct Cable {
    state: Mutex<CableState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct CableState {
    coming: VecDeque<(IpAddr, UnixStream)>,
    is_pulled: bool,
    is_interrupted: bool,
}

impl Cable {
    fn change(&self, change: impl FnOnce(&mut CableState)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }
}

/// The donors' end, for all clones of the plug.
#[derive(Debug)]
struct CableEnd(Arc<Cable>);

impl Drop for CableEnd {
    fn drop(&mut self) {
        self.0.change(|state| state.is_pulled = true);
    }
}

/// A network whose connections a test makes.
#[derive(Debug)]
pub struct PairNetwork {
    cable: Arc<Cable>,
    codes: Arc<Mutex<Vec<String>>>,
    endings: Arc<Mutex<Vec<&'static str>>>,
    connections: u16,
    /// Somebody is invited.
    is_open: bool,
    has_handed_over: bool,
}

/// The donors' side of it. When it is dropped, the network is gone.
#[derive(Clone, Debug)]
pub struct Plug {
    cable: Arc<CableEnd>,
    /// The code of each time that donors were invited.
    pub codes: Arc<Mutex<Vec<String>>>,
    /// How connections ended on the target's side: `fin` or `rst`.
    pub endings: Arc<Mutex<Vec<&'static str>>>,
}

/// Both sides of a new network.
#[must_use]
pub fn network() -> (Plug, PairNetwork) {
    let cable = Arc::<Cable>::default();
    let (codes, endings) = <(Arc<Mutex<Vec<_>>>, Arc<Mutex<Vec<_>>>)>::default();
    let plug = Plug {
        cable: Arc::new(CableEnd(Arc::clone(&cable))),
        codes: Arc::clone(&codes),
        endings: Arc::clone(&endings),
    };
    let network = PairNetwork {
        cable,
        codes,
        endings,
        connections: 0,
        is_open: false,
        has_handed_over: false,
    };
    (plug, network)
}

impl Plug {
    /// Connects; the target takes it when it waits for a donor.
    #[must_use]
    pub fn connect(&self) -> UnixStream {
        self.connect_from(Ipv4Addr::new(10, 9, 0, 1).into())
    }

    /// The same from another address.
    #[must_use]
    pub fn connect_from(&self, address: IpAddr) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        ours.set_write_timeout(Some(PATIENCE)).unwrap();
        self.cable
            .0
            .change(|state| state.coming.push_back((address, theirs)));
        ours
    }
}

impl Network for PairNetwork {
    fn admit(
        &mut self,
        code: &Code,
        _opening_len: usize,
        until: Option<Instant>,
    ) -> io::Result<Option<Box<dyn Donor>>> {
        if !std::mem::replace(&mut self.is_open, true) {
            self.codes.lock().unwrap().push(code.to_string());
        }
        let patience = Instant::now() + PATIENCE;
        // Socket pairs that were handed over are looked at now and then.
        let look = self.has_handed_over.then(|| Instant::now() + LOOK);
        let wake_at = [until, look].into_iter().flatten().min();
        let mut state = self.cable.state.lock().unwrap();
        let (address, stream) = loop {
            if let Some(come) = state.coming.pop_front() {
                break come;
            }
            if std::mem::take(&mut state.is_interrupted) {
                return Err(Interrupted::error());
            }
            if state.is_pulled {
                return Err(io::Error::other("no interface is left"));
            }
            let left = wake_at.unwrap_or(patience);
            let left = left.saturating_duration_since(Instant::now());
            if left.is_zero() {
                assert!(wake_at.is_some(), "a test left its target waiting");
                return Ok(None);
            }
            state = self.cable.changed.wait_timeout(state, left).unwrap().0;
        };
        self.connections += 1;
        self.has_handed_over = true;
        Ok(Some(Box::new(PairDonor {
            stream,
            patience: PATIENCE,
            wakeup: EventFd::new()?,
            peer: (address, self.connections).into(),
            endings: Arc::clone(&self.endings),
        })))
    }

    fn rest(&mut self) {
        (self.is_open, self.has_handed_over) = (false, false);
    }

    fn interrupter(&self) -> Interrupter {
        let cable = Arc::clone(&self.cable);
        Box::new(move || cable.change(|state| state.is_interrupted = true))
    }

    fn addresses(&self) -> Vec<IpAddr> {
        vec![ADDRESS]
    }
}

/// One end of a socket pair.
struct PairDonor {
    stream: UnixStream,
    /// How long a read waits.
    patience: Duration,
    /// Rung when nothing is to be read any more.
    wakeup: EventFd,
    peer: SocketAddr,
    endings: Arc<Mutex<Vec<&'static str>>>,
}

impl Read for PairDonor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut fds = [
            PollFd::new(&self.wakeup, PollFlags::IN),
            PollFd::new(&self.stream, PollFlags::IN),
        ];
        let patience = Timespec::try_from(self.patience).unwrap();
        let count = poll(&mut fds, Some(&patience))?;
        match fds.map(|fd| !fd.revents().is_empty()) {
            [true, _] => Err(io::ErrorKind::ConnectionAborted.into()),
            _ if count == 0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.stream.read(buf),
        }
    }
}

/// The way back over it.
struct PairWriter(UnixStream);

impl Write for PairWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// socket(7) says EAGAIN when a timeout has passed.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Donor for PairDonor {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn hurry(&mut self, wait: Duration) {
        self.patience = wait;
    }

    fn interrupter(&self) -> Interrupter {
        let wakeup = self.wakeup.clone();
        Box::new(move || wakeup.notify())
    }

    fn writer(&self) -> Box<dyn Write + Send> {
        let stream = self.stream.try_clone().unwrap();
        stream.set_write_timeout(Some(PATIENCE / 4)).unwrap();
        Box::new(PairWriter(stream))
    }

    fn succeed(mut self: Box<Self>) -> io::Result<()> {
        self.endings.lock().unwrap().push("fin");
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let _ = io::copy(&mut self.stream, &mut io::sink()); // until the donor closes too
        Ok(())
    }

    fn fail(self: Box<Self>) {
        self.endings.lock().unwrap().push("rst");
        let _ = self.stream.shutdown(Shutdown::Both); // the donor may be gone already
    }
}
