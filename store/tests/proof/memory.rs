//! A shelf in memory that forgets what was not flushed: every call is recorded, and after each of
//! them the power may go. Then any of the renames, removals and pointers that were not flushed are
//! there and others are not, and a directory that was not flushed is whole or torn.

use std::collections::BTreeMap;
use std::io;

use bundle::fakes::content::Content;
use bundle::fakes::image::Signer;
use bundle::trust::Approved;
use bundle::unpack_pipeline::Resources;
use bundle::worker::threads::Threads;
use store::generation::{Held, Reject};
use store::sets::{self, SetShelf};
use store::shelf::{
    Chunks, Entry, FillError, Intake, Listing, Offer, Pointer, Shelf, Target, Trials,
};
use store::stage;
use wire::ledger::{KeyId, Ledger, Version};
use wire::manifest::Role;
use wire::set::Set;

/// Counters of the bundles that there are.
pub const COUNTERS: std::ops::RangeInclusive<u64> = 1..=5;

/// Bundles, each approved.
#[derive(Debug)]
pub struct Bundles(Vec<Approved>);

impl Bundles {
    pub fn new() -> Self {
        let signer = Signer::new();
        let approved = COUNTERS.map(|counter| {
            let mut content = Content::site(&[("index.html", b"x")]);
            content.counter = counter;
            content.approved(&content.image(), &signer).unwrap()
        });
        Self(approved.collect())
    }

    pub fn approved(&self, counter: u64) -> &Approved {
        let found = self.0.iter().find(|approved| approved.counter() == counter);
        found.unwrap()
    }

    pub fn version(&self, counter: u64) -> Version {
        Version {
            digest: *self.approved(counter).digest(),
            counter,
        }
    }

    pub fn key(&self) -> Option<KeyId> {
        stage::key_of(self.approved(1))
    }

    /// Lends an offer; its chunks are not asked for.
    pub fn offer<T>(&self, counter: u64, work: impl FnOnce(&mut Offer<'_>) -> T) -> T {
        const RESOURCES: Resources = Resources {
            memory_bytes: 64 << 20,
            threads: 1,
            workers: &Threads,
        };
        let mut chunks = Content::site(&[("index.html", b"x")]).image().feed();
        work(&mut Offer {
            approved: self.approved(counter),
            role: Role::Site,
            chunks: Chunks(&mut chunks),
            resources: &RESOURCES,
        })
    }
}

/// The name of a directory, in an order.
type Name = (u8, u64);

const fn key(entry: Entry) -> Name {
    match entry {
        Entry::Part(counter) => (0, counter),
        Entry::Generation(counter) => (1, counter),
        Entry::Bad(counter) => (2, counter),
    }
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Object {
    number: usize,
    counter: u64,
    is_torn: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    names: BTreeMap<Name, Object>,
    pub current: Option<Target>,
    pub previous: Option<Target>,
    ledger: Option<String>,
    /// Of sets, by their numbers.
    texts: BTreeMap<u64, String>,
}

#[derive(Clone, Debug)]
enum Change {
    Make(Name, Object),
    Rename(Name, Name),
    Remove(Name, usize),
    Point(Pointer, Option<Target>),
    Ledger(String),
}

impl Disk {
    fn tear(&mut self, number: usize) {
        let objects = self.names.values_mut();
        for object in objects.filter(|object| object.number == number) {
            object.is_torn = true;
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Make(name, object) => drop(self.names.insert(*name, *object)),
            Change::Rename(from, to) => {
                if let Some(object) = self.names.remove(from) {
                    self.names.insert(*to, object);
                }
            }
            Change::Remove(name, number) => {
                // Its name may be another one, where a rename was lost; its files are gone.
                if self.names.remove(name).is_none() {
                    self.tear(*number);
                }
            }
            Change::Point(Pointer::Current, target) => self.current = *target,
            Change::Point(Pointer::Previous, target) => self.previous = *target,
            Change::Ledger(text) => self.ledger = Some(text.clone()),
        }
    }
}

/// What the power leaves behind at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    durable: Disk,
    pending: Vec<Change>,
    /// Objects whose contents have not reached the medium.
    soft: Vec<usize>,
}

/// A seeded choice (SplitMix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

impl Moment {
    /// The disk after a cut. The first two images of a moment are those in which nothing and all of
    /// what was not flushed has survived.
    pub fn image(&self, number: u64, random: &mut Random) -> Disk {
        let mut disk = self.durable.clone();
        for change in &self.pending {
            let survives = match number {
                0 => false,
                1 => true,
                _ => random.coin(),
            };
            match change {
                _ if survives => disk.apply(change),
                // A directory that is being removed may have lost some of its files.
                Change::Remove(_, object) if number > 1 && random.coin() => disk.tear(*object),
                _ => {}
            }
        }
        for object in disk.names.values_mut() {
            let is_soft = self.soft.contains(&object.number);
            object.is_torn |= is_soft && (number == 0 || (number > 1 && random.coin()));
        }
        disk
    }
}

/// The shelf.
#[derive(Debug)]
pub struct Memory<'b> {
    bundles: &'b Bundles,
    pub seed: Option<u64>,
    pub trials: Trials,
    visible: Disk,
    now: Moment,
    /// After every change and every flush, the first of all before them.
    pub moments: Vec<Moment>,
    objects: usize,
}

impl<'b> Memory<'b> {
    pub fn of(bundles: &'b Bundles, disk: Disk, seed: Option<u64>) -> Self {
        let now = Moment {
            durable: disk.clone(),
            ..Moment::default()
        };
        let objects = disk.names.values().map(|object| object.number + 1).max();
        Self {
            bundles,
            seed,
            trials: Trials::Watched,
            visible: disk,
            moments: vec![now.clone()],
            now,
            objects: objects.unwrap_or(0),
        }
    }

    /// What the running system sees.
    pub fn disk(&self) -> &Disk {
        &self.visible
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.visible.apply(&change);
        self.now.pending.push(change);
        self.moments.push(self.now.clone());
        Ok(())
    }

    /// Is every generation whole, as long as nobody has asked recovery?
    pub fn torn(&self) -> Option<u64> {
        let mut names = self.visible.names.iter();
        let torn = names.find(|((kind, _), object)| *kind == 1 && object.is_torn);
        torn.map(|((_, counter), _)| *counter)
    }

    /// Is it here, and whole?
    pub fn is_whole(&self, target: Target) -> bool {
        match target {
            Target::Seed => self.seed.is_some(),
            Target::Generation(counter) => {
                let object = self.visible.names.get(&(1, counter));
                object.is_some_and(|object| !object.is_torn && object.counter == counter)
            }
        }
    }

    pub fn ledger(&self) -> Ledger {
        let text = self.visible.ledger.as_deref();
        text.map_or_else(Ledger::default, |text| {
            Ledger::parse(text.as_bytes()).unwrap()
        })
    }
}

impl Shelf for Memory<'_> {
    fn look(&mut self) -> io::Result<Listing> {
        let of = |wanted: u8| {
            let names = self
                .visible
                .names
                .keys()
                .filter(move |(kind, _)| *kind == wanted);
            names.map(|(_, counter)| *counter).collect()
        };
        let ledger = self.visible.ledger.as_ref();
        Ok(Listing {
            generations: of(1),
            parts: of(0),
            bad: of(2),
            current: self.visible.current,
            previous: self.visible.previous,
            pinned: Vec::new(),
            seed: self.seed,
            ledger: ledger.map(|text| Ledger::parse(text.as_bytes())),
            trials: self.trials,
        })
    }

    fn verify(&mut self, target: Target) -> Result<Held, Reject> {
        if !self.is_whole(target) {
            return Err(Reject::Torn);
        }
        let counter = match target {
            Target::Generation(counter) => counter,
            Target::Seed => self.seed.unwrap_or(0),
        };
        let is_set = self.trials == Trials::Boots;
        Ok(Held {
            version: match is_set {
                true => sets::version(&self.visible.texts[&counter], counter),
                false => self.bundles.version(counter),
            },
            name: String::new(),
            key: self.bundles.key().filter(|_| !is_set),
            files: 1,
            size_bytes: 1,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.now.soft.clear();
        self.flush_names()
    }

    fn rename(&mut self, from: Entry, to: Entry) -> io::Result<()> {
        let names = &self.visible.names;
        assert!(!names.contains_key(&key(to)), "{to:?} is in the way");
        match names.contains_key(&key(from)) {
            true => self.change(Change::Rename(key(from), key(to))),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove(&mut self, entry: Entry) -> io::Result<()> {
        match self.visible.names.get(&key(entry)) {
            Some(object) => {
                let number = object.number;
                self.change(Change::Remove(key(entry), number))
            }
            None => Ok(()),
        }
    }

    fn point(&mut self, pointer: Pointer, target: Option<Target>) -> io::Result<()> {
        self.change(Change::Point(pointer, target))
    }

    fn write_ledger(&mut self, text: &str) -> io::Result<()> {
        self.change(Change::Ledger(text.to_owned()))
    }

    fn flush_names(&mut self) -> io::Result<()> {
        for change in std::mem::take(&mut self.now.pending) {
            self.now.durable.apply(&change);
        }
        self.moments.push(self.now.clone());
        Ok(())
    }

    fn explain(&mut self, _: u64, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl Intake for Memory<'_> {
    fn fill(&mut self, offer: &mut Offer<'_>) -> Result<(), FillError> {
        Ok(self.make(offer.approved.counter())?)
    }
}

impl SetShelf for Memory<'_> {
    fn text(&mut self, number: u64) -> io::Result<String> {
        Ok(self.visible.texts[&number].clone())
    }

    fn admit(&mut self, _: &Set<'_>) -> Result<(), Reject> {
        Ok(())
    }

    /// Whether the text is whole, its directory says.
    fn fill_set(&mut self, number: u64, text: &str) -> io::Result<()> {
        for disk in [&mut self.visible, &mut self.now.durable] {
            disk.texts.insert(number, text.to_owned());
        }
        self.make(number)
    }
}

impl Memory<'_> {
    fn make(&mut self, counter: u64) -> io::Result<()> {
        let number = self.objects;
        self.objects += 1;
        let object = Object {
            number,
            counter,
            is_torn: false,
        };
        self.now.soft.push(number);
        self.change(Change::Make(key(Entry::Part(counter)), object))
    }
}
