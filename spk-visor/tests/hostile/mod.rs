//! Targets that do not what a target does, and one that does, over the kernel's sockets on
//! loopback; and a donor for them.
//!
//! In: what to do with each connection. Out: how often somebody connected, and what was heard. They
//! end with the process.

// Each test takes what it needs of this.
#![allow(dead_code)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use donor::interrupt::Interrupt;
use donor::options::{Options, Trust};
use receiver::fakes::{PATIENCE, TestDir};
use session::channel::{Opener, Sealer};
use session::{Credential, HandshakeRandom};
use sha2::{Digest, Sha256};
use spk_visor::command::deploy::run_on;
use spk_visor::exit::Exit;
use spk_visor::reporter::Reporter;
use spk_visor::screen::Screen;
use wire::code::Code;
use wire::handshake::Info;
use wire::manifest::Manifest;
use wire::message::{Answer, Disk, Message, Next, Text};
use wire::secret::Secret;
use wire::stage::Stage;

pub const CODE: &str = "e13gts2";
pub const START: Next = Next { file: 0, chunk: 0 };
/// Chunks of the two packages together.
pub const CHUNKS: usize = 4;

pub fn code() -> Code {
    CODE.parse().unwrap()
}

pub fn secret() -> Secret {
    Secret::draw([7; 5])
}

/// A target at one address.
pub struct Target {
    pub at: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Target {
    /// At 127.0.0.`host`; `act` gets each connection and its number, from 0, in a thread of its
    /// own.
    pub fn start<A>(host: u8, port: u16, act: A) -> Self
    where
        A: Fn(usize, TcpStream) -> Option<String> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), port)).unwrap();
        let target = Self {
            at: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heard: Arc::default(),
        };
        let (connections, heard) = (Arc::clone(&target.connections), Arc::clone(&target.heard));
        let act = Arc::new(act);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (act, heard) = (Arc::clone(&act), Arc::clone(&heard));
                let number = connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    if let Some(text) = act(number, stream) {
                        heard.lock().unwrap().push(text);
                    }
                });
            }
        });
        target
    }

    /// Says the code to a listener on loopback, five times a second.
    pub fn beacon(self, port: u16) -> Self {
        let from = self.at.ip();
        thread::spawn(move || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            loop {
                let _ = socket.send_to(&wire::beacon::emit(&code()), (Ipv4Addr::LOCALHOST, port));
                thread::sleep(Duration::from_millis(200));
            }
        });
        self
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits for something that an act has heard.
    pub fn wait_for(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self
            .heard
            .lock()
            .unwrap()
            .iter()
            .any(|text| text.contains(part))
        {
            assert!(Instant::now() < deadline, "{:?}", self.heard.lock());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Holds the connection until the donor has ended it; whether that was with a reset is all the
/// same.
pub fn hold(mut stream: TcpStream) -> Option<String> {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).is_ok_and(|len| len > 0) {}
    None
}

/// A reset, as a machine sends that does not listen.
pub fn refuse(stream: TcpStream) -> Option<String> {
    donor::socket::reset(stream);
    None
}

/// M2 of somebody who does not know the secret, after M1 was read.
pub fn foreign_m2(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut m1 = [0; 78];
    stream.read_exact(&mut m1).ok()?;
    let credential = Credential::Secret(Secret::draw([1; 5]));
    let (info, code) = (Info::parse(b"model=fake").unwrap(), code());
    let state =
        session::target::begin(&credential, &code, &info, HandshakeRandom::fresh().unwrap());
    Some(state.take(&m1).unwrap().m2.to_vec())
}

/// Somebody who answers M3 with nothing that would prove anything.
pub fn junk_m4(mut stream: TcpStream) -> Option<String> {
    let m2 = foreign_m2(&mut stream)?;
    stream.write_all(&m2).ok()?;
    stream.read_exact(&mut [0; 48]).ok()?;
    stream.write_all(&[7; 48]).ok()?;
    hold(stream)
}

/// A connection of somebody who knows the secret, from the manifest on.
pub struct Session {
    opener: Opener<TcpStream>,
    sealer: Sealer<TcpStream>,
    digest: [u8; 32],
    files: u16,
}

/// The handshake alone.
pub fn pair(stream: &TcpStream) -> Option<(Opener<TcpStream>, Sealer<TcpStream>)> {
    let (read, write) = (stream.try_clone().ok()?, stream.try_clone().ok()?);
    let credential = Credential::Secret(secret());
    let info = Info::parse(b"model=fake").unwrap();
    session::pair_target(read, write, &credential, &code(), &info).ok()
}

impl Session {
    /// The handshake and the manifest.
    pub fn begin(stream: &TcpStream) -> Option<Self> {
        let (mut opener, sealer) = pair(stream)?;
        let mut payload = Vec::new();
        let Message::Manifest { manifest, .. } = opener.next(&mut payload).ok()? else {
            panic!("no manifest");
        };
        let digest = Sha256::digest(manifest).into();
        let files = Manifest::parse(manifest).unwrap().files().count() as u16;
        Some(Self {
            opener,
            sealer,
            digest,
            files,
        })
    }

    pub fn say(&mut self, message: &Message<'_>) -> Option<()> {
        self.sealer.send(message).ok()
    }

    pub fn accept(&mut self, next: Next, asks: bool, is_blank: bool) -> Option<()> {
        let disk = Disk {
            size_bytes: 1 << 30,
            is_blank,
            path: Text::new("/dev/fake"),
            contents: Text::new(if is_blank { "blank" } else { "ext4" }),
            ..Disk::default()
        };
        self.say(&Message::Accept { next, asks, disk })
    }

    /// Waits for a yes; what came instead is heard.
    pub fn consent(&mut self) -> Result<(), String> {
        let mut payload = Vec::new();
        loop {
            match self.opener.next(&mut payload) {
                Ok(Message::Consent {
                    answer: Answer::Yes,
                }) => return Ok(()),
                Ok(Message::Consent { .. }) => {}
                other => return Err(format!("{other:?}")),
            }
        }
    }

    /// Takes so many chunks, or as many as there are; says so if it shall. Where it wants to go on,
    /// or what came instead.
    pub fn take(&mut self, from: Next, chunks: usize, says: bool) -> Result<Next, String> {
        let (mut next, mut payload) = (from, Vec::new());
        for _ in 0..chunks {
            if next.file >= self.files {
                break;
            }
            match self.opener.next(&mut payload) {
                Ok(Message::Data { place, is_last, .. }) => {
                    assert_eq!(place, next, "each chunk in its turn");
                    next = if is_last {
                        Next {
                            file: place.file + 1,
                            chunk: 0,
                        }
                    } else {
                        Next {
                            chunk: place.chunk + 1,
                            ..place
                        }
                    };
                }
                other => return Err(format!("{other:?}")),
            }
            if says {
                self.progress(next);
            }
        }
        Ok(next)
    }

    pub fn progress(&mut self, next: Next) {
        let _ = self.say(&Message::Progress {
            stage: Stage::Receiving,
            next,
            received_bytes: 1,
            unpacked_bytes: 1,
        });
    }

    pub fn installed(&mut self) -> Option<()> {
        let manifest_sha256 = self.digest;
        self.say(&Message::Installed { manifest_sha256 })
    }

    /// The donor's next message.
    pub fn hear(&mut self) -> String {
        format!("{:?}", self.opener.next(&mut Vec::new()))
    }

    /// From where it goes on to the last order.
    pub fn install(&mut self, from: Next) -> Option<()> {
        self.take(from, usize::MAX, true).ok()?;
        self.installed()?;
        self.hear();
        Some(())
    }

    pub fn close(self) {
        let _ = self.sealer.into_inner().shutdown(Shutdown::Both);
    }
}

/// Does what a target does.
pub fn honest(stream: TcpStream) -> Option<String> {
    let mut session = Session::begin(&stream)?;
    session.accept(START, true, true)?;
    session.consent().ok()?;
    session.install(START)?;
    Some("installed".to_owned())
}

/// A directory with two packages of two chunks each, and the secret.
pub fn files(name: &str) -> TestDir {
    let dir = TestDir::new(name);
    let packages = dir.path().join("packages");
    fs::create_dir(&packages).unwrap();
    fs::write(packages.join("a.tar.xz"), vec![1; (1 << 20) + 1]).unwrap();
    fs::write(packages.join("b.tar.xz"), vec![2; (1 << 20) + 1]).unwrap();
    fs::write(dir.path().join("secret"), secret().to_string()).unwrap();
    dir
}

/// The default behaviour of a donor with these files.
pub fn options(dir: &TestDir) -> Options {
    Options {
        codes: vec![code()],
        trust: Trust::Secret(Some(dir.path().join("secret"))),
        packages: Some(dir.path().join("packages")),
        timeout: Duration::from_secs(20),
        retry: Duration::from_secs(20),
        ..Options::default()
    }
}

/// How a deploy ended, what it told, and how long it took.
pub struct Ended {
    pub exit: Exit,
    pub out: String,
    pub took: Duration,
}

impl Ended {
    /// Seconds from the beginning to the first event of this name.
    pub fn seconds_to(&self, event: &str) -> f64 {
        let head = format!(r#"{{"event":"{event}","seconds":"#);
        let line = self.out.lines().find_map(|line| line.strip_prefix(&head));
        let line = line.unwrap_or_else(|| panic!("no {event} in {}", self.out));
        line.split(',').next().unwrap().parse().unwrap()
    }
}

/// Runs a donor in this process, with nobody to ask.
pub fn deploy(options: &Options) -> Ended {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let mut reporter = Reporter::new(Screen::new(&mut out, None), &mut errors, true, None);
    let exit = run_on(options, None, &Interrupt::default(), &mut reporter);
    drop(reporter);
    Ended {
        exit,
        out: String::from_utf8(out).unwrap(),
        took: start.elapsed(),
    }
}
