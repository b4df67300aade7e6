//! The power is cut behind every operation of every flow. What was not flushed is there or is not,
//! sector by sector, as a seeded generator says; sectors of the record and of labels may also be
//! neither, as a disk leaves them that loses power while it writes.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::effort::Effort;
use crate::flows::{self, Flow};
use crate::judge::{judge, whole};
use crate::world::{Op, Place, State, World};
use wire::record::{Left, Slot};

/// A small generator: the images of a seed are always the same.
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Sectors that were written and not flushed, in the order in which they were written.
type Pending = Vec<(Place, u64, Vec<u8>)>;

/// A state, and what may come on top of it.
pub struct Point {
    pub durable: State,
    pub pending: Pending,
}

/// The states behind each operation.
pub fn points(start: &State, log: &[Op]) -> Vec<Point> {
    let mut durable = start.clone();
    let mut pending = Pending::new();
    let mut points = Vec::new();
    for op in log {
        match op {
            Op::Write(place, sectors) => {
                let sectors = sectors
                    .iter()
                    .map(|(at, bytes)| (*place, *at, bytes.clone()));
                pending.extend(sectors);
            }
            Op::Flush(place) => pending.retain(|(of, at, bytes)| {
                if of == place {
                    durable.disk(*of).put(*at, bytes);
                }
                of != place
            }),
            Op::Ledger(_) => durable.apply(op),
        }
        points.push(Point {
            durable: durable.clone(),
            pending: pending.clone(),
        });
    }
    points
}

impl Point {
    /// One of the states that a cut here can leave, and a name for what distinguishes it from the
    /// others of this point. The first is without all that was not flushed, the second with it.
    pub fn image(&self, number: usize, random: &mut Random) -> (State, u64) {
        let mut state = self.durable.clone();
        let mut name = DefaultHasher::new();
        let kept = match number {
            0 => 0,
            1 => 64,
            _ => [1, 8, 32, 32, 32, 56, 63][random.below(7) as usize],
        };
        for (which, (place, at, bytes)) in self.pending.iter().enumerate() {
            let is_small = *place == Place::Esp || is_label(*at, &state);
            let is_garbage = number > 1 && is_small && random.below(8) == 0;
            if is_garbage {
                let garbage: Vec<u8> = (0..512).map(|_| random.next() as u8).collect();
                state.disk(*place).put(*at, &garbage);
                // Garbage is garbage: no two of a kind.
                (which, "garbage").hash(&mut name);
            } else if random.below(64) < kept {
                state.disk(*place).put(*at, bytes);
                which.hash(&mut name);
            }
        }
        (state, name.finish())
    }
}

fn is_label(at: u64, state: &State) -> bool {
    use disk::disk::Disk as _;
    at == state.a.size_bytes() - wire::label::AREA_BYTES
}

/// Judges `count` images of a log; the first one that is bad, or how many were different. Those
/// that are the same as an earlier one are judged once.
pub fn cut(flow: &Flow, log: &[Op], count: usize, seed: u64) -> Result<usize, String> {
    let points = points(&flow.start, log);
    let mut random = Random::new(seed);
    let mut different = 0;
    let rounds = count.div_ceil(points.len());
    for (at, point) in points.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for number in 0..rounds {
            let (image, name) = point.image(number, &mut random);
            if !seen.insert(name) {
                continue;
            }
            let place = || format!("{}, behind operation {at}, image {number}", flow.name);
            judge(&image, &flow.rules).map_err(|why| format!("{}: {why}", place()))?;
            if number == 0 && flow.goes_on_at.is_some_and(|every| at % every == 0) {
                go_on(image, flow).map_err(|why| format!("{}: {why}", place()))?;
            }
        }
        different += seen.len();
    }
    Ok(different)
}

/// The same flow after the cut and a recovery: it ends with a trial that is armed.
fn go_on(image: State, flow: &Flow) -> Result<(), String> {
    let world = World::new(image);
    let release = whole(&world.state(), Slot::A, &flow.rules).ok_or("slot A is gone")?;
    let running = crate::world::running(Slot::A, release, None);
    let recovered = world.node(|node| update::recover::recover(node, &running));
    recovered.map_err(|error| error.to_string())?;
    (flow.run)(&world);
    let state = world.state();
    judge(&state, &flow.rules)?;
    let record = state
        .copies()
        .record()
        .map_err(|error| error.to_string())?
        .0;
    let staged = whole(&state, Slot::B, &flow.rules).map(|release| release.version.counter);
    match (record.trial, staged) {
        (Some(Left::ALL), Some(418)) => Ok(()),
        other => Err(format!("it does not go on to its end: {other:?}")),
    }
}

#[test]
fn no_cut_leaves_a_machine_that_does_not_boot_or_starts_what_is_not_whole() {
    let Effort { images, seed } = Effort::asked();
    let flows = flows::all();
    for (number, flow) in flows.iter().enumerate() {
        let world = World::new(flow.start.clone());
        (flow.run)(&world);
        let log = world.log();
        let began = std::time::Instant::now();
        let seed = seed.wrapping_add(number as u64);
        let different = cut(flow, &log, images, seed).unwrap();
        println!(
            "{}: {} operations, {images} images, {different} different, seed {seed}, {:.1} s",
            flow.name,
            log.len(),
            began.elapsed().as_secs_f64()
        );
    }
    assert!(flows.len() >= 5);
}

/// A disk that is pulled is an error and no more: what it holds is judged like any other, and back
/// in its place it is updated to the end.
#[test]
fn a_disk_that_is_pulled_in_the_middle_harms_nothing() {
    let flow = flows::update();
    let mut pulled = 0;
    loop {
        let world = World::new(flow.start.clone());
        world.pull_after(pulled);
        let armed = flows::stage_and_arm(&world, &flows::V1, &flows::V2);
        let state = world.state();
        judge(&state, &flow.rules).unwrap();
        if armed.is_ok() {
            break;
        }
        go_on(state, &flow).unwrap();
        pulled += 1;
    }
    assert_eq!(
        pulled, 22,
        "operations of an update, and the last read back"
    );
}
