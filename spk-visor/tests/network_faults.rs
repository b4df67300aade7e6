//! Deploys through a network that fails: the product's donor, a proxy that breaks connections at
//! exact places, the product's receiver. Every deploy ends with an installed system, or with a
//! donor that says why it stopped and a target that can go on.
//!
//! Bytes that are sent twice are measured: behind each cut the part of a chunk that had not come
//! whole, and what was in flight.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod faults;
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bundle::trust::Trust;
use faults::{Fault, Mishap, Place, Proxy, Way};
use receiver::policy::Policy;
use sha2::{Digest, Sha256};
use wire::manifest::{Builder, CHUNK_SIZE_MIN, Content, File, Head, PRODUCT, Role};
use wire::stream::PackageName;
use world::World;

const CHUNK: usize = CHUNK_SIZE_MIN as usize;

fn fault(way: Way, place: Place, mishap: Mishap) -> Option<Fault> {
    Some(Fault { way, place, mishap })
}

/// Packages and a manifest with small chunks, so that a small system has many; its length and that
/// of the chunk lists.
fn image(world: &World, ballast: usize) -> Image {
    let packages = world.packages(ballast);
    let head = Head {
        role: Role::Os,
        product: PRODUCT,
        version: "1",
        counter: 1,
        keyset: 1,
        created: "2026-11-21T00:00:00Z",
    };
    let mut builder = Builder::new(String::new(), &head).unwrap();
    let (mut chunks, mut bytes) = (0, 0);
    for (name, path) in &packages {
        let data = fs::read(path).unwrap();
        let list: Vec<u8> = data
            .chunks(CHUNK)
            .flat_map(|chunk| Sha256::digest(chunk).to_vec())
            .collect();
        let content = Content::Hashed {
            sha256: Sha256::digest(&data).into(),
            size_bytes: data.len() as u64,
            unpacked: None,
            chunk_list_sha256: Sha256::digest(&list).into(),
        };
        let file = File {
            name: PackageName::parse(name.as_bytes()).unwrap(),
            chunk_size: CHUNK_SIZE_MIN,
            content,
        };
        builder.file(&file).unwrap();
        chunks += list.len() / 32;
        bytes += data.len();
    }
    let text = builder.end().unwrap();
    let dir = packages[0].1.parent().unwrap();
    fs::write(dir.join("MANIFEST"), &text).unwrap();
    Image {
        manifest: text.len(),
        chunks,
        bytes,
    }
}

/// The bytes that a deploy has to send.
struct Image {
    manifest: usize,
    chunks: usize,
    bytes: usize,
}

/// Bytes of a message of the channel with so many bytes of payload, records and all
/// (`protocol.md` 3.3).
const fn on_the_wire(payload: usize) -> usize {
    let len = 5 + payload;
    len + len.div_ceil(65_519) * 18
}

impl Image {
    /// Before the first chunk of each connection: M1, M3, Manifest.
    fn opening(&self) -> u64 {
        (78 + 48 + on_the_wire(4 + self.manifest + 2 + self.chunks * 32)) as u64
    }

    /// Consent, all chunks, and Boot. Chunks are full but for the last one of each of the two
    /// files.
    fn body(&self) -> u64 {
        let records = 18 * (2 * self.chunks - 2);
        (self.bytes + 12 * self.chunks + records + 2 * on_the_wire(1)) as u64
    }
}

/// The product's command line as a donor.
struct Donor {
    child: Child,
}

impl Donor {
    fn start(world: &World, proxy: &Proxy) -> Self {
        let secret = world.dir.path().join("secret");
        fs::write(&secret, world.secret(0)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_spk-visor"))
            .args(["deploy-system-img-copy", &world.code(0), "--json"])
            .args(["--to", &proxy.address().to_string()])
            .arg("--secret-file")
            .arg(&secret)
            .arg("--packages")
            .arg(world.dir.path().join("packages"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Its exit code and everything it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        let (mut out, mut err) = (self.child.stdout.take(), self.child.stderr.take());
        let said = std::thread::spawn(move || {
            let mut said = String::new();
            err.as_mut().unwrap().read_to_string(&mut said).unwrap();
            said
        });
        out.as_mut().unwrap().read_to_string(&mut text).unwrap();
        text += &said.join().unwrap();
        (self.child.wait().unwrap().code(), text)
    }

    /// Reads its events until one contains `part`.
    fn wait_for(&mut self, part: &str) {
        let out = BufReader::new(self.child.stdout.take().unwrap());
        for line in out.lines() {
            if line.unwrap().contains(part) {
                return;
            }
        }
        panic!("the donor never said {part}");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Runs donors, one after the other, until the target is installed; a donor that stops has said
/// why. Returns how many it took.
fn deploy(world: World, proxy: &Proxy, ballast: usize) -> usize {
    told_deploy(world, proxy, ballast).0
}

/// The same, with what the last donor told.
fn told_deploy(world: World, proxy: &Proxy, ballast: usize) -> (usize, String) {
    for count in 1.. {
        let (code, text) = Donor::start(&world, proxy).end();
        if code == Some(0) {
            let root = world.root();
            let (_dir, lines, result) = world.end();
            result.unwrap_or_else(|error| panic!("{error}: {:#?}", lines.all()));
            assert_eq!(world::ballast(&root).len(), ballast);
            assert_eq!(find(&root), 4, "files of the system");
            return (count, text);
        }
        let is_explained = text.contains("\"event\":\"failed\"") && text.contains("\"reason\":");
        assert!(is_explained, "exit {code:?}, and no reason: {text}");
        let can_go_on = count < 50 && !world.has_ended();
        assert!(can_go_on, "it never ends: {text} {:#?}", world.screen());
    }
    unreachable!()
}

/// How many of the system's own files there are.
fn find(root: &Path) -> usize {
    let files = [
        "boot/vmlinuz-6.12",
        "etc/os-release",
        "usr/lib/smechvisor/grub/core.img",
        "var/ballast",
    ];
    files.iter().filter(|file| root.join(file).exists()).count()
}

/// All that were to happen have happened.
fn all_met(proxy: &Proxy, faults: usize) {
    let passed = proxy.passed();
    assert!(passed.len() > faults, "{passed:?}");
    let met = passed.iter().filter(|passed| passed.fault_met).count();
    assert_eq!(met, faults, "{passed:?}");
}

#[test]
fn cut_behind_every_message_of_the_handshake() {
    let mut faults = Vec::new();
    for mishap in [Mishap::Reset, Mishap::Close] {
        for way in [Way::ToTarget, Way::ToDonor] {
            for count in 0..=2 {
                faults.push(fault(way, Place::Message(count), mishap));
            }
        }
    }
    let world = World::start("faults-handshake", Policy::Secret, Trust::default());
    image(&world, 1000);
    let proxy = Proxy::start(world.address, faults.clone());
    deploy(world, &proxy, 1000);
    all_met(&proxy, faults.len());
}

#[test]
fn cut_in_the_middle_of_every_message_of_the_handshake() {
    // M1 is 78 bytes, M2 between 74 and 586, M3 and M4 48 each.
    let places = [
        (Way::ToTarget, 40),
        (Way::ToDonor, 20),
        (Way::ToDonor, 60),
        (Way::ToTarget, 78 + 47),
    ];
    let faults: Vec<_> = places
        .into_iter()
        .map(|(way, byte)| fault(way, Place::Byte(byte), Mishap::Reset))
        .collect();
    let world = World::start("faults-middle", Policy::Secret, Trust::default());
    image(&world, 1000);
    let proxy = Proxy::start(world.address, faults.clone());
    deploy(world, &proxy, 1000);
    all_met(&proxy, faults.len());
}

#[test]
fn one_bit_of_each_message_of_the_handshake() {
    // Suite, nonce, proof; policy, info. Three of them look like wrong guesses to the target; a
    // fourth would cost a pause.
    let places = [
        (Way::ToTarget, 5),
        (Way::ToTarget, 20),
        (Way::ToTarget, 78 + 20),
        (Way::ToDonor, 6),
        (Way::ToDonor, 45),
    ];
    let faults: Vec<_> = places
        .into_iter()
        .map(|(way, byte)| fault(way, Place::Byte(byte), Mishap::Flip))
        .collect();
    let world = World::start("faults-bits", Policy::Secret, Trust::default());
    image(&world, 1000);
    let proxy = Proxy::start(world.address, faults.clone());
    deploy(world, &proxy, 1000);
    all_met(&proxy, faults.len());
}

/// Cuts behind message after message of one way, each in a deploy of its own, until a deploy has no
/// more of them.
fn behind_every_record(way: Way, name: &str) -> u64 {
    for count in 3.. {
        let world = World::start(name, Policy::Secret, Trust::default());
        image(&world, 200_000);
        let cut = fault(way, Place::Message(count), Mishap::Reset);
        let proxy = Proxy::start(world.address, vec![cut]);
        let runs = deploy(world, &proxy, 200_000);
        assert_eq!(runs, 1, "a paired donor comes back by itself");
        if !proxy.passed()[0].fault_met {
            return count - 3;
        }
    }
    unreachable!()
}

#[test]
fn cut_behind_every_record_to_the_target() {
    // Manifest, Consent, four chunks of the base in two records each, one of GRUB, Boot.
    let count = behind_every_record(Way::ToTarget, "faults-down");
    assert!(count >= 8, "only {count} records");
}

#[test]
fn cut_behind_every_record_to_the_donor() {
    // Accept, one Progress at least per stage, Installed.
    let count = behind_every_record(Way::ToDonor, "faults-up");
    assert!(count >= 6, "only {count} records");
}

/// The chunk that each connection began with, by the donor's events. All in the first file.
fn beginnings(events: &str) -> Vec<u64> {
    let accepted = events
        .lines()
        .filter(|line| line.contains("\"event\":\"accepted\""));
    let chunk = |line: &str| match line.split_once("\"chunk\":") {
        Some((_, rest)) => rest.trim_end_matches('}').parse().unwrap(),
        None => 0,
    };
    accepted.map(chunk).collect()
}

/// A deploy whose every connection breaks, each at another place of a chunk. Counts what is sent
/// more than once.
fn resent(name: &str, ballast: usize, mishaps: &[Mishap], cuts: usize) {
    let world = World::start(name, Policy::Secret, Trust::default());
    let image = image(&world, ballast);
    assert!(image.chunks > cuts + 2, "{} chunks", image.chunks);
    let chunk = on_the_wire(7 + CHUNK) as u64;
    // Only the first connection agrees to the disk.
    let opened = |cut: usize| image.opening() + if cut == 0 { on_the_wire(1) as u64 } else { 0 };
    // Each connection brings one whole chunk and a part of the next, a longer one each time.
    let faults: Vec<_> = (0..cuts as u64)
        .map(|cut| {
            let part = chunk * cut / cuts as u64;
            let place = Place::Byte(opened(cut as usize) + chunk + part);
            fault(Way::ToTarget, place, mishaps[cut as usize % mishaps.len()])
        })
        .collect();
    let proxy = Proxy::start(world.address, faults);
    let (runs, events) = told_deploy(world, &proxy, ballast);
    assert_eq!(runs, 1, "a paired donor comes back by itself");
    all_met(&proxy, cuts);
    let (passed, starts) = (proxy.passed(), beginnings(&events));
    assert_eq!(passed.len(), cuts + 1, "{passed:?}");
    assert_eq!(starts.len(), cuts + 1, "{events}");
    let twice: Vec<u64> = (0..cuts)
        .map(|cut| {
            let kept = (starts[cut + 1] - starts[cut]) * chunk;
            passed[cut].to_target - opened(cut) - kept
        })
        .collect();
    let sum: u64 = twice.iter().sum();
    // Nothing is in flight behind a cut: the proxy waits until what it has forwarded has arrived.
    // Behind a flipped bit the donor goes on until it hears of it, and how far it comes is the
    // kernels' affair.
    let is_cut = |cut: &usize| !matches!(mishaps[cut % mishaps.len()], Mishap::Flip);
    let most = (0..cuts)
        .filter(is_cut)
        .map(|cut| twice[cut])
        .max()
        .unwrap();
    println!(
        "{name}: {cuts} cuts, {} bytes of chunks, sent twice {sum}, behind one cut at most {most} (a chunk is {chunk})",
        image.body()
    );
    assert!(most <= chunk, "{twice:?}");
    // The bytes needed once and the bytes sent twice add up to all.
    let sent: u64 = passed.iter().map(|passed| passed.to_target).sum();
    assert_eq!(
        sent,
        (cuts as u64 + 1) * image.opening() + image.body() + sum
    );
}

#[test]
fn reset_at_a_hundred_places_in_the_data() {
    resent("faults-resets", 6_700_000, &[Mishap::Reset], 100);
}

#[test]
fn closed_half_closed_and_flipped_in_the_data() {
    let mishaps = [Mishap::Close, Mishap::HalfClose, Mishap::Flip];
    resent("faults-mixed", 2_200_000, &mishaps, 30);
}

#[test]
fn acknowledgements_that_come_late_change_nothing() {
    let world = World::start("faults-late", Policy::Secret, Trust::default());
    let image = image(&world, 1_000_000);
    // Everything behind Accept waits until the donor has sent all chunks.
    let until = image.opening() + image.body() - on_the_wire(1) as u64;
    let late = fault(Way::ToDonor, Place::Message(3), Mishap::HoldUntil(until));
    let proxy = Proxy::start(world.address, vec![late]);
    assert_eq!(deploy(world, &proxy, 1_000_000), 1);
    let passed = proxy.passed();
    assert_eq!(passed.len(), 1, "{passed:?}");
    assert!(passed[0].fault_met);
}

/// A stall ends when the target gives up, which it does after 30 seconds; the donor then hears of
/// it and comes back.
#[test]
fn a_stall_costs_its_time_and_nothing_else() {
    let world = World::start("faults-stall", Policy::Secret, Trust::default());
    let image = image(&world, 1_000_000);
    let place = Place::Byte(image.opening() + 300_000);
    let proxy = Proxy::start(
        world.address,
        vec![fault(Way::ToTarget, place, Mishap::Stall)],
    );
    assert_eq!(deploy(world, &proxy, 1_000_000), 1);
    all_met(&proxy, 1);
}

#[test]
fn a_donor_that_was_killed_is_started_again() {
    let world = World::start("faults-killed", Policy::Secret, Trust::default());
    let image = image(&world, 1_000_000);
    let place = Place::Byte(image.opening() + 300_000);
    let proxy = Proxy::start(
        world.address,
        vec![fault(Way::ToTarget, place, Mishap::Stall)],
    );
    let mut donor = Donor::start(&world, &proxy);
    donor.wait_for("\"accepted\"");
    // Four chunks have gone through before the stall; the target says so on its screen when the
    // donor is gone.
    proxy.wait_for_fault();
    donor.kill();
    let (_, waiting) = world.lines.wait_for(0, "resume file=");
    assert!(waiting.contains("resume file=0 chunk=4"), "{waiting}");
    assert_eq!(deploy(world, &proxy, 1_000_000), 1);
}

#[test]
fn a_target_is_found_again_at_another_address() {
    let world = World::start("faults-moved", Policy::Secret, Trust::default());
    let image = image(&world, 1_000_000);
    let place = Place::Byte(image.opening() + 300_000);
    let cut = fault(Way::ToTarget, place, Mishap::Stall);
    let (before, after) = (
        Proxy::start(world.address, vec![cut]),
        Proxy::start(world.address, vec![]),
    );
    let donor = Donor::start(&world, &before);
    before.wait_for_fault();
    donor.kill();
    let _ = world.lines.wait_for(0, "resume file=0 chunk=4");
    assert_eq!(deploy(world, &after, 1_000_000), 1);
}
