mod golden;

use std::collections::BTreeMap;

use wire::code::Code;
use wire::handshake::{Info, M1_LEN, M2_HEAD_LEN, M3_LEN, M4_LEN, Policy};
use wire::message::{After, Message};
use wire::secret::Secret;

use super::{HandshakeError, Paired};
use crate::keys::PinnedKeys;
use crate::pairing::Step;
use crate::randomness::HandshakeRandom;
use crate::{Credential, donor, target};

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

fn info() -> Info {
    Info::parse(b"smv=0.1.0 cpus=2").unwrap()
}

fn secret(text: &str) -> Credential {
    Credential::Secret(Secret::parse(text).unwrap())
}

/// The credentials of both ends under each policy: donor, target.
fn credentials(policy: Policy) -> (Credential, Credential) {
    match policy {
        Policy::Secret => (secret("9D4T-X2WM-7"), secret("9d4tx2wm7")),
        Policy::Pinned => {
            let (donor, target) = PinnedKeys::draw().unwrap();
            (Credential::Pinned(donor), Credential::Pinned(target))
        }
    }
}

/// How a conversation ended at each end; `None` where an end was never asked.
struct Ended {
    donor: Option<Result<Paired, HandshakeError>>,
    target: Option<Result<Paired, HandshakeError>>,
}

impl Ended {
    fn both(self) -> (Paired, Paired) {
        (self.donor.unwrap().unwrap(), self.target.unwrap().unwrap())
    }

    fn donor_is_paired(&self) -> bool {
        matches!(self.donor, Some(Ok(_)))
    }

    fn target_is_paired(&self) -> bool {
        matches!(self.target, Some(Ok(_)))
    }

    fn donor_error(self) -> HandshakeError {
        self.donor.unwrap().err().unwrap()
    }

    fn target_error(self) -> HandshakeError {
        self.target.unwrap().err().unwrap()
    }
}

/// A whole handshake; `between` may change each message on its way.
fn converse(
    (ours, theirs): &(Credential, Credential),
    mut between: impl FnMut(Step, &mut Vec<u8>),
) -> Ended {
    let mut ended = Ended {
        donor: None,
        target: None,
    };
    let (await_m2, m1) = donor::begin(ours, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    let m1: [u8; M1_LEN] = carried(Step::M1, &m1, &mut between);
    let (code, info) = (code(), info());
    let await_m1 = target::begin(theirs, &code, &info, HandshakeRandom::fresh().unwrap());
    let answer = match await_m1.take(&m1) {
        Ok(answer) => answer,
        Err(error) => {
            ended.target = Some(Err(error));
            return ended;
        }
    };
    let mut m2 = answer.m2;
    between(Step::M2, &mut m2);
    // As the driver does it: the head says how long the rest is.
    let head = m2[..M2_HEAD_LEN].try_into().unwrap();
    let taken = await_m2.rest_len(head).and_then(|_| await_m2.take(&m2));
    let (await_m4, m3) = match (taken, &answer.next) {
        (Ok(taken), Ok(_)) => taken,
        (taken, _) => {
            ended.donor = taken.err().map(Err);
            ended.target = answer.next.err().map(Err);
            return ended;
        }
    };
    let m3: [u8; M3_LEN] = carried(Step::M3, &m3, &mut between);
    match answer.next.unwrap().take(&m3) {
        Ok((paired, m4)) => {
            ended.target = Some(Ok(paired));
            let m4: [u8; M4_LEN] = carried(Step::M4, &m4, &mut between);
            ended.donor = Some(await_m4.take(&m4));
        }
        Err(error) => ended.target = Some(Err(error)),
    }
    ended
}

fn carried<const N: usize>(
    step: Step,
    message: &[u8; N],
    between: &mut impl FnMut(Step, &mut Vec<u8>),
) -> [u8; N] {
    let mut bytes = message.to_vec();
    between(step, &mut bytes);
    bytes.try_into().unwrap()
}

fn honest(_: Step, _: &mut Vec<u8>) {}

const STEPS: [Step; 4] = [Step::M1, Step::M2, Step::M3, Step::M4];

#[test]
fn both_ends_pair_when_they_know_the_same() {
    for policy in Policy::ALL {
        let (donor, target) = converse(&credentials(policy), honest).both();
        assert_eq!(donor.info(), &info());
        let mut wire = Vec::new();
        let boot = Message::Boot {
            after: Some(After::Kexec),
        };
        let (_, mut sealer) = donor.channel(&[][..], &mut wire);
        sealer.send(&boot).unwrap();
        drop(sealer);
        let (mut opener, _) = target.channel(&wire[..], Vec::new());
        assert_eq!(opener.next(&mut Vec::new()).unwrap(), boot);
    }
}

#[test]
fn a_wrong_secret_is_a_wrong_guess() {
    let ended = converse(&(secret("9D4T-X2WM-7"), secret("00000000-3")), honest);
    assert!(!ended.donor_is_paired());
    let error = ended.target_error();
    assert!(error.is_wrong_guess());
    assert_eq!(
        error.to_string(),
        "the donor does not prove that it knows the secret"
    );
}

#[test]
fn every_bit_of_a_secret_counts() {
    let random = [0x4b, 0x49, 0xae, 0x8b, 0x94];
    for bit in 0..40 {
        let mut other = random;
        other[bit / 8] ^= 1 << (bit % 8);
        let both = (
            Credential::Secret(Secret::draw(random)),
            Credential::Secret(Secret::draw(other)),
        );
        assert!(converse(&both, honest).target_error().is_wrong_guess());
    }
}

#[test]
fn wrong_keys_are_a_wrong_guess() {
    let (donor, target) = credentials(Policy::Pinned);
    let (other_donor, other_target) = credentials(Policy::Pinned);
    for pair in [(other_donor, target), (donor, other_target)] {
        assert!(converse(&pair, honest).target_error().is_wrong_guess());
    }
}

#[test]
fn keys_of_the_other_end_are_refused_before_anything_is_sent() {
    let (donor, target) = credentials(Policy::Pinned);
    assert!(matches!(
        donor::begin(&target, &code(), HandshakeRandom::fresh().unwrap()),
        Err(HandshakeError::Keys { .. })
    ));
    let (_, m1) = donor::begin(&donor, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
    let (code, info) = (code(), info());
    let await_m1 = target::begin(&donor, &code, &info, HandshakeRandom::fresh().unwrap());
    assert!(matches!(
        await_m1.take(&m1),
        Err(HandshakeError::Keys { .. })
    ));
}

#[test]
fn policies_do_not_meet_and_neither_end_falls_back() {
    let (secret_donor, secret_target) = credentials(Policy::Secret);
    let (pinned_donor, pinned_target) = credentials(Policy::Pinned);
    for (pair, own, theirs) in [
        (
            (secret_donor, pinned_target),
            Policy::Secret,
            Policy::Pinned,
        ),
        (
            (pinned_donor, secret_target),
            Policy::Pinned,
            Policy::Secret,
        ),
    ] {
        let ended = converse(&pair, honest);
        assert!(
            matches!(ended.target, Some(Err(HandshakeError::PeerPolicy { own })) if own == theirs)
        );
        assert!(matches!(
            ended.donor_error(),
            HandshakeError::TargetPolicy { theirs: t, own: o } if (t, o) == (theirs, own)
        ));
        // Somebody in between makes each end believe that the other has its own policy.
        let ended = converse(&pair, |step, bytes| match step {
            Step::M1 if theirs == Policy::Pinned => bytes[45..].fill(0),
            Step::M1 => bytes[45..].copy_from_slice(&some_share()),
            Step::M2 => {
                bytes[6] = own.number();
                let spake = bytes.len() - 33;
                match own {
                    Policy::Secret => bytes[spake..].copy_from_slice(&some_share_of_b()),
                    Policy::Pinned => bytes[spake..].fill(0),
                }
            }
            _ => {}
        });
        assert!(!ended.donor_is_paired());
        assert!(ended.target_error().is_wrong_guess());
    }
}

/// A valid SPAKE2 message of side A.
fn some_share() -> [u8; 33] {
    let (_, m1) = donor::begin(
        &secret("9D4TX2WM7"),
        &code(),
        HandshakeRandom::fresh().unwrap(),
    )
    .unwrap();
    m1[45..].try_into().unwrap()
}

/// The same of side B.
fn some_share_of_b() -> [u8; 33] {
    let mut share = some_share();
    share[0] = b'B';
    share
}

#[test]
fn every_bit_of_every_message_counts() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        let mut lengths = BTreeMap::new();
        assert!(
            converse(&both, |step, bytes| {
                lengths.insert(step as u8, bytes.len());
            })
            .donor_is_paired()
        );
        for (step, number) in STEPS.into_iter().zip(0u8..) {
            for bit in 0..lengths[&number] * 8 {
                let ended = converse(&both, |at, bytes| {
                    if at == step {
                        bytes[bit / 8] ^= 1 << (bit % 8);
                    }
                });
                assert!(!ended.donor_is_paired(), "{policy} {step} bit {bit}");
                // The target has its proof when it sends M4, and cannot know what becomes of it.
                assert_eq!(
                    ended.target_is_paired(),
                    step == Step::M4,
                    "{policy} {step} bit {bit}"
                );
            }
        }
    }
}

#[test]
fn another_code_is_refused() {
    let both = credentials(Policy::Secret);
    let ended = converse(&both, |step, bytes| {
        if step == Step::M1 {
            bytes[6..13].copy_from_slice(b"e13gts3");
        }
    });
    assert_eq!(
        ended.target_error().to_string(),
        "the donor looks for e13gts3, and this is e13gts2"
    );
}

#[test]
fn info_changed_on_its_way_fails_even_with_its_length() {
    for policy in Policy::ALL {
        let ended = converse(&credentials(policy), |step, bytes| {
            if step == Step::M2 {
                bytes[40] += 4;
                bytes.splice(41..41, *b"x=1 ");
            }
        });
        assert!(!ended.donor_is_paired() && !ended.target_is_paired());
    }
}

#[test]
fn own_messages_reflected_prove_nothing() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        // M1 as M3, M3 as M4, and the donor's own share as the target's.
        let mut first = Vec::new();
        let ended = converse(&both, |step, bytes| match step {
            Step::M1 => first = bytes.clone(),
            Step::M3 => bytes.copy_from_slice(&first[..M3_LEN]),
            _ => {}
        });
        assert!(ended.target_error().is_wrong_guess());
        let mut third = Vec::new();
        let ended = converse(&both, |step, bytes| match step {
            Step::M3 => third = bytes.clone(),
            Step::M4 => bytes.copy_from_slice(&third),
            _ => {}
        });
        assert!(matches!(
            ended.donor_error(),
            HandshakeError::TargetUnproven { .. }
        ));
        for letter in [b'A', b'B'] {
            let ended = converse(&both, |step, bytes| match step {
                Step::M1 => first = bytes.clone(),
                Step::M2 => {
                    let share = bytes.len() - 33;
                    bytes[share..].copy_from_slice(&first[45..]);
                    if policy == Policy::Secret {
                        bytes[share] = letter;
                    } else {
                        bytes[7..39].copy_from_slice(&first[13..45]);
                    }
                }
                _ => {}
            });
            assert!(!ended.donor_is_paired() && !ended.target_is_paired());
        }
    }
}

#[test]
fn an_old_conversation_replayed_proves_nothing() {
    for policy in Policy::ALL {
        let both = credentials(policy);
        let mut old = BTreeMap::new();
        let ended = converse(&both, |step, bytes| {
            old.insert(step as u8, bytes.clone());
        });
        assert!(ended.donor_is_paired());
        // To the target: everything a donor said, and only its proof.
        for replayed in [&STEPS[..], &[Step::M1, Step::M3], &[Step::M3]] {
            let ended = converse(&both, |step, bytes| {
                if replayed.contains(&step) {
                    bytes.clone_from(&old[&(step as u8)]);
                }
            });
            assert!(!ended.target_is_paired() && !ended.donor_is_paired());
        }
        // To the donor: everything a target said.
        let ended = converse(&both, |step, bytes| {
            if matches!(step, Step::M2 | Step::M4) {
                bytes.clone_from(&old[&(step as u8)]);
            }
        });
        assert!(!ended.donor_is_paired());
    }
}

/// A machine in the middle runs a whole handshake with each of them, knowing everything but the
/// secret.
#[test]
fn a_guessing_machine_in_the_middle_pairs_with_neither_end() {
    let both = credentials(Policy::Secret);
    for guess in ["00000000-3", "9D4T-X2WN-5"] {
        let guess = secret(guess);
        let with_target = converse(&(guess.clone(), both.1.clone()), honest);
        assert!(with_target.target_error().is_wrong_guess());
        // The donor sends M3 first; an impostor of its target has to answer without being able to
        // read it.
        let (await_m2, m1) =
            donor::begin(&both.0, &code(), HandshakeRandom::fresh().unwrap()).unwrap();
        let (code, info) = (code(), info());
        let answer = target::begin(&guess, &code, &info, HandshakeRandom::fresh().unwrap())
            .take(&m1)
            .unwrap();
        let (await_m4, m3) = await_m2.take(&answer.m2).unwrap();
        assert!(answer.next.unwrap().take(&m3).is_err());
        // Any M4 that it can make: one from a handshake with itself.
        let mut m4 = [0; M4_LEN];
        let own = converse(&(guess.clone(), guess.clone()), |step, bytes| {
            if step == Step::M4 {
                m4.copy_from_slice(bytes);
            }
        });
        assert!(own.donor_is_paired());
        assert!(matches!(
            await_m4.take(&m4),
            Err(HandshakeError::TargetUnproven { .. })
        ));
    }
}
