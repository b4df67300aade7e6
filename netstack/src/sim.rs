//! A simulated Ethernet segment for host tests: frames are lost, delayed, reordered and doubled by
//! a seeded random number, and time passes only while a stack waits. Same seed, same run.
//!
//! In: a [`Link`] and peers. Out: [`SimInterfaces`], over which a [`crate::Stack`] runs the very
//! code that runs over packet sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration as StdDuration;

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::{Duration, Instant};
use sys::packet_queue::{Checksum, Frame};

use crate::interfaces::{InterfaceChange, Interfaces, Wait};

mod dhcp;
mod peer;
pub use crate::ndp::reseal;
pub use dhcp::DhcpServer;
pub use peer::{Crowd, CrowdLog, Donor, DonorLog, Ended, Family, Host, Peer, Prober};

/// The impairments of a segment. Chances are in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Frames that vanish.
    pub lost: u64,
    /// Frames that arrive twice.
    pub doubled: u64,
    /// Frames that are overtaken: they take up to five milliseconds longer.
    pub overtaken: u64,
    /// How long each frame takes.
    pub delay: Duration,
    /// Decides which.
    pub seed: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            lost: 0,
            doubled: 0,
            overtaken: 0,
            delay: Duration::from_micros(200),
            seed: 1,
        }
    }
}

/// A sleeper that nobody wakes sleeps on to the end, after this much real time.
const OVERSLEPT: StdDuration = StdDuration::from_secs(2);
const OVERTAKEN_MAX_MICROS: u64 = 5000;
/// A test that waits longer than this, in its own time, waits for something that does not come.
const HORIZON: Duration = Duration::from_secs(7 * 24 * 3600);
/// What an interface of the stack is called, and where it is.
const INTERFACE: (u32, &str, [u8; 6]) = (2, "eth0", [2, 0, 0, 0, 0, 0x10]);
const MAX_FRAME_BYTES: usize = 1514;

/// Would a packet socket's interface let this frame in? Nobody vouches for its checksum; `tag` is
/// the 802.1Q tag that the kernel took off it, `vlan` the network that the stack is in. The segment
/// itself has no tags and lets everything through.
#[must_use]
pub fn is_let_in(frame: &[u8], tag: Option<u16>, vlan: Option<u16>) -> bool {
    let frame = Frame {
        bytes: frame,
        checksum: Checksum::Unknown,
        vlan_tci: tag,
        truncated: false,
    };
    crate::device::is_acceptable(&frame, vlan)
}

/// Frames on their way, by the time of their arrival; the number keeps the order of equals.
type InFlight = BTreeMap<(Instant, u64), Vec<u8>>;

struct World {
    now: Instant,
    link: Link,
    random: u64,
    sent: u64,
    to_stack: InFlight,
    to_peers: InFlight,
    peers: Vec<(Box<dyn Peer>, Option<Instant>)>,
    changes: Vec<InterfaceChange<SimDevice>>,
    nap: Nap,
}

/// Whether a thread sleeps in real time, so that another one can find it asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nap {
    /// Waiting lets the time of the segment pass.
    None,
    /// The next one who waits sleeps for real.
    Next,
    /// Somebody does.
    Asleep,
    /// That one was woken.
    Woken,
}

struct Segment {
    world: Mutex<World>,
    napped: Condvar,
}

/// The stack's end of the segment.
#[derive(Clone)]
pub struct SimInterfaces(Arc<Segment>);

impl SimInterfaces {
    /// A segment with one interface of the stack and these peers.
    #[must_use]
    pub fn new(link: Link, peers: Vec<Box<dyn Peer>>) -> Self {
        let peers = peers
            .into_iter()
            .map(|peer| (peer, Some(Instant::ZERO)))
            .collect();
        let world = World {
            now: Instant::ZERO,
            link,
            random: link.seed,
            sent: 0,
            to_stack: InFlight::new(),
            to_peers: InFlight::new(),
            peers,
            changes: Vec::new(),
            nap: Nap::None,
        };
        let interfaces = Self(Arc::new(Segment {
            world: Mutex::new(world),
            napped: Condvar::new(),
        }));
        let (index, name, mac) = INTERFACE;
        let device = SimDevice(interfaces.clone());
        interfaces.world().changes.push(InterfaceChange::Appeared {
            index,
            name: name.to_owned(),
            mac,
            device,
        });
        interfaces
    }

    /// Pulls the cable, or plugs it in.
    pub fn set_link(&self, is_up: bool) {
        self.world().changes.push(InterfaceChange::Link {
            index: INTERFACE.0,
            is_up,
        });
    }

    /// From now on no frame arrives anywhere, and no interface reports a change.
    pub fn go_silent(&self) {
        self.world().link.lost = 1000;
    }

    /// Takes the interface out of the machine.
    pub fn remove(&self) {
        self.world()
            .changes
            .push(InterfaceChange::Gone { index: INTERFACE.0 });
    }

    /// The next wait is one in real time, and time on the segment stands still meanwhile, until
    /// somebody wakes the sleeper. When nobody does, it sleeps on to its own deadline, as a real
    /// one would on a quiet network.
    pub fn sleep_at_next_wait(&self) {
        self.world().nap = Nap::Next;
    }

    /// That sleep has not begun.
    #[must_use]
    pub fn is_sleep_due(&self) -> bool {
        self.world().nap == Nap::Next
    }

    /// Returns when the sleep has begun.
    pub fn await_sleeper(&self) {
        let world = self.world();
        let awaited = self
            .0
            .napped
            .wait_while(world, |world| world.nap == Nap::Next);
        drop(awaited.unwrap_or_else(PoisonError::into_inner));
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when it was ended by `wake`.
    fn sleep(&self, mut world: MutexGuard<'_, World>) -> bool {
        world.nap = Nap::Asleep;
        self.0.napped.notify_all();
        let slept = self
            .0
            .napped
            .wait_timeout_while(world, OVERSLEPT, |world| world.nap == Nap::Asleep);
        let (mut world, _) = slept.unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut world.nap, Nap::None) == Nap::Woken
    }
}

impl Wait for SimInterfaces {
    fn now(&self) -> Instant {
        self.world().now
    }

    fn wait(&self, until: Option<Instant>) {
        let mut world = self.world();
        if world.nap == Nap::Next {
            if self.sleep(world) {
                return;
            }
            world = self.world();
        }
        world.run(until);
    }

    fn wake(&self) {
        let mut world = self.world();
        if world.nap == Nap::Asleep {
            world.nap = Nap::Woken;
            self.0.napped.notify_all();
        }
    }
}

impl Interfaces for SimInterfaces {
    type Device = SimDevice;

    /// Nothing is filtered here.
    fn listen_for(&self, _: std::net::Ipv6Addr) {}

    fn changes(&self) -> Vec<InterfaceChange<SimDevice>> {
        std::mem::take(&mut self.world().changes)
    }
}

impl World {
    /// Lets time pass until a frame reaches the stack, or until `until`.
    fn run(&mut self, until: Option<Instant>) {
        loop {
            self.run_peers();
            let next = [self.to_stack.keys().next(), self.to_peers.keys().next()];
            let next = next.into_iter().flatten().map(|(at, _)| *at);
            let deadlines = self.peers.iter().filter_map(|(_, at)| *at);
            let at = next.chain(deadlines).chain(until).min();
            let at = at.unwrap_or(Instant::ZERO + HORIZON);
            assert!(
                at < Instant::ZERO + HORIZON,
                "nothing will ever happen again"
            );
            self.now = self.now.max(at);
            let has_arrived = self
                .to_stack
                .keys()
                .next()
                .is_some_and(|(at, _)| *at <= self.now);
            if has_arrived || until.is_some_and(|until| until <= self.now) {
                return;
            }
        }
    }

    fn run_peers(&mut self) {
        let mut arrived = Vec::new();
        while let Some(frame) = take_due(&mut self.to_peers, self.now) {
            arrived.push(frame);
        }
        let mut out = Vec::new();
        for (peer, at) in &mut self.peers {
            if arrived.is_empty() && at.is_none_or(|at| at > self.now) {
                continue;
            }
            let now = self.now;
            // Never at once again: a peer that wants that gets the next microsecond.
            *at = peer
                .run(now, &arrived, &mut out)
                .map(|at| at.max(now + Duration::from_micros(1)));
        }
        for frame in out {
            self.carry(frame, true);
        }
    }

    fn carry(&mut self, frame: Vec<u8>, to_stack: bool) {
        let copies = if self.chance(self.link.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            if self.chance(self.link.lost) {
                continue;
            }
            let mut at = self.now + self.link.delay;
            if self.chance(self.link.overtaken) {
                at += Duration::from_micros(self.next_random() % OVERTAKEN_MAX_MICROS);
            }
            self.sent = self.sent.wrapping_add(1);
            let way = if to_stack {
                &mut self.to_stack
            } else {
                &mut self.to_peers
            };
            way.insert((at, self.sent), frame.clone());
        }
    }

    fn chance(&mut self, thousandths: u64) -> bool {
        thousandths > 0 && self.next_random() % 1000 < thousandths
    }

    /// xorshift64*: the numbers of a run are those of its seed.
    fn next_random(&mut self) -> u64 {
        let mut x = self.random.max(1);
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }
}

fn take_due(way: &mut InFlight, now: Instant) -> Option<Vec<u8>> {
    let first = way.first_entry()?;
    (first.key().0 <= now).then(|| first.remove())
}

/// An interface of the stack.
pub struct SimDevice(SimInterfaces);

/// A frame that arrived.
pub struct SimRx(Vec<u8>);

/// The right to send a frame.
pub struct SimTx<'a>(&'a SimInterfaces);

impl Device for SimDevice {
    type RxToken<'a> = SimRx;
    type TxToken<'a> = SimTx<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(SimRx, SimTx<'_>)> {
        let mut world = self.0.world();
        let now = world.now;
        let frame = take_due(&mut world.to_stack, now)?;
        drop(world);
        Some((SimRx(frame), SimTx(&self.0)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<SimTx<'_>> {
        Some(SimTx(&self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

impl phy::RxToken for SimRx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for SimTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.world().carry(frame, false);
        result
    }
}

fn capabilities() -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ethernet;
    capabilities.max_transmission_unit = MAX_FRAME_BYTES;
    capabilities
}

/// A peer's own queues, as its `Device`.
#[derive(Default)]
struct Queues {
    arrived: VecDeque<Vec<u8>>,
    out: Vec<Vec<u8>>,
}

/// The right of a peer to send a frame.
struct QueueTx<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Queues {
    type RxToken<'a> = SimRx;
    type TxToken<'a> = QueueTx<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(SimRx, QueueTx<'_>)> {
        Some((SimRx(self.arrived.pop_front()?), QueueTx(&mut self.out)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<QueueTx<'_>> {
        Some(QueueTx(&mut self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

impl phy::TxToken for QueueTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

#[cfg(test)]
mod tests;
