//! Every byte that somebody could change on the way to a node, or on its disk while it is off: none
//! of it is staged, and the running system and its way back stay as they were.

use bundle::fakes::image::{CHUNK, HEAD};
use bundle::trust::{Offered, Wanted, approve};
use update::admit::Again;
use update::stage::{ReadAll, StageError, held, stage, verify};
use wire::label::{AREA_BYTES, MANIFEST_AT, SIGNATURE_AT};
use wire::manifest::{Head, Role};
use wire::record::Slot;

use crate::flows::{SLOT_BYTES, V1, V2, ledger, record};
use crate::images::{Release, SIGNER};
use crate::world::{State, World, running};

fn node() -> State {
    let state = State::new(SLOT_BYTES).with(Slot::A, &V1);
    state.with_record(&record(None)).with_ledger(&ledger(None))
}

#[test]
fn no_changed_byte_of_manifest_signature_or_chunk_lists_is_approved() {
    let trust = SIGNER.trust();
    let parts = [&V2.manifest, &V2.signature, &V2.chunk_lists];
    let mut changed = 0;
    for (which, part) in parts.into_iter().enumerate() {
        for at in 0..part.len() {
            let mut bytes: [Vec<u8>; 3] = parts.map(Clone::clone);
            bytes[which][at] ^= 1 << (at % 8);
            let [manifest, signature, chunk_lists] = &bytes;
            let offered = Offered {
                manifest,
                signature,
                chunk_lists,
            };
            assert!(
                approve(offered, Wanted::SYSTEM, &trust).is_err(),
                "part {which}, byte {at}"
            );
            changed += 1;
        }
    }
    println!("{changed} changed bytes, 0 approved");
}

#[test]
fn no_changed_chunk_reaches_the_slot() {
    let approved = V2.approved();
    let now = running(Slot::A, &V1, None);
    // Chunks 0 and 3 are fetched; the others come from the running slot.
    for at in [0, CHUNK - 1, 3 * CHUNK, 4 * CHUNK - 1] {
        let world = World::new(node());
        let mut source = V2.source();
        source.changed = Some(at);
        let staged = world.node(|node| {
            stage(
                node,
                &now,
                &approved,
                &mut source,
                Again(false),
                &mut |_| (),
            )
        });
        assert!(matches!(staged, Err(StageError::Source(_))), "{staged:?}");
        let facts = world.node(|node| node.facts()).unwrap();
        assert_eq!(
            (facts.complete(Slot::B), facts.record()),
            (None, Some(record(None)))
        );
        let chunk = world.state().b.get((at / CHUNK * CHUNK) as u64, CHUNK);
        assert!(chunk.iter().all(|byte| *byte == 0), "not one byte of it");
    }
}

/// A chunk of the running slot that rotted there is fetched instead.
#[test]
fn a_changed_chunk_of_the_running_slot_is_not_reused() {
    let mut state = node();
    state.a.put(CHUNK as u64 + 77, &[1]);
    let world = World::new(state);
    let (approved, now) = (V2.approved(), running(Slot::A, &V1, None));
    let mut source = V2.source();
    world
        .node(|node| {
            stage(
                node,
                &now,
                &approved,
                &mut source,
                Again(false),
                &mut |_| (),
            )
        })
        .unwrap();
    assert_eq!(source.asked, 3);
    assert!(V2.is_in(&world.state().b));
}

#[test]
fn another_role_product_or_key_is_not_approved() {
    let trust = SIGNER.trust();
    for head in [
        Head {
            role: Role::Daemon,
            ..HEAD
        },
        Head {
            product: "smv-aarch64",
            ..HEAD
        },
    ] {
        let (manifest, signature, chunk_lists) = &Release::signed(&V2.data, &head);
        let offered = Offered {
            manifest,
            signature,
            chunk_lists,
        };
        assert!(approve(offered, Wanted::SYSTEM, &trust).is_err());
    }
    let other = bundle::fakes::image::Signer::new().trust();
    assert!(approve(V2.offered(), Wanted::SYSTEM, &other).is_err());
    assert!(approve(V2.offered(), Wanted::SYSTEM, &trust).is_ok());
}

/// The label, the manifest behind it and its signature, byte by byte, on a disk that was off: the
/// slot is armed as what was signed, or not at all.
#[test]
fn a_label_that_lies_arms_nothing() {
    let start = node().with(Slot::B, &V2);
    let (trust, now) = (SIGNER.trust(), running(Slot::A, &V1, None));
    let area = SLOT_BYTES - AREA_BYTES;
    let places = [
        (0, 220),
        (MANIFEST_AT, V2.manifest.len()),
        (SIGNATURE_AT, V2.signature.len()),
    ];
    let text = start.b.get(area, 220);
    let next = text.windows(5).position(|word| word == b"next ").unwrap() + 5;
    let mut changed = 0;
    for (begin, len) in places {
        for at in begin..begin + len {
            let mut state = start.clone();
            let place = area + at as u64;
            let byte = state.b.get(place, 1)[0] ^ (1 << (at % 7));
            state.b.put(place, &[byte]);
            let world = World::new(state);
            let staged = world.node(|node| {
                held(
                    node,
                    &now,
                    &trust,
                    Again(false),
                    ReadAll(false),
                    &mut |_| (),
                )
            });
            // How many chunks were written is of no consequence any more.
            let is_next = at == next;
            assert!(
                staged.is_err() || is_next,
                "byte {at} of the area: {staged:?}"
            );
            changed += 1;
            assert!(world.log().is_empty());
        }
    }
    println!("{changed} changed bytes, 0 staged but where the count of chunks differs");
}

#[test]
fn a_changed_image_in_a_slot_is_found() {
    let start = node().with(Slot::B, &V2);
    let (trust, now) = (SIGNER.trust(), running(Slot::A, &V1, None));
    let good = World::new(start.clone());
    assert!(
        good.node(|node| verify(node, Slot::B, &trust, &mut |_| ()))
            .is_ok()
    );
    for at in (0..V2.data.len()).step_by(4099) {
        let mut state = start.clone();
        let byte = state.b.get(at as u64, 1)[0] ^ 0x10;
        state.b.put(at as u64, &[byte]);
        let world = World::new(state);
        let verified = world.node(|node| verify(node, Slot::B, &trust, &mut |_| ()));
        assert!(matches!(
            verified,
            Err(StageError::Lies { part: "image", .. })
        ));
        let staged =
            world.node(|node| held(node, &now, &trust, Again(true), ReadAll(false), &mut |_| ()));
        assert!(staged.is_err());
    }
}
