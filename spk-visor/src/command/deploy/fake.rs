//! A target for tests: the real target's end of a session over loopback, and no disk behind it. It
//! checks what it is sent as strictly as the real one, and fails where a test says.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use session::channel::{Opener, Sealer};
use session::{Credential, HandshakeRandom};
use socket2::SockRef;
use wire::code::Code;
use wire::handshake::Info;
use wire::manifest::{File, Manifest};
use wire::message::{After, Answer, Disk, Level, Message, Next, RejectCode, Text};
use wire::stage::Stage;

use donor::socket;
use pack::hash;

/// How long a target waits for a connection, and on one.
const PATIENCE: Duration = Duration::from_secs(30);

/// The act of a target on one connection.
pub enum Act {
    /// Takes everything, says so and hears what to do.
    Install,
    /// The same with a disk that is not blank.
    InstallOverOld,
    /// Its disk is not blank; it resets the connection when it has heard so often that a person is
    /// being asked.
    CutWhileAsked(usize),
    /// Resets the connection in the middle of the handshake.
    CutBeforeProof,
    /// Resets it when the manifest has come.
    CutBeforeAccept,
    /// Resets it after so many chunks of it.
    CutAfter(usize),
    /// Does this while the donor waits to be accepted; takes what comes then, and resets the
    /// connection.
    AfterManifest(Box<dyn FnOnce() + Send>),
    /// Takes everything and closes without a word.
    CutBeforeInstalled,
    /// Does not want it.
    Reject(RejectCode, &'static str),
    /// Fails after so many chunks, with a line of its log.
    Fail(usize, &'static str, &'static str),
    /// Says that it has installed something else.
    InstallOther,
    /// Does not know the secret, and answers all the same.
    Pose,
    /// Closes when it has heard the first byte, as a shim of the original stream does.
    Legacy,
}

/// The bytes that it was sent.
#[derive(Debug, Default)]
pub struct Taken {
    /// Each file that was begun.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
    /// How many connections passed the handshake, and how many did not.
    pub paired: usize,
    /// How many did not.
    pub unpaired: usize,
    /// The last order it received.
    pub after: Option<After>,
    /// Whether it has heard a yes to its disk.
    pub is_agreed: bool,
    /// Why the donor does not want to.
    pub gave_up: Option<String>,
    /// Bytes that came before anybody had proved anything, the handshake's apart.
    pub early_bytes: usize,
    next: Next,
}

/// A target that waits in a thread of its own.
pub struct FakeTarget {
    thread: JoinHandle<Taken>,
    beacons: Arc<AtomicBool>,
    /// Where it listens.
    pub at: SocketAddr,
}

impl FakeTarget {
    /// Waits at 127.0.0.`host`, one act for each connection.
    pub fn start(host: u8, port: u16, code: Code, credential: Credential, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), port)).unwrap();
        let at = listener.local_addr().unwrap();
        // As long as the longest pause of a donor and more: one that does not come fails its test,
        // and keeps nobody waiting.
        let patience = SockRef::from(&listener).set_read_timeout(Some(PATIENCE));
        patience.unwrap();
        let thread = thread::spawn(move || {
            let mut taken = Taken::default();
            for (number, act) in acts.into_iter().enumerate() {
                let accepted = listener.accept();
                let (stream, _) =
                    accepted.unwrap_or_else(|error| panic!("no donor for act {number}: {error}"));
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                connection(stream, &code, &credential, act, &mut taken);
            }
            taken
        });
        Self {
            thread,
            beacons: Arc::new(AtomicBool::new(true)),
            at,
        }
    }

    /// Says its code to a listener on loopback until it has ended.
    pub fn beacon(self, code: Code, port: u16) -> Self {
        let (beacons, from) = (Arc::clone(&self.beacons), self.at.ip());
        thread::spawn(move || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            while beacons.load(Ordering::Relaxed) {
                let payload = wire::beacon::emit(&code);
                let _ = socket.send_to(&payload, (Ipv4Addr::LOCALHOST, port));
                thread::sleep(Duration::from_millis(100));
            }
        });
        self
    }

    /// The bytes that it was sent, once it has done all its acts.
    pub fn finish(self) -> Taken {
        let taken = self.thread.join().unwrap();
        self.beacons.store(false, Ordering::Relaxed);
        taken
    }
}

type Ends<'a> = (Opener<&'a TcpStream>, Sealer<&'a TcpStream>);

fn connection(
    stream: TcpStream,
    code: &Code,
    credential: &Credential,
    act: Act,
    taken: &mut Taken,
) {
    match act {
        Act::Pose => return pose(&stream, code, credential, taken),
        Act::Legacy | Act::CutBeforeProof => {
            let _ = (&stream).read(&mut [0; 4]);
            return socket::reset(stream);
        }
        _ => {}
    }
    let info = Info::parse(b"model=fake").unwrap();
    let paired = session::pair_target(&stream, &stream, credential, code, &info);
    match paired {
        Ok(ends) => {
            taken.paired += 1;
            if !paired_with(ends, act, taken) {
                socket::reset(stream);
            }
        }
        Err(_) => taken.unpaired += 1,
    }
}

/// Answers with a wrong proof.
fn pose(stream: &TcpStream, code: &Code, credential: &Credential, taken: &mut Taken) {
    let mut stream = stream;
    let mut m1 = [0; 78];
    stream.read_exact(&mut m1).unwrap();
    let info = Info::parse(b"model=fake").unwrap();
    let random = HandshakeRandom::fresh().unwrap();
    let answer = session::target::begin(credential, code, &info, random).take(&m1);
    stream.write_all(&answer.unwrap().m2).unwrap();
    let mut m3 = [0; 48];
    stream.read_exact(&mut m3).unwrap();
    stream.write_all(&[7; 48]).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    taken.unpaired += 1;
    taken.early_bytes += rest.len();
}

/// `false`: the connection is to be reset.
fn paired_with((mut opener, mut sealer): Ends<'_>, act: Act, taken: &mut Taken) -> bool {
    let mut payload = Vec::new();
    let Message::Manifest {
        manifest,
        signature,
        chunk_lists,
    } = opener.next(&mut payload).unwrap()
    else {
        panic!("no manifest");
    };
    if taken.manifest.is_empty() {
        taken.manifest = manifest.to_vec();
        taken.signature = signature.to_vec();
    }
    assert_eq!(taken.manifest, manifest, "the same manifest each time");
    let files: Vec<File> = Manifest::parse(manifest).unwrap().files().collect();
    let hashes: Vec<[u8; 32]> = chunk_lists.as_chunks().0.to_vec();
    let act = match act {
        Act::CutBeforeAccept => return false,
        Act::AfterManifest(change) => {
            change();
            Act::CutAfter(usize::MAX)
        }
        Act::Reject(code, text) => {
            let text = Text::new(text);
            sealer.send(&Message::Reject { code, text }).unwrap();
            return wait_for_the_end(&mut sealer, &mut opener);
        }
        act => act,
    };
    let asks = !taken.is_agreed;
    let is_blank = !matches!(act, Act::InstallOverOld | Act::CutWhileAsked(_));
    let accept = Message::Accept {
        next: taken.next,
        asks,
        disk: disk(is_blank),
    };
    sealer.send(&accept).unwrap();
    if asks {
        let patience = match act {
            Act::CutWhileAsked(times) => times,
            _ => usize::MAX,
        };
        match agreed(&mut opener, patience, taken) {
            Some(true) => {}
            Some(false) => return wait_for_the_end(&mut sealer, &mut opener),
            None => return false,
        }
    }
    let limit = match act {
        Act::CutAfter(chunks) | Act::Fail(chunks, ..) => chunks,
        _ => usize::MAX,
    };
    let is_whole = take(&mut opener, &mut sealer, &files, &hashes, limit, taken);
    if let Act::CutAfter(_) = act {
        return false;
    }
    if let Act::Fail(_, line, text) = act {
        let log = Message::Log {
            level: Level::Error,
            text: Text::new(line),
        };
        sealer.send(&log).unwrap();
        let text = Text::new(text);
        sealer.send(&Message::Failed { text }).unwrap();
        return wait_for_the_end(&mut sealer, &mut opener);
    }
    assert!(is_whole);
    end(&act, &mut opener, &mut sealer, taken)
}

fn disk(is_blank: bool) -> Disk<'static> {
    Disk {
        size_bytes: 1 << 30,
        is_blank,
        path: Text::new("/dev/fake"),
        serial: Text::new("F-1"),
        contents: Text::new(if is_blank { "blank" } else { "ext4" }),
        ..Disk::default()
    }
}

/// The donor's answer; none when it broke, or has asked a person more often than `patience` allows.
fn agreed(opener: &mut Opener<&TcpStream>, mut patience: usize, taken: &mut Taken) -> Option<bool> {
    let mut payload = Vec::new();
    while patience > 0 {
        match opener.next(&mut payload).ok()? {
            Message::Consent {
                answer: Answer::Asking,
            } => patience -= 1,
            Message::Consent {
                answer: Answer::Yes,
            } => {
                taken.is_agreed = true;
                return Some(true);
            }
            Message::GiveUp { text } => {
                taken.gave_up = Some(text.to_string());
                return Some(false);
            }
            other => panic!("{other:?} where consent belongs"),
        }
    }
    None
}

fn end(
    act: &Act,
    opener: &mut Opener<&TcpStream>,
    sealer: &mut Sealer<&TcpStream>,
    taken: &mut Taken,
) -> bool {
    let mut manifest_sha256 = hash::of(&taken.manifest);
    match act {
        Act::CutBeforeInstalled => return false,
        Act::InstallOther => manifest_sha256[0] ^= 1,
        _ => {}
    }
    for stage in [Stage::Finishing, Stage::Committing, Stage::Installed] {
        progress(sealer, stage, taken);
    }
    sealer
        .send(&Message::Installed { manifest_sha256 })
        .unwrap();
    let mut payload = Vec::new();
    if let Ok(Message::Boot { after }) = opener.next(&mut payload) {
        taken.after = after;
    }
    true
}

fn progress(sealer: &mut Sealer<&TcpStream>, stage: Stage, taken: &Taken) {
    let received_bytes = taken.files.values().map(|bytes| bytes.len() as u64).sum();
    let report = Message::Progress {
        stage,
        next: taken.next,
        received_bytes,
        unpacked_bytes: received_bytes * 3,
    };
    // A donor that has been cut off hears nothing.
    let _ = sealer.send(&report);
}

/// Takes chunks until everything is there (`true`) or `limit` have come.
fn take(
    opener: &mut Opener<&TcpStream>,
    sealer: &mut Sealer<&TcpStream>,
    files: &[File],
    hashes: &[[u8; 32]],
    limit: usize,
    taken: &mut Taken,
) -> bool {
    let mut payload = Vec::new();
    for _ in 0..limit {
        if usize::from(taken.next.file) == files.len() {
            return true;
        }
        let Ok(message) = opener.next(&mut payload) else {
            return false;
        };
        if let Message::GiveUp { text } = message {
            taken.gave_up = Some(text.to_string());
            return false;
        }
        let Message::Data {
            place,
            is_last,
            bytes,
        } = message
        else {
            panic!("{message:?} where data belongs");
        };
        assert_eq!(
            place, taken.next,
            "every chunk in its turn, from the resume point on"
        );
        let file = &files[usize::from(place.file)];
        let before: u32 = files[..usize::from(place.file)]
            .iter()
            .filter_map(File::chunks)
            .sum();
        match file.chunks() {
            Some(chunks) => {
                assert_eq!(hash::of(bytes), hashes[(before + place.chunk) as usize]);
                assert_eq!(is_last, place.chunk + 1 == chunks);
            }
            None => assert!(!bytes.is_empty()),
        }
        let name = file.name.to_string();
        taken.files.entry(name).or_default().extend(bytes);
        taken.next = if is_last {
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
        progress(sealer, Stage::Receiving, taken);
    }
    usize::from(taken.next.file) == files.len()
}

/// The last word is said: takes and drops what is still on its way, so that the donor hears it.
fn wait_for_the_end(sealer: &mut Sealer<&TcpStream>, opener: &mut Opener<&TcpStream>) -> bool {
    let _ = sealer.get_mut().shutdown(Shutdown::Write);
    while opener.next(&mut Vec::new()).is_ok() {}
    true
}
