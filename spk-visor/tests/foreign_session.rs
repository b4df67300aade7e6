//! The session against peers in Python that were written from `protocol.md` 3 alone and share no
//! code with the product: SPAKE2, Noise, records and messages, each of our ends against the other
//! one of theirs.
//!
//! Python 3 is needed, and nothing but its standard library: without it these tests fail, they are
//! not skipped.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod peer;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use peer::Peer;
use session::keys::PinnedKeys;
use session::{Credential, PairingError, pair_donor, pair_target};
use wire::code::Code;
use wire::handshake::Info;
use wire::message::Message;
use wire::secret::Secret;

const SECRET: &str = "9D4T-X2WM-7";
/// Its parts that go into the handshake (`protocol.md` 3.1).
const CANONICAL: &str = "secret=9D4TX2WM";

fn code() -> Code {
    "e13gts2".parse().unwrap()
}

fn secret() -> Credential {
    Credential::Secret(Secret::parse(SECRET).unwrap())
}

/// Keys of our end, and the words for Python's end.
fn pinned(is_ours_donor: bool) -> (Credential, String) {
    let (donor, target) = PinnedKeys::draw().unwrap();
    let (ours, theirs) = if is_ours_donor {
        (donor, target)
    } else {
        (target, donor)
    };
    let text = theirs.to_text();
    let private = text
        .lines()
        .find_map(|line| line.strip_prefix("private "))
        .unwrap();
    let words = format!("pinned={private},{}", theirs.peer());
    (Credential::Pinned(ours), words)
}

/// Our donor pairs with a Python target and offers a manifest of no use, to see that words come
/// through both ways.
fn our_donor(credential: &Credential, policy: &str) -> (Result<(), PairingError>, String) {
    let mut target = Peer::start("smv2.py", &["target", "e13gts2", policy, "once"]);
    let port: u16 = target.line().parse().unwrap();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let result = pair_donor(&stream, &stream, credential, &code());
    let result = result.map(|(_, mut sealer, info)| {
        assert_eq!(info.as_str(), "peer=python");
        let after = None;
        sealer.send(&Message::Boot { after }).unwrap();
    });
    drop(stream);
    (result, target.rest())
}

#[test]
fn the_primitives_in_python_are_those_of_the_rfcs() {
    assert_eq!(Peer::start("crypto.py", &[]).rest(), "ok\n");
}

#[test]
fn our_donor_pairs_with_a_foreign_target() {
    let (keys, words) = pinned(true);
    for (credential, policy) in [(secret(), CANONICAL), (keys, words.as_str())] {
        let (result, text) = our_donor(&credential, policy);
        result.unwrap();
        assert_eq!(text, "paired\nbroken kind 13 instead of a manifest\n");
    }
}

#[test]
fn our_donor_and_a_foreign_target_with_another_secret_do_not_pair() {
    let (_, words) = pinned(true);
    let (other_keys, _) = pinned(true);
    for (credential, policy) in [(secret(), "secret=9D4TX2WN"), (other_keys, words.as_str())] {
        let (result, text) = our_donor(&credential, policy);
        let error = result.unwrap_err();
        assert!(matches!(error, PairingError::NotBelieved { .. }), "{error}");
        assert_eq!(text, "broken wrong tag\n");
    }
}

#[test]
fn a_foreign_target_under_another_policy_is_refused() {
    let (_, words) = pinned(true);
    let (result, _) = our_donor(&secret(), &words);
    let error = result.unwrap_err().to_string();
    assert_eq!(
        error,
        "the target's policy is pinned, and this donor was given what policy secret needs"
    );
}

/// A Python donor pairs with our target, which reads its first message.
fn our_target(credential: &Credential, policy: &str) -> (Result<String, PairingError>, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let arguments = ["donor", "127.0.0.1", &port, "e13gts2", policy, "a.tar.xz=3"];
    let donor = Peer::start("smv2.py", &arguments);
    let (stream, _) = listener.accept().unwrap();
    let info = Info::parse(b"product=test disk=\"/dev/vda\"").unwrap();
    let paired = pair_target(&stream, &stream, credential, &code(), &info);
    let result = paired.map(|(mut opener, mut sealer)| {
        let mut payload = Vec::new();
        let mut said = String::new();
        if let Message::Manifest { manifest, .. } = opener.next(&mut payload).unwrap() {
            let manifest = wire::manifest::Manifest::parse(manifest).unwrap();
            for file in manifest.files() {
                writeln!(said, "{} {:?}", file.name, file.chunks()).unwrap();
            }
        }
        let text = wire::message::Text::new("no room");
        let code = wire::message::RejectCode::NoDisk;
        sealer.send(&Message::Reject { code, text }).unwrap();
        said
    });
    drop(stream);
    (result, donor.rest())
}

#[test]
fn a_foreign_donor_pairs_with_our_target() {
    let (keys, words) = pinned(false);
    for (credential, policy) in [(secret(), CANONICAL), (keys, words.as_str())] {
        let (result, text) = our_target(&credential, policy);
        assert_eq!(result.unwrap(), "a.tar.xz Some(1)\n");
        assert_eq!(
            text,
            "paired product=test disk=\"/dev/vda\"\nreject 2 no room\n"
        );
    }
}

#[test]
fn a_foreign_donor_with_another_secret_is_a_wrong_guess() {
    let (result, text) = our_target(&secret(), "secret=9D4TX2WN");
    assert!(result.unwrap_err().is_wrong_guess());
    assert!(text.starts_with("broken "), "{text}");
}
