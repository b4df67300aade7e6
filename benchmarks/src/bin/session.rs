//! The cost of authentication and sealing: processor time of a pairing at each end, and how fast
//! one processor seals and opens a stream.
//!
//! Nothing goes over a network here: both ends are in this process, one after the other, so that
//! each figure is one end's alone.

use std::error::Error;
use std::io::{self, Write};
use std::process::exit;
use std::time::Duration;

use benchmarks::figure::median;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustix::time::{ClockId, clock_gettime};
use session::channel::PLAIN_MAX;
use session::{Credential, HandshakeRandom, Paired, PinnedKeys, donor, target};
use wire::code::Code;
use wire::handshake::Info;
use wire::message::{Message, Next};
use wire::secret::Secret;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PAIRINGS: u32 = 200;
/// As a donor sends them.
const CHUNK_BYTES: usize = 1 << 20;
const CHUNKS: usize = 512;
const ROUNDS: usize = 5;

fn main() {
    if let Err(error) = run() {
        eprintln!("session: {error}");
        exit(1);
    }
}

fn run() -> Outcome<()> {
    let secret = Credential::Secret(Secret::parse("9D4T-X2WM-7")?);
    pairings("secret", &secret.clone(), &secret)?;
    let (ours, theirs) = PinnedKeys::draw()?;
    pairings(
        "pinned",
        &Credential::Pinned(ours),
        &Credential::Pinned(theirs),
    )?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(stream(&secret)?);
    }
    let middle = |of: fn(&Rates) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    println!(
        "stream seal_MB/s={:.0} open_MB/s={:.0} copy_MB/s={:.0} seal_of_ring={:.2} open_of_ring={:.2}",
        middle(|r| r.sealing),
        middle(|r| r.opening),
        middle(|r| r.copying),
        middle(|r| r.sealing / r.ring_sealing),
        middle(|r| r.opening / r.ring_opening),
    );
    Ok(())
}

/// MB/s, each of one processor.
struct Rates {
    sealing: f64,
    opening: f64,
    /// A mere copy, as writing to a socket and reading from it contain one.
    copying: f64,
    /// The cipher alone, in place, over records that stay in the cache.
    ring_sealing: f64,
    ring_opening: f64,
}

/// Of this thread: a neighbour on the machine does not count.
fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec as u32)
}

fn timed<T>(into: &mut Duration, what: impl FnOnce() -> T) -> T {
    let begun = cpu();
    let result = what();
    *into += cpu().saturating_sub(begun);
    result
}

fn pair(
    ours: &Credential,
    theirs: &Credential,
    spent: &mut [Duration; 2],
) -> Outcome<(Paired, Paired)> {
    let code = Code::parse("e13gts2")?;
    let info = Info::parse(b"smv=0.1.0")?;
    let [at_donor, at_target] = spent;
    let (await_m2, m1) = timed(at_donor, || {
        donor::begin(
            ours,
            &code,
            HandshakeRandom::fresh().map_err(session::HandshakeError::from)?,
        )
    })?;
    let answer = timed(at_target, || {
        let random = HandshakeRandom::fresh().map_err(session::HandshakeError::from)?;
        target::begin(theirs, &code, &info, random).take(&m1)
    })?;
    let (await_m4, m3) = timed(at_donor, || await_m2.take(&answer.m2))?;
    let await_m3 = answer.next?;
    let (target, m4) = timed(at_target, || await_m3.take(&m3))?;
    let donor = timed(at_donor, || await_m4.take(&m4))?;
    Ok((donor, target))
}

fn pairings(policy: &str, ours: &Credential, theirs: &Credential) -> Outcome<()> {
    let mut spent = [Duration::ZERO; 2];
    for _ in 0..PAIRINGS {
        pair(ours, theirs, &mut spent)?;
    }
    let [donor, target] = spent.map(|all| (all / PAIRINGS).as_secs_f64() * 1e3);
    println!("pairing policy={policy} donor_ms={donor:.3} target_ms={target:.3}");
    Ok(())
}

/// A sink that keeps what it is given, in memory that is there already.
struct Kept {
    bytes: Vec<u8>,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `ring` does in place with records of our length: sealing, opening.
fn ring_alone() -> Outcome<(Duration, Duration)> {
    let unusable = |_| "ring refuses its own record";
    let key = UnboundKey::new(&CHACHA20_POLY1305, &[7; 32]).map_err(unusable)?;
    let key = LessSafeKey::new(key);
    let nonce = |number: usize| {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&(number as u64).to_le_bytes());
        Nonce::assume_unique_for_key(bytes)
    };
    let (mut sealing, mut opening) = (Duration::ZERO, Duration::ZERO);
    let mut record = vec![1; PLAIN_MAX];
    for number in 0..CHUNKS * CHUNK_BYTES / PLAIN_MAX {
        timed(&mut sealing, || {
            key.seal_in_place_append_tag(nonce(number), Aad::empty(), &mut record)
        })
        .map_err(unusable)?;
        timed(&mut opening, || {
            key.open_in_place(nonce(number), Aad::empty(), &mut record)
                .map(drop)
        })
        .map_err(unusable)?;
        record.truncate(PLAIN_MAX);
    }
    Ok((sealing, opening))
}

fn stream(credential: &Credential) -> Outcome<Rates> {
    let (donor, target) = pair(credential, credential, &mut [Duration::ZERO; 2])?;
    let chunk: Vec<u8> = (0..CHUNK_BYTES).map(|at| (at % 251) as u8).collect();
    let room = CHUNKS * (CHUNK_BYTES + 1024);
    let rate = |spent: Duration| (CHUNKS * CHUNK_BYTES) as f64 * 1e-6 / spent.as_secs_f64();

    // Touched before it is timed: pages cost more than copies.
    let mut kept = Kept {
        bytes: vec![1; room],
    };
    kept.bytes.clear();
    let mut copying = Duration::ZERO;
    timed(&mut copying, || {
        (0..CHUNKS).try_for_each(|_| kept.write_all(&chunk))
    })?;
    kept.bytes.clear();

    let data = Message::Data {
        place: Next::default(),
        is_last: false,
        bytes: &chunk,
    };
    // Records that go nowhere: to keep them is a copy that a socket makes in its own time.
    let (nowhere, _) = pair(credential, credential, &mut [Duration::ZERO; 2])?;
    let (_, mut sealer) = nowhere.channel(io::empty(), io::sink());
    let mut sealing = Duration::ZERO;
    timed(&mut sealing, || {
        (0..CHUNKS).try_for_each(|_| sealer.send(&data))
    })?;

    let (_, mut sealer) = donor.channel(io::empty(), kept);
    (0..CHUNKS).try_for_each(|_| sealer.send(&data))?;
    let wire = sealer.into_inner().bytes;
    let (mut opener, _) = target.channel(&wire[..], io::sink());
    let (mut opening, mut payload) = (Duration::ZERO, Vec::new());
    timed(&mut opening, || {
        (0..CHUNKS).try_for_each(|_| opener.next(&mut payload).map(drop))
    })?;
    let (ring_sealing, ring_opening) = ring_alone()?;
    Ok(Rates {
        sealing: rate(sealing),
        // Less what a socket's read is here: the copy from where the records were kept.
        opening: rate(opening.saturating_sub(copying)),
        copying: rate(copying),
        ring_sealing: rate(ring_sealing),
        ring_opening: rate(ring_opening),
    })
}
