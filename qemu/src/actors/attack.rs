//! Attacks on a pairing that last until they are stopped: an impostor that poses as the target, and
//! a crowd at its door.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType};
use wire::{BEACON_PORT, STREAM_PORT};

use crate::actors::stranger::AGAIN;
use crate::error::{Doing, HarnessError, Result};

/// Announces a target's code from another address and answers every connection with an M2 of its
/// own (`protocol.md` 3.2).
#[derive(Debug)]
pub struct Impostor {
    running: Running<usize>,
}

impl Impostor {
    /// Ten beacons a second from `address`, and a listener there.
    ///
    /// # Errors
    /// The sockets cannot be made.
    pub fn start(address: Ipv4Addr, code: &str) -> Result<Self> {
        let beacons = UdpSocket::bind((address, 0)).doing("binding to", address)?;
        beacons
            .set_broadcast(true)
            .doing("allowing broadcasts on", "a UDP socket")?;
        let listener = TcpListener::bind((address, STREAM_PORT)).doing("listening on", address)?;
        listener
            .set_nonblocking(true)
            .doing("not blocking on", address)?;
        let beacon = format!("SMECHVISOR_SHIM:{code}");
        let running = Running::start(1, move |heard, is_over| {
            while !is_over() {
                let _ = beacons.send_to(beacon.as_bytes(), ("255.255.255.255", BEACON_PORT));
                match listener.accept() {
                    Ok((stream, _)) => heard.send(answer_as_target(stream)).unwrap_or(()),
                    Err(_) => std::thread::sleep(Duration::from_millis(100)),
                }
            }
        });
        Ok(Self { running })
    }

    /// Bytes heard on each connection.
    #[must_use]
    pub fn stop(self) -> Vec<usize> {
        self.running.stop()
    }
}

/// A point of the curve, compressed: Ed25519's base point (RFC 8032 5.1).
const POINT: [u8; 32] = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
};

/// Takes an M1, answers with an M2 that a donor can compute with, and takes what else comes.
fn answer_as_target(mut stream: TcpStream) -> usize {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut m1 = [0; 78];
    if stream.read_exact(&mut m1).is_err() {
        return 0;
    }
    let nonce = [7; 32];
    let parts: [&[u8]; 6] = [b"SMV2\x02\x01\x01", &nonce, &[0, 0], b"\x42", &POINT, &[]];
    let _ = stream.write_all(&parts.concat());
    let mut m3 = [0; 48];
    let Ok(()) = stream.read_exact(&mut m3) else {
        return m1.len();
    };
    // An M4 from somebody who does not know the secret.
    let _ = stream.write_all(&[0x5a; 48]);
    let mut more = Vec::new();
    let _ = stream.take(1 << 20).read_to_end(&mut more);
    m1.len() + m3.len() + more.len()
}

/// Connects from one of this host's addresses.
fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((from, 0)))?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// Connections with nothing good to say, as many at a time as there are threads, until it is
/// stopped.
#[derive(Debug)]
pub struct Crowd {
    running: Running<()>,
}

impl Crowd {
    /// `count` at a time, from this address. They have heard the target's code: every other one
    /// says a true M1 with it and holds what it gets by that (`protocol.md` 3.2), or says a wrong
    /// M3 as well.
    ///
    /// # Errors
    /// None so far.
    pub fn start(from: Ipv4Addr, target: IpAddr, code: &str, count: usize) -> Result<Self> {
        let address = SocketAddr::new(target, STREAM_PORT);
        let parts: [&[u8]; 5] = [b"SMV2\x02\x01", code.as_bytes(), &[9; 32], b"\x41", &POINT];
        let m1 = parts.concat();
        let running = Running::start(count, move |made, is_over| {
            let openings: [&[u8]; 10] = [
                b"",
                &m1,
                b"GET / HTTP/1.1\r\n\r\n",
                &m1,
                b"SMV2",
                b"SMV2\x02\x01e13gts2\x00\x00\x00",
                &m1,
                b"\x00\x00\x00\x0fsmechvisor-base",
                &m1,
                &[0x5a; 4096],
            ];
            for (turn, opening) in openings.iter().cycle().enumerate() {
                if is_over() {
                    return;
                }
                let Ok(mut stream) = connect(from, address) else {
                    std::thread::sleep(AGAIN);
                    continue;
                };
                let _ = made.send(());
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let _ = stream.write_all(opening);
                let is_answered = stream.read(&mut [0; 1024]).is_ok_and(|len| len > 0);
                if is_answered && turn % 20 == 1 {
                    let _ = stream.write_all(&[0x5a; 48]);
                }
                // Held until the target closes it, or for some seconds.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(6)));
                let _ = is_answered.then(|| stream.read(&mut [0; 512]));
            }
        });
        Ok(Self { running })
    }

    /// Waits until so many connections were made.
    ///
    /// # Errors
    /// They were not in time.
    pub fn await_connections(&self, count: usize, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        for _ in 0..count {
            let left = end.saturating_duration_since(Instant::now());
            if self.running.told.recv_timeout(left).is_err() {
                return Err(HarnessError::Deadline {
                    what: format!("{count} connections of a crowd"),
                    patience,
                    tail: String::new(),
                });
            }
        }
        Ok(())
    }

    /// How many more there were.
    #[must_use]
    pub fn stop(self) -> usize {
        self.running.stop().len()
    }
}

/// Threads that tell something now and then, until they are stopped.
#[derive(Debug)]
struct Running<T> {
    is_over: Arc<AtomicBool>,
    told: Receiver<T>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Running<T> {
    fn start(
        count: usize,
        work: impl Fn(&Sender<T>, &dyn Fn() -> bool) + Send + Sync + 'static,
    ) -> Self {
        let (work, is_over) = (Arc::new(work), Arc::new(AtomicBool::new(false)));
        let (sender, told) = channel();
        let threads = (0..count).map(|_| {
            let (work, sender, flag) = (Arc::clone(&work), sender.clone(), Arc::clone(&is_over));
            std::thread::spawn(move || work(&sender, &|| flag.load(Ordering::Relaxed)))
        });
        let threads = threads.collect();
        Self {
            is_over,
            told,
            threads,
        }
    }

    /// Ends them and returns what is still to be heard.
    fn stop(mut self) -> Vec<T> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has printed its message.
            let _ = thread.join();
        }
        self.told.try_iter().collect()
    }
}
