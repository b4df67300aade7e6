//! Both drivers over connections that somebody else holds in the middle: cut, slow, silent, filled
//! with anything.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use session::channel::{Opener, Sealer};
use session::{
    Credential, HandshakeError, PairingError, PinnedKeys, Step, TargetInfo, pair_donor, pair_target,
};
use wire::code::Code;
use wire::handshake::{Info, M1_LEN, M3_LEN, M4_LEN, Policy};
use wire::message::{After, Message, Text};
use wire::outcome::Outcome;
use wire::secret::Secret;

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

fn info() -> Info {
    Info::parse(b"smv=0.1.0").unwrap()
}

fn credentials(policy: Policy) -> (Credential, Credential) {
    match policy {
        Policy::Secret => {
            let secret = Credential::Secret(Secret::parse("9D4T-X2WM-7").unwrap());
            (secret.clone(), secret)
        }
        Policy::Pinned => {
            let (donor, target) = PinnedKeys::draw().unwrap();
            (Credential::Pinned(donor), Credential::Pinned(target))
        }
    }
}

type AtDonor<R, W> = Result<(Opener<R>, Sealer<W>, TargetInfo), PairingError>;
type AtTarget<R, W> = Result<(Opener<R>, Sealer<W>), PairingError>;

fn at_target<R: Read, W: Write>(read: R, write: W, credential: &Credential) -> AtTarget<R, W> {
    pair_target(read, write, credential, &code(), &info())
}

fn at_donor<R: Read, W: Write>(read: R, write: W, credential: &Credential) -> AtDonor<R, W> {
    pair_donor(read, write, credential, &code())
}

/// Both ends of a connection, one of them on another thread.
fn over<T: Send>(
    donor: impl FnOnce(UnixStream) -> T + Send,
    target: impl FnOnce(UnixStream) -> T + Send,
) -> (T, T) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        let donor = scope.spawn(|| donor(ours));
        let target = target(theirs);
        (donor.join().unwrap(), target)
    })
}

/// Reads one byte at a time and stops, as a closed connection does, after `left` of them. Keeps
/// what it has read.
struct Cut<R> {
    read: R,
    left: usize,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl<R> Cut<R> {
    fn new(read: R, left: usize) -> (Self, Arc<Mutex<Vec<u8>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let cut = Self {
            read,
            left,
            seen: Arc::clone(&seen),
        };
        (cut, seen)
    }
}

impl<R: Read> Read for Cut<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = to.len().min(1).min(self.left);
        let len = self.read.read(&mut to[..most])?;
        self.left -= len;
        self.seen.lock().unwrap().extend(&to[..len]);
        Ok(len)
    }
}

/// The messages that each end reads in one good pairing: at the donor M2 and M4, at the target M1
/// and M3.
fn recorded(both: &(Credential, Credential)) -> (Vec<u8>, Vec<u8>) {
    over(
        |stream| {
            let (cut, seen) = Cut::new(&stream, usize::MAX);
            at_donor(cut, &stream, &both.0).unwrap();
            seen.lock().unwrap().clone()
        },
        |stream| {
            let (cut, seen) = Cut::new(&stream, usize::MAX);
            at_target(cut, &stream, &both.1).unwrap();
            seen.lock().unwrap().clone()
        },
    )
}

#[test]
fn both_ends_pair_and_speak() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        over(
            |stream| {
                let (mut opener, mut sealer, said) = at_donor(&stream, &stream, &both.0).unwrap();
                assert_eq!(said, info());
                sealer
                    .send(&Message::Boot {
                        after: Some(After::Reboot),
                    })
                    .unwrap();
                let mut payload = Vec::new();
                let text = Text::new("no");
                assert_eq!(opener.next(&mut payload).unwrap(), Message::Failed { text });
            },
            |stream| {
                let (mut opener, mut sealer) = at_target(&stream, &stream, &both.1).unwrap();
                let mut payload = Vec::new();
                let boot = Message::Boot {
                    after: Some(After::Reboot),
                };
                assert_eq!(opener.next(&mut payload).unwrap(), boot);
                let text = Text::new("no");
                sealer.send(&Message::Failed { text }).unwrap();
            },
        );
    }
}

#[test]
fn every_truncation_of_what_a_donor_sends_is_refused() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        for len in 0..M1_LEN + M3_LEN {
            let (_, error) = over(
                |stream| at_donor(&stream, &stream, &both.0).err(),
                |stream| {
                    let (cut, _) = Cut::new(&stream, len);
                    at_target(cut, &stream, &both.1).err()
                },
            );
            let expected = if len < M1_LEN { Step::M1 } else { Step::M3 };
            let error = error.unwrap();
            assert!(
                matches!(error, PairingError::Closed { step } if step == expected),
                "{error}"
            );
            assert!(!error.is_wrong_guess() && error.outcome() == Outcome::Retry);
        }
    }
}

#[test]
fn every_truncation_of_what_a_target_sends_is_refused() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        let all = recorded(&both).0.len();
        for len in 0..all {
            let (error, _) = over(
                |stream| {
                    let (cut, _) = Cut::new(&stream, len);
                    at_donor(cut, &stream, &both.0).err()
                },
                |stream| at_target(&stream, &stream, &both.1).err(),
            );
            match error.unwrap() {
                PairingError::Closed { step: Step::M2 } => assert!(len < all - M4_LEN),
                PairingError::NotBelieved { policy: own } => {
                    assert!(len >= all - M4_LEN && own == policy);
                }
                error => panic!("{error} after {len} bytes"),
            }
        }
    }
}

#[test]
fn both_ends_report_a_wrong_secret() {
    let wrong = Credential::Secret(Secret::parse("00000000-3").unwrap());
    let right = credentials(Policy::Secret).1;
    let (at_donor, at_target) = over(
        |stream| at_donor(&stream, &stream, &wrong).err(),
        |stream| at_target(&stream, &stream, &right).err(),
    );
    let (at_donor, at_target) = (at_donor.unwrap(), at_target.unwrap());
    assert!(at_target.is_wrong_guess());
    assert_eq!(at_target.outcome(), Outcome::Refuse);
    assert_eq!(at_donor.outcome(), Outcome::Refuse);
    assert_eq!(
        at_donor.to_string(),
        "the target closed the connection when it had seen our proof: the secret is not the one on its screen"
    );
}

#[test]
fn a_donor_reports_the_policy_of_the_target() {
    let (donor, _) = credentials(Policy::Secret);
    let (_, target) = credentials(Policy::Pinned);
    let (at_donor, at_target) = over(
        |stream| at_donor(&stream, &stream, &donor).err(),
        |stream| at_target(&stream, &stream, &target).err(),
    );
    assert_eq!(
        at_donor.unwrap().to_string(),
        "the target's policy is pinned, and this donor was given what policy secret needs"
    );
    let at_target = at_target.unwrap();
    assert!(!at_target.is_wrong_guess());
    assert!(matches!(
        at_target,
        PairingError::Handshake(HandshakeError::PeerPolicy {
            own: Policy::Pinned
        })
    ));
}

#[test]
fn a_foreign_protocol_gets_no_answer() {
    let target = credentials(Policy::Secret).1;
    for begin in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\0\0\0\x0fsmechvisor-base",
        b"SMV1\x02\x01",
        b"SMV2\x01\x01",
        b"SMV2\x02\x02",
    ] {
        let mut bytes = begin.to_vec();
        bytes.resize(200, b'x');
        let mut answer = Vec::new();
        let error = at_target(&bytes[..], &mut answer, &target).unwrap_err();
        assert!(
            matches!(error, PairingError::Handshake(HandshakeError::Hello { .. })),
            "{error}"
        );
        assert!(answer.is_empty());
    }
}

#[test]
fn a_reader_that_loses_patience_ends_it() {
    struct Silent;

    impl Read for Silent {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }

    let both = credentials(Policy::Secret);
    let error = at_donor(Silent, io::sink(), &both.0).unwrap_err();
    assert_eq!(error.to_string(), "receiving M2 of the handshake");
    assert_eq!(error.outcome(), Outcome::Retry);
    let error = at_target(Silent, io::sink(), &both.1).unwrap_err();
    assert_eq!(error.to_string(), "receiving M1 of the handshake");
}

/// Repeatable, and different for each seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Messages of an attacker who has seen other pairings with the same credential: whole messages of
/// theirs in any order, pieces, changed bits, own inventions.
fn anything(dice: &mut Dice, seen: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + dice.below(5) {
        let from = &seen[dice.below(seen.len())];
        let end = match dice.below(4) {
            0 => dice.below(from.len()),
            _ => from.len(),
        };
        let at = bytes.len();
        bytes.extend(&from[..end]);
        match dice.below(3) {
            0 if end > 0 => bytes[at + dice.below(end)] ^= 1 << dice.below(8),
            1 => bytes.extend((0..dice.below(80)).map(|_| 0)),
            _ => {}
        }
    }
    bytes
}

#[test]
fn arbitrary_messages_in_arbitrary_order_never_pair() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (to_donor, to_target) = recorded(&both);
            let (m2, m4) = to_donor.split_at(to_donor.len() - M4_LEN);
            let (m1, m3) = to_target.split_at(M1_LEN);
            seen.extend([m1, m2, m3, m4, &to_donor, &to_target].map(<[u8]>::to_vec));
        }
        let mut dice = Dice(0x5eed_0000 + u64::from(policy.number()));
        let mut deepest = 0;
        for round in 0..4000 {
            let bytes = anything(&mut dice, &seen);
            let mut answer = Vec::new();
            let error = at_target(&bytes[..], &mut answer, &both.1)
                .expect_err("a target paired with nobody");
            deepest += usize::from(error.is_wrong_guess());
            assert_ne!(error.outcome(), Outcome::Fatal, "round {round}: {error}");
            let error =
                at_donor(&bytes[..], io::sink(), &both.0).expect_err("a donor paired with nobody");
            let is_deep = matches!(
                error,
                PairingError::Handshake(HandshakeError::TargetUnproven { .. })
            );
            deepest += usize::from(is_deep);
            assert_ne!(error.outcome(), Outcome::Fatal, "round {round}: {error}");
        }
        // The proofs themselves were reached and failed, or this test would show nothing.
        assert!(deepest > 400, "{deepest}");
    }
}
