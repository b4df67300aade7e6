//! The receiver's network over the kernel's own sockets, for `receive-deploy` on a running Linux.
//!
//! In: a code. Out: beacons on every network this machine is on, and those that connect, each as an
//! ordered byte stream.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use receiver::donor::{Donor, Interrupter, Network, WRITE_PATIENCE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};
use sys::eventfd::EventFd;
use sys::poll::wait_for;
use sys::{local_links, routes};
use wire::beacon;
use wire::code::Code;
use wire::stream::STALL_SECONDS;

use self::openings::{Event, Openings, reset};
use donor::socket;

/// A donor that sends nothing for this long is dropped.
const STALL: Duration = Duration::from_secs(STALL_SECONDS);
/// How long a donor may take to close its side once we have closed ours.
const GOODBYE: Duration = Duration::from_secs(5);

/// Connections that the kernel holds for us between two looks.
const BACKLOG: i32 = 128;

/// Sockets of this machine.
#[derive(Debug)]
pub struct KernelNetwork {
    beacon: UdpSocket,
    /// Where the kernel knows IPv6.
    beacon6: Option<UdpSocket>,
    beacon_port: u16,
    stream_port: u16,
    /// Instead of asking the routing table.
    broadcasts: Option<Vec<Ipv4Addr>>,
    /// Notified when nobody is waited for any more.
    interrupt: EventFd,
    /// One beacon in its time, however often donors are waited for.
    next_beacon: Instant,
    /// While somebody is invited.
    openings: Option<Openings>,
}

impl KernelNetwork {
    /// Uses every network this machine is on.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open(beacon_port: u16, stream_port: u16) -> io::Result<Self> {
        let beacon = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        beacon.set_broadcast(true)?;
        let beacon6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok();
        Ok(Self {
            beacon,
            beacon6,
            beacon_port,
            stream_port,
            broadcasts: None,
            interrupt: EventFd::new()?,
            next_beacon: Instant::now(),
            openings: None,
        })
    }

    /// The same, but beacons go to these addresses only.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open_towards(
        beacon_port: u16,
        stream_port: u16,
        broadcasts: Vec<Ipv4Addr>,
    ) -> io::Result<Self> {
        Ok(Self {
            broadcasts: Some(broadcasts),
            ..Self::open(beacon_port, stream_port)?
        })
    }

    /// Networks come and go while we wait, so this is asked for every beacon.
    fn broadcasts(&self) -> Vec<Ipv4Addr> {
        let from_routes = || {
            routes::read()
                .unwrap_or_default()
                .into_iter()
                .map(|network| network.broadcast)
                .collect()
        };
        self.broadcasts.clone().unwrap_or_else(from_routes)
    }

    fn announce(&self, payload: &[u8]) {
        // A network that is down now may be up in a second: the next beacon tries again.
        for broadcast in self.broadcasts() {
            let _ = self.beacon.send_to(payload, (broadcast, self.beacon_port));
        }
        let Some(beacon6) = self.beacon6.as_ref().filter(|_| self.broadcasts.is_none()) else {
            return;
        };
        for link in local_links::read().unwrap_or_default() {
            let _ = beacon6.send_to(payload, link.all_nodes(self.beacon_port));
        }
    }

    /// For both protocols, where there are both.
    fn listen(&self) -> io::Result<Socket> {
        let both = self.listen_at((Ipv6Addr::UNSPECIFIED, self.stream_port).into());
        both.or_else(|_| self.listen_at((Ipv4Addr::UNSPECIFIED, self.stream_port).into()))
    }

    fn listen_at(&self, any: SocketAddr) -> io::Result<Socket> {
        let listener = Socket::new(Domain::for_address(any), Type::STREAM, Some(Protocol::TCP))?;
        if any.is_ipv6() {
            listener.set_only_v6(false)?;
        }
        // The donor before may still be in TIME_WAIT.
        listener.set_reuse_address(true)?;
        listener.bind(&any.into())?;
        listener.listen(BACKLOG)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl Network for KernelNetwork {
    fn admit(
        &mut self,
        code: &Code,
        opening_len: usize,
        until: Option<Instant>,
    ) -> io::Result<Option<Box<dyn Donor>>> {
        let payload = beacon::emit(code);
        let mut openings = match self.openings.take() {
            Some(openings) => openings,
            None => Openings::new(self.listen()?.into(), opening_len, &self.interrupt)?,
        };
        let admitted = loop {
            let now = Instant::now();
            if self.next_beacon <= now {
                self.announce(&payload);
                self.next_beacon = now + Duration::from_millis(beacon::INTERVAL_MS);
            }
            let wake_at = until.map_or(self.next_beacon, |until| until.min(self.next_beacon));
            match openings.wait(wake_at) {
                // One that is gone already is no donor.
                Ok(Event::Said(stream)) => {
                    if let Ok(donor) = KernelDonor::new(stream) {
                        break Ok(Some(Box::new(donor) as Box<dyn Donor>));
                    }
                }
                Ok(Event::Stirred) => break Ok(None),
                Ok(Event::Late) => {}
                Err(error) => break Err(error),
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                break Ok(None);
            }
        };
        self.openings = Some(openings);
        admitted
    }

    /// While a donor is served the kernel itself resets every other connection.
    fn rest(&mut self) {
        self.openings = None;
    }

    fn interrupter(&self) -> Interrupter {
        let interrupt = self.interrupt.clone();
        Box::new(move || interrupt.notify())
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self
            .broadcasts()
            .into_iter()
            .filter_map(own_address)
            .collect();
        if addresses.is_empty() {
            let links = local_links::read().unwrap_or_default();
            addresses.extend(links.iter().map(|link| IpAddr::V6(link.address)));
        }
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

/// The address the kernel would send from. Connecting a datagram socket sends nothing.
pub(crate) fn own_address(broadcast: Ipv4Addr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.set_broadcast(true).ok()?;
    socket.connect((broadcast, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// A donor on a socket of the kernel.
#[derive(Debug)]
pub struct KernelDonor {
    /// Shared with a writer only while it writes.
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    /// How long a read waits.
    patience: Duration,
    /// Notified when nothing is to be read any more.
    interrupt: EventFd,
}

impl KernelDonor {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let mut peer = stream.peer_addr()?;
        if let Some(ipv4) = ipv4_inside(peer) {
            peer = ipv4;
        }
        Ok(Self {
            stream: Arc::new(stream),
            peer,
            patience: STALL,
            interrupt: EventFd::new()?,
        })
    }
}

/// The address of an IPv4 peer on a socket for both protocols (RFC 4291 2.5.5.2).
fn ipv4_inside(peer: SocketAddr) -> Option<SocketAddr> {
    match peer.ip() {
        IpAddr::V6(ip) => Some((ip.to_ipv4_mapped()?, peer.port()).into()),
        IpAddr::V4(_) => None,
    }
}

impl Read for KernelDonor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let until = Instant::now() + self.patience;
        loop {
            if self.interrupt.is_notified() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match rustix::net::recv(&*self.stream, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((len, _)) => return Ok(len),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let text = format!("donor {} has sent nothing in time", self.peer);
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            let mut watched = [
                PollFd::new(&*self.stream, PollFlags::IN),
                PollFd::new(&self.interrupt, PollFlags::IN),
            ];
            match poll(&mut watched, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Donor for KernelDonor {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn hurry(&mut self, wait: Duration) {
        self.patience = wait.min(STALL);
    }

    fn interrupter(&self) -> Interrupter {
        let interrupt = self.interrupt.clone();
        Box::new(move || interrupt.notify())
    }

    fn writer(&self) -> Box<dyn Write + Send> {
        Box::new(KernelWriter {
            stream: Arc::downgrade(&self.stream),
        })
    }

    fn succeed(self: Box<Self>) -> io::Result<()> {
        let mut stream = self.stream.as_ref();
        stream.shutdown(Shutdown::Write)?;
        // Closing while something is unread would turn our FIN into RST (RFC 2525 2.17); the
        // donor's FIN ends this.
        let deadline = Instant::now() + GOODBYE;
        while let Some(left) = deadline
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut [0; 512]) {
                Ok(0) => return socket::await_last_ack(stream),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A donor that keeps its side open has our FIN all the same, or it is gone and nobody can
        // tell.
        Ok(())
    }

    fn fail(self: Box<Self>) {
        reset(&self.stream);
    }
}

/// The writing half, to a donor. It holds the socket only while it writes, so the end of the donor
/// is the end of the connection.
#[derive(Debug)]
struct KernelWriter {
    stream: Weak<TcpStream>,
}

impl Write for KernelWriter {
    /// # Errors
    /// `TimedOut`: no room for [`WRITE_PATIENCE`]. `BrokenPipe`: the donor is done with. What
    /// `send(2)` says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.stream.upgrade().ok_or(io::ErrorKind::BrokenPipe)?;
        // Asleep in poll(2) and not in send(2): see `reset`.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::send(&*stream, bytes, flags) {
                Err(Errno::AGAIN) => {}
                sent => return Ok(sent?),
            }
            if wait_for(&*stream, PollFlags::OUT, WRITE_PATIENCE)?.is_none() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// The kernel holds nothing back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

mod openings;
#[cfg(test)]
mod tests;
