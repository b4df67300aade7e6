//! What is cut: each flow has a place that it begins with, what it does there, and what may be
//! served after it.

use store::shelf::{Intake, Target};
use store::stage::{Again, Staged, stage};
use store::{StoreError, activate, collect, recover, rollback, trial};
use wire::ledger::Word;

use crate::memory::{Bundles, Disk, Memory};

/// What is done.
type Work = fn(&mut dyn Intake, &Bundles) -> Result<(), StoreError>;

pub struct Flow {
    pub name: &'static str,
    /// The system's own generation.
    pub seed: Option<u64>,
    /// Makes the place, without a cut.
    pub before: &'static [Work],
    pub work: Work,
    /// What is served before; `None`: nothing.
    pub old: Option<Target>,
    /// What is served when all is done.
    pub new: Target,
    /// What is served for as long as it is tried.
    pub tried: Option<Target>,
    /// What is served when it is cut and recovered: before the end only this, or either.
    pub is_new_only_at_the_end: bool,
    /// The version that must be remembered as failed when it is over.
    pub failed: Option<u64>,
    /// What is kept when it is over.
    pub previous: Option<Target>,
    /// What is ready for later, and outlasts every cut, recovery and collection.
    pub staged: Option<Ready>,
}

/// A generation that nothing points at.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub counter: u64,
    /// It is there from the beginning on, else when the flow has come to its end.
    pub is_from_before: bool,
}

pub fn apply(shelf: &mut dyn Intake, bundles: &Bundles, counter: u64) -> Result<(), StoreError> {
    let staged = staged(shelf, bundles, counter)?;
    activate::activate(shelf, &staged)
}

fn staged(shelf: &mut dyn Intake, bundles: &Bundles, counter: u64) -> Result<Staged, StoreError> {
    bundles.offer(counter, |offer| stage(shelf, offer, Again(false)))
}

fn tried(
    shelf: &mut dyn Intake,
    bundles: &Bundles,
    counter: u64,
) -> Result<trial::Trial, StoreError> {
    let staged = staged(shelf, bundles, counter)?;
    let trial = trial::begin(shelf, staged)?;
    trial::switch(shelf, &trial)?;
    Ok(trial)
}

fn tried_back(shelf: &mut dyn Intake) -> Result<trial::Trial, StoreError> {
    let staged = trial::prepare_former(shelf)?;
    let trial = trial::begin(shelf, staged)?;
    trial::switch(shelf, &trial)?;
    Ok(trial)
}

fn one(shelf: &mut dyn Intake, bundles: &Bundles) -> Result<(), StoreError> {
    apply(shelf, bundles, 1)
}

fn two(shelf: &mut dyn Intake, bundles: &Bundles) -> Result<(), StoreError> {
    apply(shelf, bundles, 2)
}

fn three(shelf: &mut dyn Intake, bundles: &Bundles) -> Result<(), StoreError> {
    apply(shelf, bundles, 3)
}

fn seeded(shelf: &mut dyn Intake, _: &Bundles) -> Result<(), StoreError> {
    recover::recover(shelf).map(drop)
}

fn ready_four(shelf: &mut dyn Intake, bundles: &Bundles) -> Result<(), StoreError> {
    staged(shelf, bundles, 4).map(drop)
}

fn back(shelf: &mut dyn Intake, _: &Bundles) -> Result<(), StoreError> {
    rollback::rollback(shelf).map(drop)
}

const fn of(counter: u64) -> Target {
    Target::Generation(counter)
}

const PLAIN: Flow = Flow {
    name: "",
    seed: None,
    before: &[],
    work: one,
    old: None,
    new: of(1),
    tried: None,
    is_new_only_at_the_end: false,
    failed: None,
    previous: None,
    staged: None,
};

pub const FLOWS: &[Flow] = &[
    Flow {
        name: "first",
        ..PLAIN
    },
    Flow {
        name: "second",
        before: &[one],
        work: two,
        old: Some(of(1)),
        new: of(2),
        previous: Some(of(1)),
        ..PLAIN
    },
    Flow {
        name: "third",
        before: &[one, two],
        work: three,
        old: Some(of(2)),
        new: of(3),
        previous: Some(of(2)),
        ..PLAIN
    },
    Flow {
        name: "stage",
        before: &[one, two],
        work: |shelf, bundles| {
            ready_four(shelf, bundles)?;
            collect::collect(shelf).map(drop)
        },
        old: Some(of(2)),
        new: of(2),
        previous: Some(of(1)),
        staged: Some(Ready {
            counter: 4,
            is_from_before: false,
        }),
        ..PLAIN
    },
    Flow {
        name: "below-staged",
        before: &[one, two, ready_four],
        work: three,
        old: Some(of(2)),
        new: of(3),
        previous: Some(of(2)),
        staged: Some(Ready {
            counter: 4,
            is_from_before: true,
        }),
        ..PLAIN
    },
    Flow {
        name: "keep-below-staged",
        before: &[one, two, ready_four],
        work: |shelf, bundles| {
            let trial = tried(shelf, bundles, 3)?;
            trial::keep(shelf, &trial)?;
            collect::collect(shelf).map(drop)
        },
        old: Some(of(2)),
        new: of(3),
        previous: Some(of(2)),
        staged: Some(Ready {
            counter: 4,
            is_from_before: true,
        }),
        ..PLAIN
    },
    Flow {
        name: "seed",
        seed: Some(4),
        before: &[],
        work: seeded,
        new: Target::Seed,
        ..PLAIN
    },
    Flow {
        name: "over-seed",
        seed: Some(1),
        before: &[seeded],
        work: two,
        old: Some(Target::Seed),
        new: of(2),
        previous: Some(Target::Seed),
        ..PLAIN
    },
    Flow {
        name: "rollback",
        before: &[one, two],
        work: back,
        old: Some(of(2)),
        new: of(1),
        failed: Some(2),
        ..PLAIN
    },
    Flow {
        name: "trial",
        before: &[one],
        work: |shelf, bundles| tried(shelf, bundles, 2).map(drop),
        old: Some(of(1)),
        new: of(2),
        is_new_only_at_the_end: true,
        ..PLAIN
    },
    Flow {
        name: "keep",
        before: &[one],
        work: |shelf, bundles| {
            let trial = tried(shelf, bundles, 2)?;
            trial::keep(shelf, &trial)
        },
        old: Some(of(1)),
        new: of(2),
        previous: Some(of(1)),
        ..PLAIN
    },
    Flow {
        name: "take-back",
        before: &[one],
        work: |shelf, bundles| {
            let trial = tried(shelf, bundles, 2)?;
            trial::take_back(shelf, &trial, Word::new("unhealthy").unwrap())
        },
        old: Some(of(1)),
        new: of(1),
        tried: Some(of(2)),
        failed: Some(2),
        ..PLAIN
    },
    Flow {
        name: "back",
        before: &[one, two],
        work: |shelf, _| {
            let trial = tried_back(shelf)?;
            trial::keep(shelf, &trial)
        },
        old: Some(of(2)),
        new: of(1),
        failed: Some(2),
        ..PLAIN
    },
    Flow {
        name: "back-in-vain",
        before: &[one, two],
        work: |shelf, _| {
            let trial = tried_back(shelf)?;
            trial::take_back(shelf, &trial, Word::new("unhealthy").unwrap())
        },
        old: Some(of(2)),
        new: of(2),
        tried: Some(of(1)),
        previous: Some(of(1)),
        ..PLAIN
    },
];

pub fn flow(name: &str) -> &'static Flow {
    FLOWS.iter().find(|flow| flow.name == name).unwrap()
}

impl Flow {
    /// The place that it begins with.
    pub fn place(&self, bundles: &Bundles) -> Disk {
        let mut shelf = Memory::of(bundles, Disk::default(), self.seed);
        for work in self.before {
            work(&mut shelf, bundles).unwrap();
        }
        shelf.disk().clone()
    }
}
