//! Both directions against peers in Python that were written from `protocol.md` and share no code
//! with the product.
//!
//! Python 3 is needed: without it these tests fail, they are not skipped.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod peer;

use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::process::{Command, Output};

use peer::Peer;
use receiver::donor::Network;
use receiver::fakes::ports;
use spk_visor::kernel_net::KernelNetwork;
use tempfile::TempDir;

fn dir(files: &[(&str, usize)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, len) in files {
        fs::write(dir.path().join(file), pattern(*len)).unwrap();
    }
    dir
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

fn donor(dir: &TempDir, to: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spk-visor"))
        .args([
            "deploy-system-img-copy",
            "e13gts2",
            "--legacy",
            "--to",
            to,
            "--packages",
        ])
        .arg(dir.path())
        .output()
        .unwrap()
}

#[test]
fn our_donor_installs_a_foreign_target() {
    let dir = dir(&[
        ("smechvisor-base.tar.xz", 5_000_000),
        ("daemon.tar.zst", 1),
        ("README", 5),
    ]);
    let mut target = Peer::start("target.py", &["0", "e13gts2", "install"]);
    let to = format!("127.0.0.1:{}", target.line());
    let output = donor(&dir, &to);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    // sha256sum of the same patterns, made with Python's hashlib.
    let expected = "smechvisor-base.tar.xz 5000000 d9b380b7e7b4216832cfebb75dbef64d95d592bcad101548204a03d9e0ddce70\n\
                    daemon.tar.zst 1 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d\n";
    assert_eq!(target.finish(), expected);
    for line in [
        "ignoring README: no .tar.xz, .tar.zst or .img",
        "UNAUTHENTICATED",
        "waiting for the target to finish 00:0",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with(&format!("installed on {to} in 00:0")),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "a pipe is no terminal: {text}");
}

#[test]
fn a_foreign_targets_reset_is_exit_code_5() {
    let dir = dir(&[("a.tar.xz", 1000)]);
    let mut target = Peer::start("target.py", &["0", "e13gts2", "fail"]);
    let output = donor(&dir, &format!("127.0.0.1:{}", target.line()));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(
        text.starts_with("spk-visor: the target gave up while finishing"),
        "{text}"
    );
    target.finish();
}

#[test]
fn a_target_that_ends_before_the_terminator_or_talks_is_exit_code_5() {
    let dir = dir(&[("a.tar.xz", 5_000_000)]);
    for verdict in ["leave", "refuse", "talk"] {
        let mut target = Peer::start("target.py", &["0", "e13gts2", verdict]);
        let output = donor(&dir, &format!("127.0.0.1:{}", target.line()));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(5), "{verdict}: {text}");
        target.rest();
    }
}

#[test]
fn a_target_may_close_without_waiting_for_the_donors_end() {
    let dir = dir(&[("a.tar.xz", 1000)]);
    let mut target = Peer::start("target.py", &["0", "e13gts2", "hasty"]);
    let output = donor(&dir, &format!("127.0.0.1:{}", target.line()));
    assert_eq!(output.status.code(), Some(0));
    target.finish();
}

#[test]
fn our_donor_finds_a_foreign_beacon() {
    let listener = donor::discovery::Listener::open(0, None).unwrap();
    let port = listener.port().unwrap().to_string();
    let mut target = Peer::start("target.py", &[&port, "e13gts2", "install"]);
    let stream_port = target.line().parse().unwrap();
    let code = "e13gts2".parse().unwrap();
    let watch = donor::discovery::Watch::start(listener, &[code]).unwrap();
    let address = watch
        .find_one(&code, std::time::Duration::from_secs(20))
        .unwrap();
    let connection = donor::socket::connect(address.at(stream_port), None).unwrap();
    donor::transfer::run(connection, &[], &mut |_| ()).unwrap();
    assert_eq!(target.finish(), "");
}

/// A foreign donor, and everything it sent.
fn receive(is_good: bool) -> (String, Vec<u8>) {
    let (beacon_port, stream_port) = (ports::free(), ports::free());
    let mut donor = Peer::start(
        "donor.py",
        &[
            &beacon_port.to_string(),
            &stream_port.to_string(),
            "e13gts2",
            "smechvisor-base=700000",
            "a.tar.xz=3",
        ],
    );
    assert_eq!(donor.line(), "listening");
    let broadcast = Ipv4Addr::new(127, 255, 255, 255);
    let mut network =
        KernelNetwork::open_towards(beacon_port, stream_port, vec![broadcast]).unwrap();
    let mut accepted = network
        .accept(&"e13gts2".parse().unwrap(), 4, None)
        .unwrap();
    let mut bytes = Vec::new();
    accepted.read_to_end(&mut bytes).unwrap();
    if is_good {
        accepted.succeed().unwrap();
    } else {
        accepted.fail();
    }
    (donor.finish(), bytes)
}

#[test]
fn a_foreign_donor_reaches_our_network_and_learns_of_success() {
    let (word, bytes) = receive(true);
    assert_eq!(word, "FIN\n");
    let expected = [
        &[0, 0, 0, 15],
        &b"smechvisor-base"[..],
        &700_000u64.to_be_bytes(),
        &pattern(700_000),
        &[0, 0, 0, 8],
        b"a.tar.xz",
        &3u64.to_be_bytes(),
        &[0, 1, 2],
        &[0; 4],
    ]
    .concat();
    assert!(
        bytes == expected,
        "{} bytes instead of {}",
        bytes.len(),
        expected.len()
    );
}

#[test]
fn a_foreign_donor_learns_of_failure() {
    assert_eq!(receive(false).0, "RST\n");
}
