//! The worker that decodes, as the product runs it: shut in, and its death is the end of one deploy
//! and of nothing else.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod faults;
mod world;

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bundle::trust::Trust;
use faults::{Fault, Mishap, Place, Proxy, Way};
use receiver::fakes::PATIENCE;
use receiver::policy::Policy;
use rustix::process::{Pid, Signal, kill_process};
use world::World;

fn donor(world: &World, skip: usize, to: SocketAddr) -> Child {
    let file = world.dir.path().join("secret");
    fs::write(&file, world.secret(skip)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_spk-visor"))
        .args(["deploy-system-img-copy", &world.code(skip), "--to"])
        .arg(to.to_string())
        .arg("--packages")
        .arg(world.dir.path().join("packages"))
        .arg("--secret-file")
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The worker that this process has at the moment.
fn worker() -> Option<i32> {
    let parent = format!("PPid:\t{}\n", std::process::id());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find(|id| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.starts_with(b"smv-decoder\0") && status(*id).contains(&parent)
    })
}

/// Nothing once it is gone.
fn status(id: i32) -> String {
    fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn said(donor: Child) -> (bool, String) {
    let output = donor.wait_with_output().unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_worker_is_shut_in_and_its_death_ends_one_deploy_with_a_reason() {
    let world = World::start("cage", Policy::Secret, Trust::default());
    world.packages(40_000_000);
    // The rest of the package waits for good: the worker cannot be done before it is killed.
    let withheld = Fault {
        way: Way::ToTarget,
        place: Place::Byte(8 << 20),
        mishap: Mishap::HoldUntil(u64::MAX),
    };
    let proxy = Proxy::start(world.address, vec![Some(withheld)]);
    let failing = donor(&world, 0, proxy.address());
    // The worker that is tried before the disk is touched has ended by then.
    world.lines.wait_for(0, "smv receiving: ");
    let id = until("a worker that is shut in", || {
        let id = worker()?;
        let status = status(id);
        let has_filter = status.contains("Seccomp:\t2") || !status.contains("Seccomp:");
        (has_filter && status.contains("NoNewPrivs:\t1")).then_some(id)
    });
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    let (succeeded, text) = said(failing);
    assert!(!succeeded, "{text}");
    let (at, line) = world.lines.wait_for(0, "smv failed: ");
    // While it decoded, or while it was shut in and had not said so yet.
    let is_named = line.contains("decoder") && line.contains("was killed by SIGKILL");
    assert!(is_named, "{line}");
    assert!(!status(id).contains("PPid"), "a zombie is left");

    // A package that is damaged reads as it always did.
    let dir = world.dir.path().join("packages");
    let whole: Vec<_> = fs::read_dir(&dir).unwrap().flatten().collect();
    let largest = whole
        .iter()
        .max_by_key(|file| file.metadata().unwrap().len())
        .unwrap()
        .path();
    let good = fs::read(&largest).unwrap();
    let mut bad = good.clone();
    bad.truncate(good.len() - 5);
    fs::write(&largest, bad).unwrap();
    let (succeeded, text) = said(donor(&world, at, world.address));
    assert!(!succeeded, "{text}");
    let (at, line) = world.lines.wait_for(at + 1, "smv failed: ");
    let reason = format!(
        "it ends at byte {}, in the middle of a compressed stream",
        good.len() - 5
    );
    assert!(
        line.contains("reading ") && line.contains(&reason),
        "{line}"
    );

    // And the same target takes the next one.
    fs::write(&largest, good).unwrap();
    let (succeeded, text) = said(donor(&world, at, world.address));
    assert!(succeeded, "{text} {:#?}", world.screen());
    let root = world.root();
    let (_dir, _, result) = world.end();
    result.unwrap();
    assert_eq!(world::ballast(&root).len(), 40_000_000);
}

#[test]
fn nobody_becomes_a_worker_by_accident() {
    use std::os::unix::process::CommandExt;
    let mut typed = Command::new(env!("CARGO_BIN_EXE_spk-visor"));
    let status = typed
        .arg0("smv-decoder")
        .stdin(Stdio::null())
        .args(["1", "1", "1"])
        .status();
    assert_eq!(status.unwrap().code(), Some(2));
}
