//! The judge sees what is wrong: mistakes of order are seeded into what the flows write, one at a
//! time, and every one must be caught by the same judge. A mistake is made where the node meets
//! the medium: operations that are left out, come too early or too late, or say something else.

use std::ops::Range;

use disk::slots::{SlotError, WINDOW_BYTES};
use update::stage::StageError;
use wire::ledger::Ledger;
use wire::record::Slot;

use crate::cuts::cut;
use crate::flows::{self, Flow, record};
use crate::images::key;
use crate::judge::judge;
use crate::world::{Op, Place, State, World};

/// Images that a mistake is looked for on.
const IMAGES: usize = 3000;
const SEED: u64 = 1014;

/// What is made wrong: the log, or what the flow began with.
type Wrong = fn(&mut Vec<Op>, &mut State);

/// Operations of an update, by their place in its log.
mod order {
    use std::ops::Range;

    pub const DISARM: Range<usize> = 0..4;
    pub const LABEL: Range<usize> = 5..7;
    pub const FIRST_CHUNK: usize = 7;
    pub const LAST_CHUNK: usize = 10;
    pub const FLUSH: usize = 11;
    pub const RELEASE: Range<usize> = 12..14;
    pub const COMPLETE: Range<usize> = 14..16;
    pub const LEDGER: usize = 16;
    pub const ARM: Range<usize> = 17..21;
}

/// Takes some operations out and puts them in again in front of what stood at `to`.
fn shift(log: &mut Vec<Op>, from: std::ops::Range<usize>, to: usize) {
    let len = from.len();
    let to = if to > from.start { to - len } else { to };
    let moved: Vec<Op> = log.drain(from).collect();
    log.splice(to..to, moved);
}

/// Other contents for the record that these operations write.
fn say(log: &mut [Op], said: wire::record::BootRecord) {
    let copy = said.emit();
    for op in log {
        if let Op::Write(Place::Esp, sectors) = op {
            let pieces = copy.chunks(512).map(<[u8]>::to_vec);
            sectors
                .iter_mut()
                .zip(pieces)
                .for_each(|(sector, piece)| sector.1 = piece);
        }
    }
}

const IN_UPDATES: [(&str, Wrong); 18] = [
    ("the armed trial is not taken from the record", |log, _| {
        log.drain(order::DISARM);
    }),
    ("it is taken behind the first chunk", |log, _| {
        shift(log, order::DISARM, order::FIRST_CHUNK + 1);
    }),
    ("the slot changes before that is flushed", |log, _| {
        log.remove(order::DISARM.end - 1);
    }),
    (
        "both copies are under way at once when it is taken",
        |log, _| {
            log.remove(order::DISARM.start + 1);
        },
    ),
    ("the old label stays", |log, _| {
        log.drain(order::LABEL);
    }),
    (
        "the label is not flushed before the first chunk",
        |log, _| {
            log.remove(order::LABEL.end - 1);
        },
    ),
    ("a chunk is left out", |log, _| {
        log.remove(order::FIRST_CHUNK);
    }),
    ("a chunk goes to the running slot", |log, _| {
        if let Op::Write(place, _) = &mut log[order::FIRST_CHUNK] {
            *place = Place::Slot(Slot::A);
        }
    }),
    (
        "nothing is flushed before the label is complete",
        |log, _| {
            log.remove(order::RELEASE.end - 1);
            log.remove(order::FLUSH);
        },
    ),
    ("the label is complete before the last chunk", |log, _| {
        shift(log, order::COMPLETE, order::LAST_CHUNK);
    }),
    ("the label is complete before the flush", |log, _| {
        shift(
            log,
            order::COMPLETE.start..order::COMPLETE.start + 1,
            order::FLUSH,
        );
    }),
    ("the manifest follows the label", |log, _| {
        shift(log, order::RELEASE, order::COMPLETE.end);
    }),
    ("the trial is armed behind the first chunk", |log, _| {
        shift(log, order::LEDGER..order::ARM.end, order::FIRST_CHUNK + 1);
    }),
    ("the trial is armed before the flush", |log, _| {
        shift(log, order::LEDGER..order::ARM.end, order::FLUSH);
    }),
    ("the record names the trial before the ledger", |log, _| {
        shift(log, order::LEDGER..order::LEDGER + 1, order::ARM.end);
    }),
    (
        "both copies are under way at once when it is armed",
        |log, _| {
            log.remove(order::ARM.start + 1);
        },
    ),
    ("the new version is good without a trial", |log, _| {
        say(&mut log[order::ARM], record(None).confirmed(Slot::B));
    }),
    ("the floor rises when it is armed", |log, _| {
        let Op::Ledger(bytes) = &mut log[order::LEDGER] else {
            panic!("the ledger of an update")
        };
        let mut ledger = Ledger::parse(bytes).unwrap();
        ledger.raise_floor(key(), 418);
        *bytes = ledger.to_string().into_bytes();
    }),
];

const IN_CONFIRMATIONS: [(&str, Wrong); 3] = [
    ("the floor rises before the record", |log, _| {
        shift(log, 4..5, 0)
    }),
    ("the floor rises before the record is flushed", |log, _| {
        log.remove(3);
    }),
    ("both copies are under way at once", |log, _| {
        log.remove(1);
    }),
];

const IN_ROLLBACKS: [(&str, Wrong); 3] = [
    (
        "the trial is forgotten before it is remembered",
        |log, _| shift(log, 0..1, 5),
    ),
    ("the failure is not remembered", |log, _| {
        log.remove(0);
    }),
    ("both copies are under way at once", |log, _| {
        log.remove(2);
    }),
];

const IN_REPAIRS: [(&str, Wrong); 3] = [
    ("the copy that is valid is written first", |log, _| {
        shift(log, 2..4, 0)
    }),
    ("both copies are under way at once", |log, _| {
        log.remove(1);
    }),
    ("a trial is invented", |log, _| say(log, record(Some(2)))),
];

const IN_RESUMPTIONS: [(&str, Wrong); 2] = [
    ("the label is believed about what is there", |_, start| {
        start.b.put(700 * 65_536, &[0; 65_536]);
    }),
    ("the rest is not flushed", |log, _| {
        let is_b = |op: &Op| *op == Op::Flush(Place::Slot(Slot::B));
        let flushes: Vec<usize> = (0..log.len()).filter(|at| is_b(&log[*at])).collect();
        // But for the last one, behind the label.
        for at in flushes.iter().rev().skip(1) {
            log.remove(*at);
        }
    }),
];

fn is_caught(flow: Flow, name: &str, wrong: Wrong) -> bool {
    let mut flow = flow;
    let world = World::new(flow.start.clone());
    (flow.run)(&world);
    let mut log = world.log();
    flow.goes_on_at = None;
    wrong(&mut log, &mut flow.start);
    match cut(&flow, &log, IMAGES, SEED) {
        Err(why) => {
            println!("{name}: {why}");
            true
        }
        Ok(_) => {
            println!("NOT CAUGHT: {name}, in {}", flow.name);
            false
        }
    }
}

#[test]
fn every_seeded_mistake_is_caught() {
    let of = |flow: fn() -> Flow, wrongs: &[(&'static str, Wrong)]| {
        let wrongs = wrongs.iter().map(|(name, wrong)| (flow, *name, *wrong));
        wrongs.collect::<Vec<_>>()
    };
    let first_repair: fn() -> Flow = || flows::repairs().remove(0);
    let mistakes = [
        of(flows::update, &IN_UPDATES),
        of(flows::resume, &IN_RESUMPTIONS),
        of(flows::confirmation, &IN_CONFIRMATIONS),
        of(flows::exhausted, &IN_ROLLBACKS),
        of(flows::taken_back, &IN_ROLLBACKS),
        of(first_repair, &IN_REPAIRS),
    ]
    .concat();
    assert!(mistakes.len() >= 20);
    let missed: Vec<&str> = mistakes
        .iter()
        .filter(|(flow, name, wrong)| !is_caught(flow(), name, *wrong))
        .map(|(_, name, _)| *name)
        .collect();
    println!(
        "{} mistakes, {} caught",
        mistakes.len(),
        mistakes.len() - missed.len()
    );
    assert_eq!(missed, [""; 0]);
}

/// The medium of slot B holds something else than what was written, at this byte, and the cache
/// answers for these. Is it found when it is read back? Else the judge sees it.
fn is_rot_found(world: &World, flow: &Flow, at: u64, cached: Range<u64>) -> bool {
    world.rots(at, cached);
    let [from, to] = flow.update.unwrap();
    let staged = flows::stage_and_arm(world, from, to);
    let is_found = match staged.as_ref().map_err(|error| error.downcast_ref()) {
        Ok(_) => false,
        Err(Some(StageError::Slot { source, .. })) => {
            assert!(matches!(source, SlotError::ReadBack { .. }), "{source}");
            true
        }
        Err(_) => panic!("{staged:?}"),
    };
    assert_eq!(judge(&world.state(), &flow.rules).is_ok(), is_found);
    is_found
}

#[test]
fn a_read_back_that_asks_the_cache_is_caught() {
    let flow = flows::update();
    for has_medium in [true, false] {
        let found = |cached| {
            let world = World::new(flow.start.clone());
            if !has_medium {
                world.take_medium();
            }
            is_rot_found(&world, &flow, 70_000, cached)
        };
        assert!(found(0..0));
        assert!(!found(0..u64::MAX));
    }
}

/// Armed while one window was never read back: what rots in another one is found, and in that one
/// the judge sees it.
#[test]
fn a_window_that_is_not_read_back_is_caught() {
    let flow = flows::windows();
    let image_bytes = flow.update.unwrap()[1].data.len() as u64;
    let windows = image_bytes.div_ceil(WINDOW_BYTES);
    assert_eq!(windows, 4);
    let found = |at, cached| is_rot_found(&World::new(flow.start.clone()), &flow, at, cached);
    for window in 0..windows {
        let begin = window * WINDOW_BYTES;
        let end = image_bytes.min(begin + WINDOW_BYTES);
        for at in [begin, end - 1] {
            assert!(!found(at, begin..end), "byte {at}");
        }
        let others = [
            begin.checked_sub(1),
            Some(end).filter(|end| *end < image_bytes),
        ];
        for at in others.into_iter().flatten() {
            assert!(found(at, begin..end), "byte {at}");
        }
    }
}
