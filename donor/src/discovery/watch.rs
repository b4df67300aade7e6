//! Beacons, heard for as long as a deploy runs: several targets are looked for at once, and one
//! whose connection broke may come back under another address.
//!
//! In: datagrams. Out: which addresses a code came from since when. A flood of other beacons takes
//! no room from those that are looked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use sys::eventfd::EventFd;
use wire::beacon::{self, PAYLOAD_MAX};
use wire::code::Code;

use super::{ADDRESSES_MAX, DiscoveryError, Heard, Listener, MACHINES_MAX, SECOND_LOOK};
use crate::interrupt::{Interrupt, LOOK};
use crate::peer_address::PeerAddress;

/// Listens in a thread of its own until it is dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    stop: EventFd,
    thread: Option<JoinHandle<()>>,
    /// Ends every wait.
    interrupt: Interrupt,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When each address was heard last, of the codes that are looked for.
    wanted: BTreeMap<Code, BTreeMap<PeerAddress, Instant>>,
    /// Everything, for messages.
    heard: Heard,
    failed: Option<Errno>,
}

impl Watch {
    /// Looks for `codes`.
    ///
    /// # Errors
    /// No thread or no way to stop it.
    pub fn start(listener: Listener, codes: &[Code]) -> Result<Self, DiscoveryError> {
        let shared = Arc::new(Shared::default());
        shared.lock().wanted = codes.iter().map(|code| (*code, BTreeMap::new())).collect();
        let stop = EventFd::new().map_err(|errno| DiscoveryError::Receive(errno.into()))?;
        let for_thread = Arc::clone(&shared);
        let stop_thread = stop.clone();
        let thread = thread::Builder::new()
            .name("beacons".into())
            .spawn(move || {
                let end = listen(&listener, &for_thread, &stop_thread);
                for_thread.lock().failed = end.err();
                for_thread.changed.notify_all();
            })
            .map_err(DiscoveryError::Receive)?;
        Ok(Self {
            shared,
            stop,
            thread: Some(thread),
            interrupt: Interrupt::default(),
        })
    }

    /// Every wait for a beacon ends as if its time were over when somebody wants this donor to end.
    #[must_use]
    pub fn until(mut self, interrupt: &Interrupt) -> Self {
        self.interrupt = interrupt.clone();
        self
    }

    /// How much is left until then.
    fn left(&self, deadline: Instant) -> Duration {
        if self.interrupt.came().is_some() {
            return Duration::ZERO;
        }
        deadline.saturating_duration_since(Instant::now())
    }

    /// The addresses `code` comes from, IPv4 first: once the first was heard, others have until the
    /// next beacon. What was heard just before counts too.
    ///
    /// # Errors
    /// It is not heard before `timeout`.
    pub fn find(&self, code: &Code, timeout: Duration) -> Result<Vec<PeerAddress>, DiscoveryError> {
        let now = Instant::now();
        let start = now.checked_sub(SECOND_LOOK).unwrap_or(now);
        if self.heard_since(code, start, now + timeout).is_empty() {
            let state = self.shared.lock();
            return Err(match state.failed {
                Some(errno) => DiscoveryError::Receive(errno.into()),
                None => DiscoveryError::NotHeard {
                    code: *code,
                    timeout,
                    heard: state.heard.clone(),
                },
            });
        }
        let second_look = Instant::now() + SECOND_LOOK;
        let mut state = self.shared.lock();
        loop {
            let left = self.left(second_look);
            if left.is_zero() || state.failed.is_some() {
                return Ok(state.since(code, start));
            }
            state = self.shared.wait(state, left);
        }
    }

    /// The one address `code` comes from. A machine with both protocols is heard twice, so IPv6
    /// counts only where IPv4 was not heard.
    ///
    /// # Errors
    /// It is not heard before `timeout`, or from more than one address.
    pub fn find_one(&self, code: &Code, timeout: Duration) -> Result<PeerAddress, DiscoveryError> {
        let mut addresses = self.find(code, timeout)?;
        addresses.truncate(preferred(&addresses));
        match *addresses.as_slice() {
            [address] => Ok(address),
            _ => Err(DiscoveryError::Ambiguous {
                code: *code,
                addresses,
            }),
        }
    }

    /// The addresses `code` was heard from since `since`, the one heard last first; waits until
    /// `deadline` for the first one, and may return none.
    #[must_use]
    pub fn heard_since(&self, code: &Code, since: Instant, deadline: Instant) -> Vec<PeerAddress> {
        let mut state = self.shared.lock();
        loop {
            let addresses = state.last_first(code, since);
            let left = self.left(deadline);
            if !addresses.is_empty() || left.is_zero() || state.failed.is_some() {
                return addresses;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Every code that is heard within `timeout`.
    ///
    /// # Errors
    /// None is, or more are than may be deployed at once.
    pub fn all(&self, timeout: Duration) -> Result<Vec<Code>, DiscoveryError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            let left = self.left(deadline);
            if left.is_zero() || state.failed.is_some() {
                let codes: Vec<Code> = state.heard.codes.iter().copied().collect();
                return if codes.is_empty() {
                    let heard = state.heard.clone();
                    Err(DiscoveryError::NobodyHeard { timeout, heard })
                } else if codes.len() > MACHINES_MAX {
                    Err(DiscoveryError::TooMany { timeout })
                } else {
                    state.wanted = codes.iter().map(|code| (*code, BTreeMap::new())).collect();
                    Ok(codes)
                };
            }
            state = self.shared.wait(state, left);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.notify();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has reported its failure itself
        }
    }
}

impl Shared {
    /// Every change is one call, so a thread that panicked left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        self.changed
            .wait_timeout(state, left.min(LOOK))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

impl State {
    fn note(&mut self, payload: &[u8], from: PeerAddress) {
        self.heard.note(payload, from);
        if let Ok(code) = beacon::parse(payload)
            && let Some(addresses) = self.wanted.get_mut(&code)
        {
            addresses.insert(from, Instant::now());
            // A short flood of the port drives out no sender that is heard once a second.
            if addresses.len() > ADDRESSES_MAX
                && let Some((&oldest, _)) = addresses.iter().min_by_key(|(_, at)| **at)
            {
                addresses.remove(&oldest);
            }
        }
    }

    /// In the order of addresses.
    fn since(&self, code: &Code, since: Instant) -> Vec<PeerAddress> {
        let heard = self.heard(code, since);
        heard.map(|(address, _)| address).collect()
    }

    fn last_first(&self, code: &Code, since: Instant) -> Vec<PeerAddress> {
        let mut heard: Vec<_> = self.heard(code, since).collect();
        heard.sort_by_key(|(_, at)| Reverse(*at));
        heard.into_iter().map(|(address, _)| address).collect()
    }

    fn heard(&self, code: &Code, since: Instant) -> impl Iterator<Item = (PeerAddress, Instant)> {
        let addresses = self.wanted.get(code).into_iter().flatten();
        addresses
            .map(|(address, at)| (*address, *at))
            .filter(move |(_, at)| *at >= since)
    }
}

/// How many of the addresses of a code are looked at first: those of IPv4, or all when there are
/// none.
#[must_use]
pub fn preferred(addresses: &[PeerAddress]) -> usize {
    match addresses.iter().filter(|from| from.ip.is_ipv4()).count() {
        0 => addresses.len(),
        ipv4 => ipv4,
    }
}

fn listen(listener: &Listener, shared: &Shared, stop: &EventFd) -> Result<(), Errno> {
    loop {
        let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
        let sockets = listener.sockets.iter();
        fds.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let Some((false, ready)) = ready.split_first() else {
            return Ok(());
        };
        for (socket, _) in listener
            .sockets
            .iter()
            .zip(ready)
            .filter(|(_, ready)| **ready)
        {
            take(socket, shared)?;
        }
    }
}

/// One datagram that is there.
fn take(socket: &UdpSocket, shared: &Shared) -> Result<(), Errno> {
    let mut buffer = [0; PAYLOAD_MAX + 1];
    match socket.recv_from(&mut buffer) {
        Ok((len, from)) => {
            let payload = buffer.get(..len).unwrap_or_default();
            shared.lock().note(payload, from.into());
            shared.changed.notify_all();
            Ok(())
        }
        Err(error) if is_temporary(error.kind()) => Ok(()),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

const fn is_temporary(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES_MAX, State, Watch};
    use crate::discovery::{DiscoveryError, Listener};
    use crate::peer_address::PeerAddress;
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::{Duration, Instant};
    use wire::code::Code;

    const SOON: Duration = Duration::from_secs(20);

    fn code(text: &str) -> Code {
        Code::parse(text).unwrap()
    }

    fn watch(codes: &[&str]) -> (Watch, u16) {
        let listener = Listener::open(0, None).unwrap();
        let port = listener.port().unwrap();
        let codes: Vec<_> = codes.iter().map(|text| code(text)).collect();
        (Watch::start(listener, &codes).unwrap(), port)
    }

    fn send(port: u16, host: u8, text: &str) {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
        let payload = format!("SMECHVISOR_SHIM:{text}");
        socket
            .send_to(payload.as_bytes(), (Ipv4Addr::LOCALHOST, port))
            .unwrap();
    }

    fn address(host: u8) -> PeerAddress {
        Ipv4Addr::new(127, 0, 0, host).into()
    }

    #[test]
    fn several_codes_and_several_addresses_are_found_at_once() {
        let (watch, port) = watch(&["aaaaaaa", "bbbbbbb"]);
        std::thread::scope(|scope| {
            let a = scope.spawn(|| watch.find(&code("aaaaaaa"), SOON).unwrap());
            let b = scope.spawn(|| watch.find(&code("bbbbbbb"), SOON).unwrap());
            // Both look from their own start on, so the beacons are repeated, as beacons are.
            while !(a.is_finished() && b.is_finished()) {
                send(port, 2, "aaaaaaa");
                send(port, 4, "aaaaaaa");
                send(port, 3, "bbbbbbb");
                std::thread::sleep(Duration::from_millis(50));
            }
            assert_eq!(a.join().unwrap(), [address(2), address(4)]);
            assert_eq!(b.join().unwrap(), [address(3)]);
        });
    }

    #[test]
    fn an_address_from_before_is_not_heard_since() {
        let (watch, port) = watch(&["aaaaaaa"]);
        let start = Instant::now();
        send(port, 2, "aaaaaaa");
        let heard = watch.heard_since(&code("aaaaaaa"), start, start + SOON);
        assert_eq!(heard, [address(2)]);
        let now = Instant::now();
        assert!(watch.heard_since(&code("aaaaaaa"), now, now).is_empty());
    }

    #[test]
    fn a_flood_of_others_takes_no_room() {
        let (watch, port) = watch(&["aaaaaaa"]);
        let start = Instant::now();
        for host in 0..200 {
            send(port, 2, &format!("z{:06}", u32::from(host as u8)));
        }
        send(port, 9, "aaaaaaa");
        let heard = watch.heard_since(&code("aaaaaaa"), start, start + SOON);
        assert_eq!(heard, [address(9)]);
    }

    #[test]
    fn a_flood_under_the_same_code_drives_nobody_out_who_goes_on() {
        let mut state = State::default();
        state.wanted.insert(code("aaaaaaa"), BTreeMap::new());
        let start = Instant::now();
        for host in 0..1000u32 {
            state.note(b"SMECHVISOR_SHIM:aaaaaaa", Ipv4Addr::from(host).into());
            state.note(b"SMECHVISOR_SHIM:aaaaaaa", address(9));
        }
        let heard = state.last_first(&code("aaaaaaa"), start);
        assert_eq!(heard.len(), ADDRESSES_MAX);
        assert_eq!(heard.first(), Some(&address(9)));
    }

    #[test]
    fn all_codes_are_found_or_the_error_is_empty() {
        let (watch, port) = watch(&[]);
        send(port, 2, "aaaaaaa");
        send(port, 3, "bbbbbbb");
        send(port, 2, "aaaaaaa");
        let all = watch.all(Duration::from_millis(300)).unwrap();
        assert_eq!(all, [code("aaaaaaa"), code("bbbbbbb")]);
        let (silent, _) = self::watch(&[]);
        let error = silent.all(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, DiscoveryError::NobodyHeard { .. }));
        let error = silent
            .find(&code("aaaaaaa"), Duration::from_millis(50))
            .unwrap_err();
        assert!(matches!(error, DiscoveryError::NotHeard { .. }));
    }
}
