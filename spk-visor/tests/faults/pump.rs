//! One connection: bytes both ways, one thread, and the fault.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::ruler::Ruler;
use super::{Fault, Mishap, Place, Way};

/// Bytes that the proxy takes at a time.
const BUFFER: usize = 16 << 10;

/// Bytes forwarded over one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    pub to_target: u64,
    pub to_donor: u64,
    /// The fault has happened.
    pub fault_met: bool,
}

/// Closes with RST.
pub fn reset(stream: TcpStream) {
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// Bytes in a socket's send queue, as the kernel tells in its table of connections
/// (proc_pid_net(5)).
fn unacknowledged(stream: &TcpStream) -> io::Result<u64> {
    let hex = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!(
            "{:08X}:{:04X}",
            u32::from_ne_bytes(v4.ip().octets()),
            v4.port()
        ),
        SocketAddr::V6(_) => unreachable!("the proxy listens on IPv4"),
    };
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else {
        return Ok(0);
    };
    let row = format!(" {} {} ", hex(local), hex(peer));
    let table = fs::read_to_string("/proc/thread-self/net/tcp")?;
    let queue = table
        .lines()
        .find_map(|line| line.split_once(&row))
        .and_then(|(_, rest)| rest.split([' ', ':']).nth(1))
        .map_or(0, |hex| u64::from_str_radix(hex, 16).unwrap());
    Ok(queue)
}

/// One way.
struct Lane {
    ruler: Ruler,
    passed: u64,
    /// Read and not yet written; only what lies before the fault.
    now: Vec<u8>,
    /// Read, behind the fault's place.
    behind: Vec<u8>,
    /// The sender has ended.
    is_over: bool,
    /// That end was passed on to the receiver.
    is_closed: bool,
}

impl Lane {
    fn new(way: Way) -> Self {
        Self {
            ruler: Ruler::new(way),
            passed: 0,
            now: Vec::new(),
            behind: Vec::new(),
            is_over: false,
            is_closed: false,
        }
    }

    fn wants_to_read(&self) -> bool {
        self.now.is_empty() && self.behind.is_empty() && !self.is_over
    }

    fn fill(&mut self, from: &mut TcpStream, place: Option<Place>) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        match from.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(len) => {
                self.behind = buffer[..len].to_vec();
                self.release(place);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Moves what lies before `place` from `behind` to `now`.
    fn release(&mut self, place: Option<Place>) {
        let queued = self.passed + self.now.len() as u64;
        let mut len = match place {
            Some(Place::Byte(at)) => {
                usize::try_from(at.saturating_sub(queued)).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        };
        len = len.min(self.behind.len());
        let mut released = 0;
        while released < len
            && !matches!(place, Some(Place::Message(at)) if self.ruler.messages >= at)
        {
            released += self.ruler.take(&self.behind[released..len]);
        }
        self.now.extend(self.behind.drain(..released));
    }

    fn flush(&mut self, to: &mut TcpStream) -> io::Result<()> {
        match to.write(&self.now) {
            Ok(len) => {
                self.passed += len as u64;
                self.now.drain(..len);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Everything before the place has been written.
    fn is_at(&self, place: Place) -> bool {
        self.now.is_empty()
            && match place {
                Place::Byte(at) => self.passed >= at,
                Place::Message(at) => self.ruler.messages >= at,
            }
    }
}

struct Link {
    donor: TcpStream,
    target: TcpStream,
    down: Lane,
    up: Lane,
    fault: Option<Fault>,
    fault_met: bool,
}

/// The next step of the loop after a fault.
enum Next {
    GoOn,
    Stop,
    Stall,
}

/// Forwards until both ways have ended, one end is gone, or the fault ended it.
pub fn run(donor: TcpStream, target: TcpStream, fault: Option<Fault>, report: &dyn Fn(Passed)) {
    for stream in [&donor, &target] {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let mut link = Link {
        donor,
        target,
        down: Lane::new(Way::ToTarget),
        up: Lane::new(Way::ToDonor),
        fault,
        fault_met: false,
    };
    let is_orderly = link.pass(report).is_ok();
    report(link.passed());
    if !is_orderly {
        reset(link.donor);
        reset(link.target);
    }
}

impl Link {
    fn passed(&self) -> Passed {
        Passed {
            to_target: self.down.passed,
            to_donor: self.up.passed,
            fault_met: self.fault_met,
        }
    }

    /// # Errors
    /// An end is gone, or shall be: both are to be reset.
    fn pass(&mut self, report: &dyn Fn(Passed)) -> io::Result<()> {
        loop {
            if let Some(fault) = self.fault
                && self.lane(fault.way).is_at(fault.place)
            {
                match self.strike(fault)? {
                    Next::GoOn => {}
                    Next::Stop => return Ok(()),
                    Next::Stall => {
                        // Somebody may wait for just this.
                        report(self.passed());
                        return Err(self.stall());
                    }
                }
            }
            self.close_finished()?;
            if self.down.is_closed && self.up.is_closed {
                return Ok(());
            }
            self.wait()?;
            let (down_place, up_place) = (self.place(Way::ToTarget), self.place(Way::ToDonor));
            if self.down.wants_to_read() {
                self.down.fill(&mut self.donor, down_place)?;
            }
            if self.up.wants_to_read() {
                self.up.fill(&mut self.target, up_place)?;
            }
            self.down.flush_if_any(&mut self.target)?;
            self.up.flush_if_any(&mut self.donor)?;
            report(self.passed());
        }
    }

    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::ToTarget => &mut self.down,
            Way::ToDonor => &mut self.up,
        }
    }

    fn place(&self, way: Way) -> Option<Place> {
        self.fault
            .filter(|fault| fault.way == way)
            .map(|fault| fault.place)
    }

    /// An end that has ended is passed on once everything before it was.
    fn close_finished(&mut self) -> io::Result<()> {
        for (lane, to) in [(&mut self.down, &self.target), (&mut self.up, &self.donor)] {
            if lane.is_over && !lane.is_closed && lane.now.is_empty() && lane.behind.is_empty() {
                lane.is_closed = true;
                to.shutdown(Shutdown::Write)?;
            }
        }
        Ok(())
    }

    /// Until something can be read or written. With nothing to wait for, until an end is gone.
    fn wait(&self) -> io::Result<()> {
        let flags = |reads: &Lane, writes: &Lane| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.wants_to_read());
            flags.set(PollFlags::OUT, !writes.now.is_empty());
            flags
        };
        let mut fds = [
            PollFd::new(&self.donor, flags(&self.down, &self.up)),
            PollFd::new(&self.target, flags(&self.up, &self.down)),
        ];
        poll(&mut fds, None)?;
        let is_gone = fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR));
        if is_gone {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn strike(&mut self, fault: Fault) -> io::Result<Next> {
        match fault.mishap {
            Mishap::HoldUntil(at) => {
                let other = match fault.way {
                    Way::ToTarget => &self.up,
                    Way::ToDonor => &self.down,
                };
                if other.passed < at {
                    return Ok(Next::GoOn);
                }
            }
            Mishap::Flip => {
                let lane = self.lane(fault.way);
                let Some(byte) = lane.behind.first_mut() else {
                    return Ok(Next::GoOn);
                };
                *byte ^= 1;
            }
            Mishap::Reset | Mishap::Close | Mishap::HalfClose | Mishap::Stall => {}
        }
        self.fault = None;
        self.fault_met = true;
        match fault.mishap {
            Mishap::Reset => {
                self.arrive()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Mishap::Close => {
                self.drain()?;
                Ok(Next::Stop)
            }
            Mishap::HalfClose => {
                let to = match fault.way {
                    Way::ToTarget => &self.target,
                    Way::ToDonor => &self.donor,
                };
                to.shutdown(Shutdown::Write)?;
                let lane = self.lane(fault.way);
                lane.behind.clear();
                lane.is_over = true;
                lane.is_closed = true;
                Ok(Next::GoOn)
            }
            Mishap::Stall => {
                self.arrive()?;
                Ok(Next::Stall)
            }
            Mishap::Flip | Mishap::HoldUntil(_) => {
                self.lane(fault.way).release(None);
                Ok(Next::GoOn)
            }
        }
    }

    /// Until both kernels have acknowledged what was forwarded: a reset would throw the rest away.
    fn arrive(&self) -> io::Result<()> {
        for end in [&self.donor, &self.target] {
            while unacknowledged(end)? > 0 {
                let mut fds = [PollFd::new(end, PollFlags::empty())];
                // The kernel tells nobody when its queue is empty; one millisecond, or the end of
                // that end.
                let tick = Timespec {
                    tv_sec: 0,
                    tv_nsec: 1_000_000,
                };
                if poll(&mut fds, Some(&tick))? > 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Ends both ways, and then throws away what still comes, so that no reset follows.
    fn drain(&mut self) -> io::Result<()> {
        let mut scrap = [0; BUFFER];
        for end in [&mut self.donor, &mut self.target] {
            end.shutdown(Shutdown::Write)?;
            end.set_nonblocking(false)?;
        }
        while self.target.read(&mut scrap)? > 0 {}
        while self.donor.read(&mut scrap)? > 0 {}
        Ok(())
    }

    /// Until one end gives up. What is sent meanwhile is thrown away: behind a full buffer an end
    /// could not be heard to end.
    fn stall(&mut self) -> io::Error {
        let mut scrap = [0; BUFFER];
        loop {
            let mut fds = [&self.donor, &self.target].map(|end| PollFd::new(end, PollFlags::IN));
            if let Err(error) = poll(&mut fds, None) {
                return error.into();
            }
            for end in [&mut self.donor, &mut self.target] {
                match end.read(&mut scrap) {
                    Ok(0) => return io::ErrorKind::TimedOut.into(),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return error,
                }
            }
        }
    }
}

impl Lane {
    fn flush_if_any(&mut self, to: &mut TcpStream) -> io::Result<()> {
        if self.now.is_empty() {
            Ok(())
        } else {
            self.flush(to)
        }
    }
}
