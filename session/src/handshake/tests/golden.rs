//! The bytes that another implementation makes of the same inputs.

use std::collections::BTreeMap;

use wire::handshake::Policy;
use wire::message::{After, End, Message, RejectCode};

use super::{code, credentials, info};
use crate::keys::PinnedKeys;
use crate::randomness::HandshakeRandom;
use crate::{Credential, donor, target};

/// The named numbers of a golden file.
fn golden(text: &str) -> BTreeMap<&str, Vec<u8>> {
    let lines = text.lines().map(|line| line.split_once(": ").unwrap());
    lines.map(|(name, hex)| (name, unhex(hex))).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn fixed(golden: &BTreeMap<&str, Vec<u8>>, end: &str) -> HandshakeRandom {
    let named = |what: &str| golden[format!("{end} {what}").as_str()].clone();
    HandshakeRandom {
        nonce: named("nonce").try_into().unwrap(),
        scalar: named("scalar").try_into().unwrap(),
        ephemeral: named("ephemeral").try_into().unwrap(),
    }
}

fn golden_keys(golden: &BTreeMap<&str, Vec<u8>>, end: &str, other: &str) -> Credential {
    let private = |end: &str| -> [u8; 32] {
        golden[format!("{end} private").as_str()]
            .clone()
            .try_into()
            .unwrap()
    };
    let hex = |key: &[u8; 32]| {
        key.iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let peer = crate::keys::public_key(&private(other)).unwrap();
    let text = format!(
        "smechvisor-keys 1\nend {end}\nprivate {}\npeer {}\n",
        hex(&private(end)),
        hex(peer.as_bytes())
    );
    Credential::Pinned(PinnedKeys::parse(&text).unwrap())
}

fn check_golden(golden: &BTreeMap<&str, Vec<u8>>, ours: &Credential, theirs: &Credential) {
    let (await_m2, m1) = donor::begin(ours, &code(), fixed(golden, "donor")).unwrap();
    assert_eq!(m1[..], golden["m1"]);
    let (code, info) = (code(), info());
    let answer = target::begin(theirs, &code, &info, fixed(golden, "target"))
        .take(&m1)
        .unwrap();
    assert_eq!(answer.m2, golden["m2"]);
    let (await_m4, m3) = await_m2.take(&answer.m2).unwrap();
    assert_eq!(m3[..], golden["m3"]);
    let (target, m4) = answer.next.unwrap().take(&m3).unwrap();
    assert_eq!(m4[..], golden["m4"]);
    let donor = await_m4.take(&m4).unwrap();

    let boot = Message::Boot {
        after: Some(After::Kexec),
    };
    let reject = Message::Reject {
        code: RejectCode::NoDisk,
        text: "/dev/vda".into(),
    };
    let (mut from_donor, mut from_target) = (Vec::new(), Vec::new());
    let (_, mut sealer) = donor.channel(&[][..], &mut from_donor);
    sealer.send(&boot).unwrap();
    sealer.send(&boot).unwrap();
    let (_, mut sealer) = target.channel(&[][..], &mut from_target);
    sealer.send(&reject).unwrap();
    let expected = [&golden["donor record 0"][..], &golden["donor record 1"]].concat();
    assert_eq!(from_donor, expected);
    assert_eq!(from_target, golden["target record 0"]);
}

#[test]
fn another_implementation_makes_the_same_bytes_of_a_secret() {
    let golden = golden(include_str!("../../../tests/golden/secret.txt"));
    let (ours, theirs) = credentials(Policy::Secret);
    check_golden(&golden, &ours, &theirs);
}

#[test]
fn another_implementation_makes_the_same_bytes_of_pinned_keys() {
    let golden = golden(include_str!("../../../tests/golden/pinned.txt"));
    let ours = golden_keys(&golden, "donor", "target");
    let theirs = golden_keys(&golden, "target", "donor");
    check_golden(&golden, &ours, &theirs);
    assert!(matches!(&ours, Credential::Pinned(keys) if keys.end() == End::Donor));
}
