//! The kernel's interfaces: found and watched over rtnetlink, a packet socket for each that has a
//! link, time and sleep from the kernel.

use std::io;
use std::net::Ipv6Addr;
use std::num::NonZero;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use rustix::thread::set_current_timer_slack;
use rustix::time::{ClockId, clock_gettime};
use smoltcp::time::{Duration, Instant};
use sys::eventfd::EventFd;
use sys::netdev::{Link, LinkChange, LinkMonitor};
use sys::packet::{Membership, PacketSocket, Queue};

use crate::config::Config;
use crate::device::PacketDevice;
use crate::interfaces::{InterfaceChange, Interfaces, Wait};
use crate::ndp;

/// The sender pays for waking us, with every frame that finds us asleep. Where the last frames
/// came sooner than this ...
const BRISK: Duration = Duration::from_micros(200);
/// ... we look again after so long, by a timer of our own, and take what has gathered meanwhile.
const NAP: Duration = Duration::from_micros(30);

/// The interfaces of the network namespace it was opened in.
#[derive(Debug)]
pub struct PacketInterfaces {
    /// The last wait ended within [`BRISK`].
    is_brisk: AtomicBool,
    /// Another handle of the monitor's socket.
    link_changes: OwnedFd,
    wakeup: EventFd,
    queue: Queue,
    vlan: Option<u16>,
    mtu: Option<u16>,
    watch: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    links: LinkMonitor,
    /// There may be something to read from `links`.
    is_due: bool,
    known: Vec<Known>,
    /// The IPv6 address that a person chose: neighbours ask for it in a group of its own.
    chosen: Option<Ipv6Addr>,
}

/// An Ethernet interface that was seen.
#[derive(Debug)]
struct Known {
    index: u32,
    was_brought_up: bool,
    /// It was given the MTU that is wanted, or was asked to take it.
    is_sized: bool,
    /// It has a packet socket, or was refused one.
    is_open: bool,
    /// Another handle of that socket.
    socket: Option<Arc<OwnedFd>>,
}

impl PacketInterfaces {
    pub(crate) fn open(config: &Config) -> io::Result<Self> {
        let links = LinkMonitor::open()?;
        let link_changes = links.as_fd().try_clone_to_owned()?;
        let wakeup = EventFd::new()?;
        let watch = Mutex::new(Watch {
            links,
            is_due: true,
            known: Vec::new(),
            chosen: config.addressing.ipv6.map(|chosen| chosen.address),
        });
        Ok(Self {
            is_brisk: AtomicBool::new(false),
            link_changes,
            wakeup,
            queue: config.queue(),
            vlan: config.vlan,
            mtu: config.mtu,
            watch,
        })
    }

    fn with_watch<T>(&self, f: impl FnOnce(&mut Watch) -> T) -> T {
        f(&mut self.watch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The consequence of an interface's change for the stack, if any.
    fn translate(
        &self,
        watch: &mut Watch,
        change: LinkChange,
    ) -> Option<InterfaceChange<PacketDevice>> {
        let link = match change {
            LinkChange::Gone { index } => {
                let was_open = watch
                    .known
                    .extract_if(.., |known| known.index == index)
                    .any(|known| known.is_open);
                return was_open.then_some(InterfaceChange::Gone { index });
            }
            LinkChange::State(link) if link.is_ethernet => link,
            LinkChange::State(_) => return None,
        };
        let Watch {
            links,
            known,
            chosen,
            ..
        } = watch;
        let at = known.iter().position(|known| known.index == link.index);
        let at = at.unwrap_or_else(|| {
            known.push(Known {
                index: link.index,
                was_brought_up: false,
                is_sized: false,
                is_open: false,
                socket: None,
            });
            known.len().saturating_sub(1)
        });
        let known = known.get_mut(at)?;
        if let Some(mtu) = self.mtu.map(u32::from).filter(|_| !known.is_sized) {
            // Before it is switched on: some drivers take it only then. One that is smaller than
            // the interface's need not be its own.
            known.is_sized = true;
            if mtu > link.mtu {
                if let Err(error) = links.set_mtu(link.index, mtu) {
                    log::debug!("network: setting mtu={mtu} error={error}");
                } else if link.has_carrier {
                    // How it is now follows.
                    return None;
                }
            }
        }
        // Once: if somebody switches it off later, there is a reason.
        if !link.is_up && !known.was_brought_up {
            known.was_brought_up = true;
            if let Err(error) = links.bring_up(link.index) {
                return Some(InterfaceChange::Unusable {
                    name: link.name,
                    reason: error.to_string(),
                });
            }
        }
        if known.is_open {
            return Some(InterfaceChange::Link {
                index: link.index,
                is_up: link.has_carrier,
            });
        }
        if !link.has_carrier {
            return None;
        }
        known.is_open = true;
        Some(match self.open_device(&link, *chosen) {
            Ok((device, socket)) => {
                known.socket = Some(Arc::new(socket));
                InterfaceChange::Appeared {
                    index: link.index,
                    name: link.name,
                    mac: link.mac,
                    device,
                }
            }
            Err(error) => InterfaceChange::Unusable {
                name: link.name,
                reason: error.to_string(),
            },
        })
    }

    fn open_device(
        &self,
        link: &Link,
        chosen: Option<Ipv6Addr>,
    ) -> io::Result<(PacketDevice, OwnedFd)> {
        let socket = PacketSocket::open(link.index, self.queue)?;
        for membership in self.memberships(link.mac, chosen) {
            socket.outgoing.join(link.index, membership)?;
        }
        let handle = socket.as_fd().try_clone_to_owned()?;
        let mtu = self
            .mtu
            .map_or(link.mtu, |mtu| link.mtu.min(u32::from(mtu)));
        Ok((PacketDevice::new(socket, mtu, self.vlan), handle))
    }

    /// Frames that a card lets through only on request: those for all IPv6 machines, those
    /// in which our addresses are asked for, all of a VLAN. Addresses that follow from the hardware
    /// address share a group.
    fn memberships(
        &self,
        mac: [u8; 6],
        chosen: Option<Ipv6Addr>,
    ) -> impl Iterator<Item = Membership> {
        let own = ndp::with_interface(Ipv6Addr::UNSPECIFIED, mac);
        let groups = [own].into_iter().chain(chosen).map(ndp::solicited_node);
        let groups = groups.chain([ndp::ALL_NODES]).map(ndp::group_mac);
        let everything = self.vlan.map(|_| Membership::Everything);
        groups.map(Membership::Group).chain(everything)
    }

    /// An interface that is set down leaves ENETDOWN on its socket (packet(7)), which would end
    /// every wait at once until somebody took it. The interface's link says all there is to say
    /// about it.
    fn take_errors(&self) {
        self.with_watch(|watch| {
            for socket in watch.known.iter().filter_map(|known| known.socket.as_ref()) {
                match sockopt::socket_error(socket) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) | Err(error) => log::debug!("network: port error={error}"),
                }
            }
        });
    }
}

/// Sleeps for [`NAP`], to the microsecond: with the usual slack of a thread's timers it would be
/// thrice that (prctl(2), PR_SET_TIMERSLACK).
fn nap() {
    const SLACK_NANOSECONDS: NonZero<u64> = NonZero::<u64>::MIN;
    // It only makes the nap longer when it fails.
    let _ = set_current_timer_slack(Some(SLACK_NANOSECONDS));
    thread::sleep(NAP.into());
}

/// How many have something to tell, at the latest after `at_most`.
fn look(watched: &mut [PollFd<'_>], at_most: Option<Duration>) -> usize {
    let at_most = at_most.map(|wait| {
        let micros = i64::try_from(wait.total_micros()).unwrap_or(i64::MAX);
        Timespec {
            tv_sec: micros / 1_000_000,
            tv_nsec: (micros % 1_000_000).saturating_mul(1000),
        }
    });
    // A signal ends the wait early, which is allowed; no other error is possible with sockets that
    // are open.
    poll(watched, at_most.as_ref()).unwrap_or(0)
}

impl Wait for PacketInterfaces {
    fn now(&self) -> Instant {
        let now = clock_gettime(ClockId::Monotonic);
        Instant::from_micros(
            now.tv_sec
                .saturating_mul(1_000_000)
                .saturating_add(now.tv_nsec / 1000),
        )
    }

    fn wait(&self, until: Option<Instant>) {
        let began = self.now();
        // Not epoll: it takes note of each frame, whether we sleep or not, and the sender pays for
        // that.
        let sockets: Vec<Arc<OwnedFd>> = self.with_watch(|watch| {
            let known = watch.known.iter();
            known.filter_map(|known| known.socket.clone()).collect()
        });
        let mut watched: Vec<PollFd<'_>> = [self.link_changes.as_fd(), self.wakeup.as_fd()]
            .into_iter()
            .chain(sockets.iter().map(|socket| socket.as_fd()))
            .map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN))
            .collect();
        let may_nap = until.is_none_or(|until| until > began + NAP);
        let mut count = 0;
        if may_nap && self.is_brisk.load(Ordering::Relaxed) {
            nap();
            count = look(&mut watched, Some(Duration::ZERO));
        }
        if count == 0 {
            let now = self.now();
            // `Instant - Instant` is never negative.
            count = look(&mut watched, until.map(|until| until - until.min(now)));
        }
        let is_brisk = count > 0 && self.now() < began + BRISK;
        self.is_brisk.store(is_brisk, Ordering::Relaxed);
        let mut events = watched.iter().map(PollFd::revents);
        if events.next().is_some_and(|events| !events.is_empty()) {
            self.with_watch(|watch| watch.is_due = true);
        }
        if events.next().is_some_and(|events| !events.is_empty()) {
            self.wakeup.clear();
        }
        if events.any(|events| events.intersects(PollFlags::ERR | PollFlags::HUP)) {
            self.take_errors();
        }
    }

    fn wake(&self) {
        self.wakeup.notify();
    }
}

impl Interfaces for PacketInterfaces {
    type Device = PacketDevice;

    fn listen_for(&self, own: Ipv6Addr) {
        let group = Membership::Group(ndp::group_mac(ndp::solicited_node(own)));
        self.with_watch(|watch| {
            watch.chosen = Some(own);
            for known in &watch.known {
                let Some(socket) = &known.socket else {
                    continue;
                };
                // Without it a card that filters has no neighbours under this address; those of the
                // link still find it.
                if let Err(error) = sys::packet::join(socket, known.index, group) {
                    log::debug!("network: port={} group error={error}", known.index);
                }
            }
        });
    }

    fn changes(&self) -> Vec<InterfaceChange<PacketDevice>> {
        self.with_watch(|watch| {
            let mut changes = Vec::new();
            while watch.is_due {
                match watch.links.next_change() {
                    Ok(Some(change)) => changes.extend(self.translate(watch, change)),
                    Ok(None) => watch.is_due = false,
                    Err(error) => {
                        log::debug!("network: reading link changes error={error}");
                        watch.is_due = false;
                    }
                }
            }
            changes
        })
    }
}
