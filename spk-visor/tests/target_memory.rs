//! The memory that a donor and strangers can make a target keep, measured on a process of its own:
//! connections that say anything, the longest manifest there may be, and a whole deploy.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod world;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Instant;

use bundle::trust::Trust;
use receiver::fakes::PATIENCE;
use receiver::policy::Policy;
use session::Credential;
use wire::code::Code;
use wire::message::{CHUNK_LISTS_MAX, MANIFEST_MAX, Message, SIGNATURE_MAX};
use wire::secret::Secret;
use world::World;

const CHILD: &str = "SMV_TARGET_MEMORY_TEST";
/// The longest manifest with its chunk lists (`protocol.md` 3.6), the records of both directions,
/// and this test's own copy of the chunk lists: measured 5.5 MB.
const MANIFEST_BYTES: usize = 8 << 20;
/// Two chunks, pipes, the decoder's window and stacks, of an image of 96 MiB: measured 8.4 MB.
const DEPLOY_BYTES: usize = 16 << 20;
/// This test's own MiB, and what the target keeps of them: nothing.
const STRANGER_BYTES: usize = 2 << 20;

#[test]
fn neither_strangers_nor_a_donor_fill_a_target() {
    if env::var_os(CHILD).is_some() {
        return measure();
    }
    // As musl's allocator does it in the real thing: what is large goes back to the system when it
    // is freed.
    let status = Command::new(env::current_exe().unwrap())
        .env(CHILD, "1")
        .env("MALLOC_MMAP_THRESHOLD_", "131072")
        .env("MALLOC_ARENA_MAX", "1")
        .status()
        .unwrap();
    assert!(status.success());
}

/// The most that was resident since the last [`forget_peak`].
fn peak_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

/// proc_pid_clear_refs(5): 5 sets the peak to what is resident now, which is returned.
fn forget_peak() -> usize {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak_bytes()
}

fn measure() {
    let world = World::start("memory", Policy::Secret, Trust::default());
    world.packages(96 << 20);
    let (code, secret) = (world.code(0), world.secret(0));

    let before = forget_peak();
    for _ in 0..50 {
        let mut stranger = connect(&world);
        // It is reset at some point in this.
        let _ = stranger.write_all(&[b'S'; 1 << 20]);
        let _ = stranger.read(&mut [0; 16]);
    }
    let strangers = peak_bytes().saturating_sub(before);
    assert!(
        strangers < STRANGER_BYTES,
        "{strangers} bytes for strangers"
    );

    let before = forget_peak();
    longest_manifest(&world, &code, &secret);
    let manifest = peak_bytes().saturating_sub(before);
    assert!(manifest < MANIFEST_BYTES, "{manifest} bytes for a manifest");

    let skip = world.lines.wait_for(0, "smv failed: ").0;
    let (code, secret) = (world.code(skip), world.secret(skip));
    let file = world.dir.path().join("secret");
    fs::write(&file, secret).unwrap();
    let before = forget_peak();
    let donor = Command::new(env!("CARGO_BIN_EXE_spk-visor"))
        .args(["deploy-system-img-copy", &code, "--to"])
        .arg(world.address.to_string())
        .arg("--packages")
        .arg(world.dir.path().join("packages"))
        .arg("--secret-file")
        .arg(file)
        .status()
        .unwrap();
    assert!(donor.success());
    let deploy = peak_bytes().saturating_sub(before);
    assert!(deploy < DEPLOY_BYTES, "{deploy} bytes for a deploy");
    println!("strangers {strangers}, manifest {manifest}, deploy {deploy} bytes");
    world.end().2.unwrap();
}

/// While one peer is being judged, the others are refused; there is no event for the end of that.
fn connect(world: &World) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpStream::connect(world.address) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        thread::yield_now();
    }
}

/// A donor that knows the secret sends as much as a manifest may have. It is no manifest.
fn longest_manifest(world: &World, code: &str, secret: &str) {
    let stream = connect(world);
    let credential = Credential::Secret(Secret::parse(secret).unwrap());
    let code = Code::parse(code).unwrap();
    let (read, write) = (stream.try_clone().unwrap(), stream);
    let (mut opener, mut sealer, _) = session::pair_donor(read, write, &credential, &code).unwrap();
    let longest = vec![b'a'; CHUNK_LISTS_MAX];
    let message = Message::Manifest {
        manifest: &longest[..MANIFEST_MAX],
        signature: &longest[..SIGNATURE_MAX],
        chunk_lists: &longest,
    };
    sealer.send(&message).unwrap();
    let mut payload = Vec::new();
    assert!(matches!(
        opener.next(&mut payload).unwrap(),
        Message::Reject { .. }
    ));
}
