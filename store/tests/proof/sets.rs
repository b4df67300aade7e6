//! The same cuts in what happens to sets of packages: whatever is lost, the set that was kept is
//! there, nothing is kept that no boot has kept, and no boot tries a set that it has not counted.

use store::StoreError;
use store::recover::recover;
use store::rollback;
use store::sets::change::{arm, boot, collect, held, keep, make, take_back};
use store::sets::{BOOTS, SetShelf, version};
use store::shelf::{Target, Trials};
use store::stage::{Again, Staged};
use wire::ledger::Version;
use wire::set::{Member, Set};

use crate::memory::{Bundles, Disk, Memory, Moment, Random};
use crate::mistakes::{Call, Edit, Mistaken};
use crate::{IMAGES, SEED};

type Work = fn(&mut dyn SetShelf) -> Result<(), StoreError>;
/// A set on trial, and the boots that are left to it.
type Tried = Option<(u64, u8)>;

struct Flow {
    name: &'static str,
    before: &'static [Work],
    work: Work,
    /// What is kept before and behind it.
    current: [Option<u64>; 2],
    trial: [Tried; 2],
    previous: Option<u64>,
    failed: Option<u64>,
    /// What can be armed when it is over, also when all that nothing needs is gone.
    made: Option<u64>,
}

/// The set of this number: it has one package.
fn text(number: u64) -> String {
    let member = Member {
        name: "p",
        version: Version {
            digest: [0; 32],
            counter: number,
        },
    };
    Set::new([member]).unwrap().to_string()
}

fn made(shelf: &mut dyn SetShelf, number: u64) -> Result<Staged, StoreError> {
    let text = text(number);
    let set = Set::parse(text.as_bytes()).unwrap();
    let staged = make(shelf, &set, Again(false))?;
    assert_eq!(staged.target(), Target::Generation(number));
    Ok(staged)
}

fn armed(shelf: &mut dyn SetShelf, number: u64) -> Result<(), StoreError> {
    let staged = made(shelf, number)?;
    arm(shelf, &staged)
}

fn kept(shelf: &mut dyn SetShelf, number: u64) -> Result<(), StoreError> {
    armed(shelf, number)?;
    boot(shelf)?;
    keep(shelf).map(drop)
}

const KEPT_1: Work = |shelf| kept(shelf, 1);
const KEPT_2: Work = |shelf| kept(shelf, 2);
const ARMED_1: Work = |shelf| armed(shelf, 1);
const ARMED_2: Work = |shelf| armed(shelf, 2);
const ARMED_3: Work = |shelf| armed(shelf, 3);
const BOOT: Work = |shelf| boot(shelf).map(drop);
const KEEP: Work = |shelf| keep(shelf).map(drop);

const PLAIN: Flow = Flow {
    name: "",
    before: &[],
    work: ARMED_1,
    current: [None, None],
    trial: [None, None],
    previous: None,
    failed: None,
    made: None,
};

const FLOWS: &[Flow] = &[
    Flow {
        name: "first",
        trial: [None, Some((1, BOOTS))],
        ..PLAIN
    },
    Flow {
        name: "install",
        before: &[KEPT_1],
        work: ARMED_2,
        current: [Some(1), Some(1)],
        trial: [None, Some((2, BOOTS))],
        ..PLAIN
    },
    Flow {
        name: "make",
        before: &[KEPT_1],
        work: |shelf| made(shelf, 2).map(drop),
        current: [Some(1), Some(1)],
        made: Some(2),
        ..PLAIN
    },
    Flow {
        name: "once-more",
        before: &[KEPT_1, ARMED_2],
        work: ARMED_3,
        current: [Some(1), Some(1)],
        trial: [Some((2, BOOTS)), Some((3, BOOTS))],
        ..PLAIN
    },
    Flow {
        name: "boot",
        before: &[KEPT_1, ARMED_2],
        work: BOOT,
        current: [Some(1), Some(1)],
        trial: [Some((2, BOOTS)), Some((2, BOOTS - 1))],
        ..PLAIN
    },
    Flow {
        name: "last-boot",
        before: &[KEPT_1, ARMED_2, BOOT, BOOT, BOOT],
        work: BOOT,
        current: [Some(1), Some(1)],
        trial: [Some((2, 0)), None],
        failed: Some(2),
        ..PLAIN
    },
    Flow {
        name: "keep-first",
        before: &[ARMED_1, BOOT],
        work: KEEP,
        current: [None, Some(1)],
        trial: [Some((1, BOOTS - 1)), None],
        ..PLAIN
    },
    Flow {
        name: "keep",
        before: &[KEPT_1, ARMED_2, BOOT],
        work: KEEP,
        current: [Some(1), Some(2)],
        trial: [Some((2, BOOTS - 1)), None],
        previous: Some(1),
        ..PLAIN
    },
    Flow {
        name: "keep-third",
        before: &[KEPT_1, KEPT_2, ARMED_3, BOOT],
        work: KEEP,
        current: [Some(2), Some(3)],
        trial: [Some((3, BOOTS - 1)), None],
        previous: Some(2),
        ..PLAIN
    },
    Flow {
        name: "take-back",
        before: &[KEPT_1, ARMED_2, BOOT],
        work: |shelf| take_back(shelf, "given-up").map(drop),
        current: [Some(1), Some(1)],
        trial: [Some((2, BOOTS - 1)), None],
        failed: Some(2),
        ..PLAIN
    },
    Flow {
        name: "rollback",
        before: &[KEPT_1, KEPT_2],
        work: |shelf| rollback::rollback(shelf).map(drop),
        current: [Some(2), Some(1)],
        failed: Some(2),
        ..PLAIN
    },
];

const MISTAKES: &[(&str, Edit)] = &[
    ("first", Edit::Omit(Call::Flush, 0)),
    ("first", Edit::Behind(Call::Flush, 0, Call::Ledger)),
    ("first", Edit::Behind(Call::Rename, 0, Call::Ledger)),
    ("first", Edit::Omit(Call::Ledger, 0)),
    ("install", Edit::Omit(Call::Flush, 0)),
    ("install", Edit::Omit(Call::Rename, 0)),
    ("install", Edit::Omit(Call::Names, 0)),
    ("install", Edit::Omit(Call::Ledger, 0)),
    ("install", Edit::Never(Call::Names)),
    ("make", Edit::Omit(Call::Flush, 0)),
    ("make", Edit::Omit(Call::Rename, 0)),
    ("make", Edit::Omit(Call::Names, 0)),
    ("once-more", Edit::Omit(Call::Flush, 0)),
    ("once-more", Edit::Behind(Call::Ledger, 0, Call::Remove)),
    ("once-more", Edit::Omit(Call::Names, 1)),
    ("boot", Edit::Omit(Call::Ledger, 0)),
    ("boot", Edit::Omit(Call::Names, 0)),
    ("last-boot", Edit::Omit(Call::Ledger, 0)),
    ("last-boot", Edit::Omit(Call::Names, 0)),
    ("keep", Edit::Omit(Call::Current, 0)),
    ("keep", Edit::Omit(Call::Previous, 0)),
    ("keep", Edit::Omit(Call::Ledger, 0)),
    ("keep", Edit::Behind(Call::Current, 0, Call::Ledger)),
    ("keep", Edit::Omit(Call::Names, 0)),
    ("keep-third", Edit::Behind(Call::Names, 0, Call::Remove)),
    ("keep-third", Edit::Omit(Call::Previous, 0)),
    ("take-back", Edit::Omit(Call::Ledger, 0)),
    ("take-back", Edit::Omit(Call::Names, 0)),
    ("rollback", Edit::Omit(Call::Current, 0)),
    ("rollback", Edit::Never(Call::Names)),
];

fn memory(bundles: &Bundles, disk: Disk) -> Memory<'_> {
    let mut shelf = Memory::of(bundles, disk, None);
    shelf.trials = Trials::Boots;
    shelf
}

fn moments(flow: &Flow, bundles: &Bundles, mistake: Option<Edit>) -> Vec<Moment> {
    let mut shelf = memory(bundles, Disk::default());
    for work in flow.before {
        work(&mut shelf).unwrap();
    }
    let mut shelf = memory(bundles, shelf.disk().clone());
    let done = match mistake {
        None => (flow.work)(&mut shelf),
        Some(edit) => (flow.work)(&mut Mistaken::new(&mut shelf, edit)),
    };
    if mistake.is_none() {
        done.unwrap();
    }
    shelf.moments
}

fn cut(flow: &Flow, bundles: &Bundles, mistake: Option<Edit>) -> (u64, Option<String>) {
    let moments = moments(flow, bundles, mistake);
    // What is wrong shows in a few images.
    let images = mistake.map_or(IMAGES, |_| IMAGES / 20);
    let each = images.div_ceil(moments.len() as u64);
    let (mut random, mut images) = (Random(SEED), 0);
    for (at, moment) in moments.iter().enumerate() {
        for number in 0..each {
            let image = moment.image(number, &mut random);
            let is_over = at + 1 == moments.len();
            images += 1;
            if let Err(what) = judge(flow, bundles, image, is_over, &mut random) {
                return (images, Some(format!("cut {at}, image {number}: {what}")));
            }
        }
    }
    (images, None)
}

fn judge(
    flow: &Flow,
    bundles: &Bundles,
    image: Disk,
    is_over: bool,
    random: &mut Random,
) -> Result<(), String> {
    let mut shelf = memory(bundles, image);
    if let Some(torn) = shelf.torn() {
        return Err(format!("set {torn} is torn"));
    }
    if is_over {
        at_once(flow, &shelf)?;
    }
    recover(&mut shelf).map_err(|error| format!("recovery: {error}"))?;
    recovered(flow, &mut shelf, is_over)?;
    if random.next().is_multiple_of(8) {
        let at = random.next() as usize % shelf.moments.len();
        let image = shelf.moments[at].image(2, random);
        shelf = memory(bundles, image);
        recover(&mut shelf).map_err(|error| format!("second recovery: {error}"))?;
        recovered(flow, &mut shelf, is_over)?;
    }
    collect(&mut shelf).map_err(|error| format!("collection: {error}"))?;
    if let Some(number) = flow.made.filter(|_| is_over) {
        let staged = held(&mut shelf, Again(false)).map_err(|error| error.to_string())?;
        if staged.target() != Target::Generation(number) {
            return Err(format!("{} can be armed", staged.target()));
        }
    }
    booted(&mut shelf)
}

/// At the end, before recovery.
fn at_once(flow: &Flow, shelf: &Memory<'_>) -> Result<(), String> {
    let ledger = shelf.ledger();
    let trial = ledger.trial.as_ref();
    let tried: Tried = trial.map(|trial| (trial.version.counter, trial.left));
    let kept = ledger.current.map(|current| current.counter);
    match tried == flow.trial[1] && kept == flow.current[1] {
        true => Ok(()),
        false => Err(format!(
            "the ledger keeps {kept:?} and tries {tried:?} at the end"
        )),
    }
}

/// Behind recovery.
fn recovered(flow: &Flow, shelf: &mut Memory<'_>, is_over: bool) -> Result<(), String> {
    let (disk, ledger) = (shelf.disk().clone(), shelf.ledger());
    let [old, new] = flow.current.map(|number| number.map(Target::Generation));
    let is_new = disk.current == new && (is_over || old != new);
    if disk.current != new && (is_over || disk.current != old) {
        return Err(format!("{:?} is kept", disk.current));
    }
    let trial = ledger.trial.as_ref();
    let tried: Tried = trial.map(|trial| (trial.version.counter, trial.left));
    let [before, behind] = flow.trial;
    let is_trial_right = match old == new {
        true if is_over => tried == behind,
        true => tried == before || tried == behind,
        false => tried == if is_new { behind } else { before },
    };
    if !is_trial_right {
        return Err(format!("{tried:?} is on trial"));
    }
    for target in disk.current.into_iter().chain(disk.previous) {
        if !shelf.is_whole(target) {
            return Err(format!("{target} is not whole"));
        }
    }
    if let Some((number, _)) =
        tried.filter(|(number, _)| !shelf.is_whole(Target::Generation(*number)))
    {
        return Err(format!("set {number} is on trial, and not whole"));
    }
    let current = ledger
        .current
        .map(|current| Target::Generation(current.counter));
    if current != disk.current {
        return Err("the ledger does not follow".to_owned());
    }
    let previous = flow.previous.map(Target::Generation);
    if is_new && old != new && disk.previous != previous {
        return Err(format!("{:?} was kept before", disk.previous));
    }
    let failure = flow.failed.map(|number| version(&text(number), number));
    let is_remembered = failure.is_none_or(|version| ledger.failure(&version.digest).is_some());
    if is_new && !is_remembered {
        return Err("the failure is forgotten".to_owned());
    }
    if flow.failed.is_none() && !ledger.failed().is_empty() {
        return Err("something has failed".to_owned());
    }
    let found = recover(shelf).map_err(|error| format!("recovery again: {error}"))?;
    match shelf.disk() == &disk && found.is_empty() {
        true => Ok(()),
        false => Err(format!("recovery goes on: {found:?}")),
    }
}

/// The next boot mounts what is whole, and what it has counted.
fn booted(shelf: &mut Memory<'_>) -> Result<(), String> {
    let before = shelf.ledger().trial;
    let booted = boot(shelf).map_err(|error| format!("the next boot: {error}"))?;
    let after = shelf.ledger().trial;
    let is_whole = booted
        .mount
        .is_none_or(|number| shelf.is_whole(Target::Generation(number)));
    let is_counted = match (&before, booted.left) {
        (Some(before), Some(left)) => {
            left + 1 == before.left
                && after.as_ref().map(|trial| trial.left) == Some(left)
                && booted.mount == Some(before.version.counter)
        }
        (Some(before), None) => before.left == 0 && after.is_none(),
        (None, left) => left.is_none(),
    };
    match is_whole && is_counted {
        true => Ok(()),
        false => Err(format!("{before:?} is followed by {booted:?}")),
    }
}

#[test]
fn no_cut_loses_the_set_that_was_kept() {
    let bundles = Bundles::new();
    for flow in FLOWS {
        let (images, wrong) = cut(flow, &bundles, None);
        assert_eq!(wrong, None, "{}", flow.name);
        assert!(images >= IMAGES);
        println!("sets, {}: {images} images, seed {SEED}: 0 wrong", flow.name);
    }
}

#[test]
fn every_mistake_with_sets_is_caught() {
    let bundles = Bundles::new();
    assert!(MISTAKES.len() >= 20);
    for (name, edit) in MISTAKES {
        let flow = FLOWS.iter().find(|flow| flow.name == *name).unwrap();
        let (images, wrong) = cut(flow, &bundles, Some(*edit));
        let wrong = wrong.unwrap_or_else(|| panic!("{name}, {edit:?}: not caught"));
        println!("sets, {name}, {edit:?}: caught by image {images}: {wrong}");
    }
}
