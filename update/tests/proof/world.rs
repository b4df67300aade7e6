//! A node in memory. Every sector that changes and every flush is recorded, so that the state after
//! a power cut at any of them can be rebuilt.

use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use disk::boot_record::{RecordPlaces, make};
use disk::disk::{Disk, DiskError, Medium, SectorSize};
use disk::esp;
use disk::fakes::memory_disk::MemoryDisk;
use disk::layout::{Role, plan};
use disk::sizes::{Sizes, Swap};
use disk::slots::{Image, SlotArea};
use machine::health::{Clock, Failure, Gate, Gates, Healthy, Times, judge};
use std::time::Duration;
use update::ledger_file::LedgerFile;
use update::node::Node;
use update::witness::{Seen, Witness};
use uuid::Uuid;
use wire::ledger::Ledger;
use wire::manifest::Manifest;
use wire::record::{BootRecord, Copies, Left, Slot};
use wire::running::Running;

use crate::images::Release;

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Esp,
    Slot(Slot),
}

/// One operation, as the medium sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sectors that change, with their new contents.
    Write(Place, Vec<(u64, Vec<u8>)>),
    Flush(Place),
    /// Atomic and durable.
    Ledger(Vec<u8>),
}

/// Everything that survives a power cut.
#[derive(Clone)]
pub struct State {
    pub esp: MemoryDisk,
    pub a: MemoryDisk,
    pub b: MemoryDisk,
    pub ledger: Option<Vec<u8>>,
}

/// The ESP, formatted once, and where the copies of the record are.
static ESP: LazyLock<(MemoryDisk, RecordPlaces)> = LazyLock::new(|| {
    let sizes = Sizes {
        esp_bytes: Some(128 << 20),
        swap: Swap::None,
        ..Sizes::USUAL
    };
    let mut fresh_id = || Uuid::from_u128(7);
    let layout = plan(2 << 30, SectorSize::B512, sizes, &mut fresh_id).unwrap();
    let mut disk = MemoryDisk::new(2 << 30, SectorSize::B512);
    esp::format(&mut disk, &layout).unwrap();
    let record = BootRecord::new(Slot::A);
    esp::with(&mut disk, &layout, |esp| make(esp, &record)).unwrap();
    let esp = layout.partition(Role::Esp).unwrap();
    let (start, len) = (layout.offset_bytes(esp), layout.len_bytes(esp));
    let places = RecordPlaces::locate(&mut disk, start, len).unwrap();
    (disk, places)
});

pub fn record_places() -> RecordPlaces {
    ESP.1
}

impl State {
    /// Slots of this size, empty; the record of a fresh deploy.
    pub fn new(slot_bytes: u64) -> Self {
        let slot = MemoryDisk::new(slot_bytes, SectorSize::B512);
        Self {
            esp: ESP.0.clone(),
            a: slot.clone(),
            b: slot,
            ledger: None,
        }
    }

    pub fn slot(&self, slot: Slot) -> &MemoryDisk {
        match slot {
            Slot::A => &self.a,
            Slot::B => &self.b,
        }
    }

    pub fn disk(&mut self, place: Place) -> &mut MemoryDisk {
        match place {
            Place::Esp => &mut self.esp,
            Place::Slot(Slot::A) => &mut self.a,
            Place::Slot(Slot::B) => &mut self.b,
        }
    }

    /// Fills a slot as a deploy does.
    pub fn with(mut self, slot: Slot, release: &Release) -> Self {
        let disk = self.disk(Place::Slot(slot));
        let area = SlotArea::whole(disk);
        let approved = release.approved();
        let manifest = Manifest::parse(&release.manifest).unwrap();
        let file = manifest.files().next().unwrap();
        let wire::manifest::Content::Hashed {
            sha256, size_bytes, ..
        } = file.content
        else {
            panic!("{file:?}")
        };
        let image = Image {
            digest: *approved.digest(),
            counter: approved.counter(),
            image_bytes: size_bytes,
            sha256,
            chunk_bytes: file.chunk_size,
        };
        let mut writing = area.begin(disk, &image).unwrap();
        for chunk in release.data.chunks(file.chunk_size as usize) {
            writing.chunk(chunk).unwrap();
        }
        let read_back = writing.read_back(&mut |_| ()).unwrap();
        let complete = read_back.complete(&release.manifest, &release.signature);
        complete.unwrap();
        self
    }

    pub fn with_record(mut self, record: &BootRecord) -> Self {
        record_places().write(&mut self.esp, record).unwrap();
        self
    }

    pub fn with_ledger(mut self, ledger: &Ledger) -> Self {
        self.ledger = Some(ledger.to_string().into_bytes());
        self
    }

    pub fn copies(&self) -> Copies {
        record_places().read(&mut self.esp.clone()).unwrap()
    }

    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(place, sectors) => {
                let disk = self.disk(*place);
                sectors.iter().for_each(|(at, bytes)| disk.put(*at, bytes));
            }
            Op::Flush(_) => {}
            Op::Ledger(bytes) => self.ledger = Some(bytes.clone()),
        }
    }
}

/// A running node.
pub struct World {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    state: State,
    log: Vec<Op>,
    /// A byte of slot B that the medium has changed behind the cache's back.
    rot: Option<u64>,
    /// Bytes of the slots that the cache answers for all the same.
    cached: Range<u64>,
    has_forgotten: bool,
    /// Is there a second way to the slots?
    has_medium: bool,
    /// Bytes of slots that were read on it.
    read_bytes: u64,
    /// What was read back, and the writes to slot B until then. A reboot has a new `World`.
    seen: Option<(Seen, u32)>,
    writes: u32,
    remembers_for_ever: bool,
    ledger_is_full: bool,
    esp_is_read_only: bool,
    /// So many more writes and flushes, then the disk is gone.
    left: u32,
}

#[derive(Clone)]
struct Handle {
    shared: Arc<Mutex<Shared>>,
    place: Place,
}

struct LedgerHandle(Arc<Mutex<Shared>>);

impl std::fmt::Debug for LedgerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerHandle")
    }
}

impl World {
    pub fn new(state: State) -> Self {
        let shared = Shared {
            state,
            log: Vec::new(),
            rot: None,
            cached: 0..0,
            has_forgotten: false,
            has_medium: true,
            read_bytes: 0,
            seen: None,
            writes: 0,
            remembers_for_ever: false,
            ledger_is_full: false,
            esp_is_read_only: false,
            left: u32::MAX,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// The medium of slot B has another byte there than what was written, as soon as no cache
    /// answers for it. A seam that asks the cache there never shows it.
    pub fn rots(&self, at: u64, cached: Range<u64>) {
        let mut shared = self.shared();
        (shared.rot, shared.cached) = (Some(at), cached);
    }

    /// The slots are read back by the way on which they are written, when that has come to its end.
    pub fn take_medium(&self) {
        self.shared().has_medium = false;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Bytes of slots that were read past the cache.
    pub fn read_bytes(&self) -> u64 {
        self.shared().read_bytes
    }

    /// Another program changes a byte of slot B.
    pub fn scribble(&self, at: u64) {
        let mut shared = self.shared();
        let byte = shared.state.b.get(at, 1)[0] ^ 1;
        shared.state.b.put(at, &[byte]);
        shared.writes += 1;
    }

    /// The witness can not be made to forget.
    pub fn remember_for_ever(&self) {
        self.shared().remembers_for_ever = true;
    }

    /// Is anything known to be read back?
    pub fn has_seen(&self) -> bool {
        self.shared().seen.is_some()
    }

    pub fn fill_state(&self) {
        self.shared().ledger_is_full = true;
    }

    /// After so many writes and flushes the disk answers nothing any more.
    pub fn pull_after(&self, operations: u32) {
        self.shared().left = operations;
    }

    pub fn protect_esp(&self) {
        self.shared().esp_is_read_only = true;
    }

    pub fn state(&self) -> State {
        let shared = self.shared();
        let mut state = shared.state.clone();
        if let Some(at) = shared.rot {
            let byte = state.b.get(at, 1)[0] ^ 1;
            state.b.put(at, &[byte]);
        }
        state
    }

    pub fn log(&self) -> Vec<Op> {
        self.shared().log.clone()
    }

    /// Lends the node to some work.
    pub fn node<T>(&self, work: impl FnOnce(&mut Node<'_>) -> T) -> T {
        let handle = |place| Handle {
            shared: Arc::clone(&self.shared),
            place,
        };
        let mut esp = handle(Place::Esp);
        let mut slot_a = handle(Place::Slot(Slot::A));
        let mut slot_b = handle(Place::Slot(Slot::B));
        let mut ledger = LedgerHandle(Arc::clone(&self.shared));
        let mut witness = WitnessHandle(Arc::clone(&self.shared));
        work(&mut Node {
            records: record_places(),
            esp: &mut esp,
            slot_a: &mut slot_a,
            slot_b: &mut slot_b,
            ledger: &mut ledger,
            witness: &mut witness,
        })
    }
}

impl Handle {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    fn error(&self, action: &'static str, offset: u64, kind: io::ErrorKind) -> DiskError {
        DiskError {
            action,
            disk: self.name().to_owned(),
            offset,
            len: 0,
            source: kind.into(),
        }
    }
}

impl Shared {
    fn is_gone(&mut self) -> bool {
        let is_gone = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_gone
    }

    /// What the medium has there.
    fn rot(&self, place: Place, offset: u64, buf: &mut [u8]) {
        let rot = self.rot.filter(|at| !self.cached.contains(at));
        let rot = rot.filter(|_| place == Place::Slot(Slot::B));
        let within = rot.and_then(|at| usize::try_from(at.checked_sub(offset)?).ok());
        if let Some(byte) = within.and_then(|within| buf.get_mut(within)) {
            *byte ^= 1;
        }
    }
}

impl Disk for Handle {
    fn name(&self) -> &str {
        match self.place {
            Place::Esp => "esp",
            Place::Slot(Slot::A) => "slot-a",
            Place::Slot(Slot::B) => "slot-b",
        }
    }

    fn size_bytes(&self) -> u64 {
        self.shared().state.disk(self.place).size_bytes()
    }

    fn sector_size(&self) -> SectorSize {
        SectorSize::B512
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let mut shared = self.shared();
        if shared.left == 0 {
            return Err(self.error("reading", offset, io::ErrorKind::NotConnected));
        }
        shared.state.disk(self.place).read_at(offset, buf)?;
        if shared.has_forgotten {
            shared.rot(self.place, offset, buf);
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        let mut shared = self.shared();
        if shared.is_gone() {
            return Err(self.error("writing", offset, io::ErrorKind::NotConnected));
        }
        if shared.esp_is_read_only && self.place == Place::Esp {
            return Err(self.error("writing", offset, io::ErrorKind::PermissionDenied));
        }
        let disk = shared.state.disk(self.place);
        let before = disk.get(offset, buf.len());
        disk.write_at(offset, buf)?;
        let sectors = (offset..).step_by(512).zip(buf.chunks(512));
        let sectors = sectors.zip(before.chunks(512));
        let sectors: Vec<_> = sectors
            .filter(|((_, new), old)| new != old || self.place == Place::Esp)
            .map(|((at, new), _)| (at, new.to_vec()))
            .collect();
        let place = self.place;
        shared.writes += u32::from(place == Place::Slot(Slot::B));
        shared.log.push(Op::Write(place, sectors));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let mut shared = self.shared();
        if shared.is_gone() {
            return Err(self.error("flushing", 0, io::ErrorKind::NotConnected));
        }
        shared.log.push(Op::Flush(self.place));
        Ok(())
    }

    fn forget_cache(&mut self) -> Result<(), DiskError> {
        let mut shared = self.shared();
        shared.has_forgotten |= self.place == Place::Slot(Slot::B);
        Ok(())
    }

    fn medium(&self) -> Result<Option<Box<dyn Medium + Send>>, DiskError> {
        let has_medium = self.shared().has_medium && self.place != Place::Esp;
        let medium = has_medium.then(|| MediumHandle(self.clone(), Vec::new()));
        Ok(medium.map(|medium| Box::new(medium) as Box<dyn Medium + Send>))
    }
}

/// Reads a slot past the cache. What it reads is in no log: the order of writes and flushes does
/// not depend on how far it has come.
struct MediumHandle(Handle, Vec<u8>);

impl Medium for MediumHandle {
    fn read(&mut self, offset: u64, len: usize) -> Result<&[u8], DiskError> {
        let Self(handle, buffer) = self;
        buffer.resize(len, 0);
        let mut shared = handle.shared.lock().unwrap();
        if shared.left == 0 {
            return Err(handle.error("reading back", offset, io::ErrorKind::NotConnected));
        }
        shared.state.disk(handle.place).read_at(offset, buffer)?;
        shared.rot(handle.place, offset, buffer);
        shared.read_bytes += len as u64;
        Ok(buffer)
    }
}

struct WitnessHandle(Arc<Mutex<Shared>>);

impl std::fmt::Debug for WitnessHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WitnessHandle")
    }
}

impl Witness for WitnessHandle {
    fn note(&mut self, seen: &Seen) -> io::Result<()> {
        let mut shared = self.0.lock().unwrap();
        shared.seen = Some((*seen, shared.writes));
        Ok(())
    }

    fn knows(&mut self, seen: &Seen) -> bool {
        let shared = self.0.lock().unwrap();
        let is_blind = shared.remembers_for_ever;
        let known = shared.seen;
        known.is_some_and(|(known, at)| known == *seen && (is_blind || at == shared.writes))
    }

    fn forget(&mut self) -> io::Result<()> {
        let mut shared = self.0.lock().unwrap();
        if shared.remembers_for_ever {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        shared.seen = None;
        Ok(())
    }
}

impl LedgerFile for LedgerHandle {
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().state.ledger.clone())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut shared = self.0.lock().unwrap();
        if shared.is_gone() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if shared.ledger_is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let op = Op::Ledger(bytes.to_vec());
        shared.state.apply(&op);
        shared.log.push(op);
        Ok(())
    }
}

/// What slot-init writes when this slot has this release.
pub fn running(slot: Slot, release: &Release, trial: Option<Left>) -> Running<'static> {
    Running {
        slot,
        product: wire::manifest::PRODUCT,
        version: "1.0",
        counter: release.version.counter,
        digest: Some(release.version.digest),
        hash: [7; 32],
        trial,
        fell: false,
        disk: "/dev/vda",
        watchdog: None,
    }
}

/// Gates that are passed at once, and a clock that does not wait.
struct Well(Duration);

impl Gates for Well {
    fn look(&mut self, _gate: Gate) -> Result<(), Failure> {
        Ok(())
    }
}

impl Clock for Well {
    fn now(&self) -> Duration {
        self.0
    }

    fn sleep(&mut self, time: Duration) {
        self.0 += time;
    }
}

pub fn healthy() -> Healthy {
    let times = Times {
        within: Duration::from_secs(1),
        stable: Duration::from_secs(1),
    };
    let (mut gates, mut clock) = (Well(Duration::ZERO), Well(Duration::ZERO));
    judge(&mut gates, times, &mut clock, &mut |_| ()).unwrap()
}

/// Puts both copies of the record where they belong, valid or not.
pub fn put_copies(state: &mut State, copies: &Copies) {
    for (place, copy) in [
        (wire::record::Place::E1, &copies.e1),
        (wire::record::Place::E2, &copies.e2),
    ] {
        state.esp.put(copy_offset(place), copy);
    }
}

/// Found by writing a record and looking where it went.
pub fn copy_offset(place: wire::record::Place) -> u64 {
    static OFFSETS: LazyLock<[u64; 2]> = LazyLock::new(|| {
        let world = World::new(State::new(65_536 * 2));
        let mut handle = Handle {
            shared: Arc::clone(&world.shared),
            place: Place::Esp,
        };
        record_places()
            .write(&mut handle, &BootRecord::new(Slot::B))
            .unwrap();
        let writes: Vec<u64> = world
            .log()
            .into_iter()
            .filter_map(|op| match op {
                Op::Write(_, sectors) => Some(sectors[0].0),
                _ => None,
            })
            .collect();
        // The second copy first.
        [writes[1], writes[0]]
    });
    match place {
        wire::record::Place::E1 => OFFSETS[0],
        wire::record::Place::E2 => OFFSETS[1],
    }
}
