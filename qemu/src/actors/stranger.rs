//! Peers that are no donors: raw bytes that no honest donor would send, and port scans; and what
//! everybody can hear.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use wire::{BEACON_PORT, STREAM_PORT};

use crate::error::{Doing, HarnessError, Result};

/// A target that does not take bytes for this long is stuck.
pub(crate) const SEND_PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts to connect.
pub(crate) const AGAIN: Duration = Duration::from_millis(200);

/// Waits for a beacon and returns its code and who sent it. Heard on a socket made just now, it is
/// no older than that.
///
/// # Errors
/// None came in time, or the port is taken.
pub fn hear_beacon(patience: Duration) -> Result<(String, IpAddr)> {
    hear_beacon_from(patience, |_| true)
}

/// The same for those senders alone.
///
/// # Errors
/// As [`hear_beacon`].
pub fn hear_beacon_from(
    patience: Duration,
    is_meant: impl Fn(IpAddr) -> bool,
) -> Result<(String, IpAddr)> {
    let socket =
        UdpSocket::bind(("0.0.0.0", BEACON_PORT)).doing("listening on UDP port", BEACON_PORT)?;
    let end = Instant::now() + patience;
    let mut buffer = [0; 2048];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let late = HarnessError::Deadline {
            what: "a beacon".to_owned(),
            patience,
            tail: String::new(),
        };
        if left.is_zero() {
            return Err(late);
        }
        socket
            .set_read_timeout(Some(left))
            .doing("limiting", "the beacon's socket")?;
        let Ok((len, from)) = socket.recv_from(&mut buffer) else {
            return Err(late);
        };
        let text = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default());
        if let Some(code) = text
            .strip_prefix("SMECHVISOR_SHIM:")
            .filter(|code| !code.is_empty() && is_meant(from.ip()))
        {
            return Ok((code.to_owned(), from.ip()));
        }
    }
}

/// A sender of raw bytes, as `protocol.md` 2 writes them; emitted here once more, so that the
/// product's own emitter is not what its parser is tested with.
#[derive(Debug)]
pub struct RawDonor {
    stream: TcpStream,
}

impl RawDonor {
    /// Connects to a target. Between two donors a target listens to nobody for a moment: refusals
    /// are tried again.
    ///
    /// # Errors
    /// It refuses for longer than that.
    pub fn connect(target: IpAddr) -> Result<Self> {
        let address = SocketAddr::new(target, STREAM_PORT);
        let end = Instant::now() + SEND_PATIENCE;
        let stream = loop {
            match TcpStream::connect_timeout(&address, SEND_PATIENCE) {
                Err(error)
                    if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < end =>
                {
                    std::thread::sleep(AGAIN);
                }
                other => break other.doing("connecting to", address)?,
            }
        };
        stream
            .set_write_timeout(Some(SEND_PATIENCE))
            .doing("limiting", "the stream's socket")?;
        Ok(Self { stream })
    }

    /// Sends any bytes.
    ///
    /// # Errors
    /// The target has reset the connection, which may be just what the caller expects.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .doing("sending to", "the target")
    }

    /// Sends one package with right lengths.
    ///
    /// # Errors
    /// As [`RawDonor::send`].
    pub fn package(&mut self, name: &str, data: &[u8]) -> Result<()> {
        let name_len = u32::try_from(name.len()).unwrap_or(u32::MAX);
        self.send(&name_len.to_be_bytes())?;
        self.send(name.as_bytes())?;
        self.send(&(data.len() as u64).to_be_bytes())?;
        self.send(data)
    }

    /// Closes in order (FIN) and waits for the target's answer: whether it too closed in order,
    /// which means success.
    #[must_use]
    pub fn finish(mut self) -> bool {
        // A reset that came before the shutdown shows in the read.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let _ = self.stream.set_read_timeout(Some(SEND_PATIENCE));
        matches!(self.stream.read(&mut [0; 16]), Ok(0))
    }
}

/// The packages of a directory in the order in which a donor sends them: base first, then by name.
///
/// # Errors
/// It cannot be read.
pub fn packages(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut packages = Vec::new();
    for name in package_names(dir)? {
        let path = dir.join(&name);
        packages.push((name, std::fs::read(&path).doing("reading", path.display())?));
    }
    Ok(packages)
}

/// Their names.
///
/// # Errors
/// As [`packages`].
pub fn package_names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).doing("reading", dir.display())? {
        let name = entry.doing("reading", dir.display())?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort_by_key(|name| (!name.starts_with("smechvisor-base"), name.clone()));
    Ok(names)
}

/// Knocks on both ports as scanners and lost devices do: datagrams of many sizes, connections
/// closed at once, reset, and filled with what belongs to other protocols.
///
/// # Errors
/// The host has no sockets left.
pub fn pester(target: IpAddr) -> Result<()> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).doing("making", "a UDP socket")?;
    socket
        .set_broadcast(true)
        .doing("allowing broadcasts on", "a UDP socket")?;
    let mut noise = Noise(9191);
    for len in [0, 1, 16, 23, 64, 512, 1400] {
        let datagram: Vec<u8> = (0..len).map(|_| noise.byte()).collect();
        // Nobody may listen there; that is no failure of the scenario.
        let _ = socket.send_to(&datagram, (target, BEACON_PORT));
        let _ = socket.send_to(&datagram, ("255.255.255.255", BEACON_PORT));
        let _ = socket.send_to(b"SMECHVISOR_SHIM:", (target, STREAM_PORT));
    }
    let openings: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"SMV2\x02\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for opening in openings {
        let mut donor = RawDonor::connect(target)?;
        // The target may have reset the connection already; that is the right answer.
        let _ = donor.send(opening);
        let _ = donor.finish();
    }
    for port in [1, 22, 80, 443, 9190, 9193] {
        let _ =
            TcpStream::connect_timeout(&SocketAddr::new(target, port), Duration::from_millis(200));
    }
    Ok(())
}

/// Seeded noise (xorshift64): the same bytes in every run.
#[derive(Clone, Debug)]
pub struct Noise(pub u64);

impl Noise {
    /// The next word.
    pub const fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next byte.
    pub const fn byte(&mut self) -> u8 {
        self.word().to_le_bytes()[0]
    }

    /// A number below `bound` (0 when the bound is 0).
    pub const fn below(&mut self, bound: u64) -> u64 {
        match self.word().checked_rem(bound) {
            Some(rest) => rest,
            None => 0,
        }
    }
}
