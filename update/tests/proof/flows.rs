//! What a node does, each from its beginning to its end: the flows whose power is cut.

use std::error::Error;
use std::sync::LazyLock;

use update::admit::Again;
use update::arm::{Armed, arm};
use update::confirm::confirm;
use update::recover::recover;
use update::rollback::take_back;
use update::running::{Runs, Tried, runs};
use update::stage::{ReadAll, StageError, held, stage};
use wire::ledger::{Ledger, Trial, Word};
use wire::record::{BootRecord, Left, Slot};

use crate::images::{Release, SIGNER, key};
use crate::judge::Rules;
use crate::world::{State, World, healthy, running};

/// Chunks of a small image; the slot has room for one more.
const CHUNKS: usize = 4;
pub const SLOT_BYTES: u64 = 6 * 65_536;
/// More than two flushes' worth.
const LARGE_CHUNKS: usize = 2080;
const LARGE_SLOT_BYTES: u64 = 2096 * 65_536;

pub static V0: LazyLock<Release> = LazyLock::new(|| small(416, 1));
pub static V1: LazyLock<Release> = LazyLock::new(|| small(417, 2));
pub static V2: LazyLock<Release> = LazyLock::new(|| small(418, 3));
static LARGE_1: LazyLock<Release> =
    LazyLock::new(|| Release::new(417, LARGE_CHUNKS, &[(3, 1), (500, 2), (1500, 3)]));
static LARGE_2: LazyLock<Release> = LazyLock::new(|| {
    let noisy = [(3, 4), (700, 5), (1023, 6), (1024, 7), (1500, 3), (2079, 8)];
    Release::new(418, LARGE_CHUNKS, &noisy)
});

/// Four windows of the read-back.
const WINDOWS_CHUNKS: usize = 200;
const WINDOWS_SLOT_BYTES: u64 = 202 * 65_536;
static WINDOWS_1: LazyLock<Release> =
    LazyLock::new(|| Release::new(417, WINDOWS_CHUNKS, &[(0, 1), (63, 2), (190, 3)]));
static WINDOWS_2: LazyLock<Release> = LazyLock::new(|| {
    let noisy = [(0, 4), (63, 5), (64, 6), (128, 7), (190, 3), (199, 8)];
    Release::new(418, WINDOWS_CHUNKS, &noisy)
});

static SMALL: LazyLock<[&'static Release; 3]> = LazyLock::new(|| [&V0, &V1, &V2]);
static WINDOWS: LazyLock<[&'static Release; 2]> = LazyLock::new(|| [&WINDOWS_1, &WINDOWS_2]);
static LARGE: LazyLock<[&'static Release; 2]> = LazyLock::new(|| [&LARGE_1, &LARGE_2]);

/// The second chunk is the same in all of them.
fn small(counter: u64, seed: u64) -> Release {
    let chunk = seed * 10;
    Release::new(counter, CHUNKS, &[(0, chunk), (1, 7), (3, chunk + 1)])
}

pub struct Flow {
    pub name: &'static str,
    pub start: State,
    pub run: fn(&World),
    pub rules: Rules,
    /// Behind every so many operations: run again after the cut and a recovery, it comes to its
    /// end.
    pub goes_on_at: Option<usize>,
    /// Of an update: from which release, and to which.
    pub update: Option<[&'static Release; 2]>,
}

/// Every flow of the table: update, resume, confirm, rollback, repair.
pub fn all() -> Vec<Flow> {
    let mut flows = vec![update(), windows(), resume(), confirmation()];
    flows.extend([exhausted(), taken_back(), back()]);
    flows.extend(repairs());
    flows
}

fn rules(good: &'static [Slot]) -> Rules {
    Rules {
        releases: &*SMALL,
        good,
        floor: 417,
        remembered: None,
    }
}

/// What a node has that confirmed version 1 in slot A, and perhaps tries another one.
pub fn ledger(tried: Option<&Release>) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.current = Some(V1.version);
    ledger.trial = tried.and_then(trial_of);
    ledger.raise_floor(key(), 417);
    ledger
}

fn trial_of(release: &Release) -> Option<Trial> {
    Some(Trial {
        version: release.version,
        key: Some(key()),
        left: 3,
    })
}

pub fn record(trial: Option<u8>) -> BootRecord {
    BootRecord {
        trial: trial.map(|left| Left::new(left).unwrap()),
        ..BootRecord::new(Slot::A)
    }
}

pub fn stage_and_arm(world: &World, from: &Release, to: &Release) -> Result<Armed, Box<dyn Error>> {
    let approved = to.approved();
    let running = running(Slot::A, from, None);
    world.node(|node| {
        let again = Again(false);
        let source = &mut to.source();
        let staged = stage(node, &running, &approved, source, again, &mut |_| ())?;
        Ok(arm(node, staged)?)
    })
}

/// A new version, while the one before it still waits for its trial.
pub fn update() -> Flow {
    let start = State::new(SLOT_BYTES).with(Slot::A, &V1).with(Slot::B, &V0);
    Flow {
        name: "update",
        start: start
            .with_record(&record(Some(2)))
            .with_ledger(&ledger(Some(&V0))),
        run: |world| {
            stage_and_arm(world, &V1, &V2).unwrap();
        },
        rules: rules(&[Slot::A]),
        goes_on_at: Some(1),
        update: Some([&V1, &V2]),
    }
}

/// One that is read back in several windows while it is written.
pub fn windows() -> Flow {
    let mut ledger = ledger(None);
    ledger.current = Some(WINDOWS_1.version);
    let start = State::new(WINDOWS_SLOT_BYTES).with(Slot::A, &WINDOWS_1);
    Flow {
        name: "update, in windows",
        start: start.with_record(&record(None)).with_ledger(&ledger),
        run: |world| {
            stage_and_arm(world, &WINDOWS_1, &WINDOWS_2).unwrap();
        },
        rules: Rules {
            releases: &*WINDOWS,
            ..rules(&[Slot::A])
        },
        goes_on_at: Some(40),
        update: Some([&WINDOWS_1, &WINDOWS_2]),
    }
}

/// A large one that was interrupted behind its first flush, before the second.
pub fn resume() -> Flow {
    let mut ledger = ledger(None);
    ledger.current = Some(LARGE_1.version);
    let start = State::new(LARGE_SLOT_BYTES).with(Slot::A, &LARGE_1);
    let world = World::new(start.with_ledger(&ledger).with_record(&record(None)));
    let (approved, running) = (LARGE_2.approved(), running(Slot::A, &LARGE_1, None));
    let mut source = LARGE_2.source();
    source.ends_at = 1024;
    let staged = world.node(|node| {
        stage(
            node,
            &running,
            &approved,
            &mut source,
            Again(false),
            &mut |_| (),
        )
    });
    // Those that the running slot has not: 3, 500, 700, 1023 and the one that fails.
    let error = staged.unwrap_err();
    assert!(
        matches!(error, StageError::Source(_)) && source.asked == 5,
        "{error}"
    );
    Flow {
        name: "resume",
        start: world.state(),
        run: |world| {
            stage_and_arm(world, &LARGE_1, &LARGE_2).unwrap();
        },
        rules: Rules {
            releases: &*LARGE,
            ..rules(&[Slot::A])
        },
        goes_on_at: Some(300),
        update: Some([&LARGE_1, &LARGE_2]),
    }
}

/// Version 2 on trial in slot B.
pub fn on_trial(left: u8) -> State {
    let start = State::new(SLOT_BYTES).with(Slot::A, &V1).with(Slot::B, &V2);
    start
        .with_record(&record(Some(left)))
        .with_ledger(&ledger(Some(&V2)))
}

pub fn tried(world: &World, left: u8) -> Tried {
    let running = running(Slot::B, &V2, Left::new(left));
    let facts = world.node(|node| node.facts()).unwrap();
    match runs(&running, &facts).unwrap() {
        Runs::Trial(tried) => tried,
        other => panic!("{other:?}"),
    }
}

pub fn confirmation() -> Flow {
    Flow {
        name: "confirm",
        start: on_trial(2),
        run: |world| {
            let tried = tried(world, 2);
            let confirmed = world.node(|node| confirm(node, tried, healthy())).unwrap();
            assert!(confirmed.warning().is_none());
        },
        rules: rules(&[Slot::A, Slot::B]),
        goes_on_at: None,
        update: None,
    }
}

fn remembering(good: &'static [Slot]) -> Rules {
    Rules {
        remembered: Some(V2.version),
        ..rules(good)
    }
}

/// Three attempts were in vain.
pub fn exhausted() -> Flow {
    Flow {
        name: "rollback, exhausted",
        start: on_trial(0),
        run: |world| {
            let running = running(Slot::A, &V1, None);
            world.node(|node| recover(node, &running)).unwrap();
        },
        rules: remembering(&[Slot::A]),
        goes_on_at: None,
        update: None,
    }
}

pub fn word() -> Word {
    Word::new("health").unwrap()
}

/// A person has enough after the second one.
pub fn taken_back() -> Flow {
    Flow {
        name: "rollback, taken back",
        start: on_trial(1),
        run: |world| {
            let tried = tried(world, 1);
            world.node(|node| take_back(node, tried, word())).unwrap();
        },
        rules: remembering(&[Slot::A]),
        goes_on_at: None,
        update: None,
    }
}

/// Version 2 was confirmed in slot B, version 1 is wanted back.
pub fn back() -> Flow {
    let mut ledger = ledger(None);
    ledger.current = Some(V2.version);
    ledger.previous = Some(V1.version);
    ledger.raise_floor(key(), 418);
    let start = State::new(SLOT_BYTES).with(Slot::A, &V1).with(Slot::B, &V2);
    Flow {
        name: "rollback, to the former",
        start: start
            .with_record(&BootRecord::new(Slot::B))
            .with_ledger(&ledger),
        run: |world| {
            let running = running(Slot::B, &V2, None);
            world.node(|node| {
                let trust = SIGNER.trust();
                let staged = held(
                    node,
                    &running,
                    &trust,
                    Again(false),
                    ReadAll(false),
                    &mut |_| (),
                )
                .unwrap();
                arm(node, staged).unwrap();
            });
        },
        rules: Rules {
            floor: 418,
            ..rules(&[Slot::B])
        },
        goes_on_at: None,
        update: None,
    }
}

/// One copy is damaged, or the copies differ; slot B is half written, so that nothing may lead
/// there.
pub fn repairs() -> Vec<Flow> {
    let half = |state: State| {
        let mut state = state.with(Slot::B, &V0);
        let label = SLOT_BYTES - wire::label::AREA_BYTES;
        state.b.put(65_536, &[9; 65_536]);
        state.b.put(label, &[0; wire::label::LEN]);
        state
    };
    let base = || {
        let state = State::new(SLOT_BYTES).with(Slot::A, &V1);
        half(state).with_ledger(&ledger(None))
    };
    let mut flows = Vec::new();
    for (name, first, second) in [
        ("repair, first copy", None, Some(record(None))),
        ("repair, second copy", Some(record(None)), None),
        (
            "repair, stale second copy",
            Some(record(None)),
            Some(record(Some(2))),
        ),
    ] {
        let mut start = base();
        let mut copies = start.copies();
        copies.e1 = first.map_or([0x55; 1024], |record| record.emit());
        copies.e2 = second.map_or([0x55; 1024], |record| record.emit());
        crate::world::put_copies(&mut start, &copies);
        flows.push(Flow {
            name,
            start,
            run: |world| {
                let running = running(Slot::A, &V1, None);
                world.node(|node| recover(node, &running)).unwrap();
                let facts = world.node(|node| node.facts()).unwrap();
                assert_eq!(facts.copies.e1, facts.copies.e2);
            },
            rules: rules(&[Slot::A]),
            goes_on_at: None,
            update: None,
        });
    }
    flows
}
