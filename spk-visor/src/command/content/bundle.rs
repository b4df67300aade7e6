//! A bundle for a place of this node: found in a source, compared with what is served, taken.
//!
//! In: a release of which nothing is believed. Out: an approved [`Bundle`], which is taken once.

use std::error::Error;
use std::thread;

use ::hold::client::ClientError;
use ::hold::event as held;
use ::hold::keeper::Tell as Hears;
use ::hold::place::Wanted;
use bundle::interrupt::Interrupter;
use bundle::trust::{self, Approved, Trust, Voucher};
use bundle::unpack_pipeline::Resources;
use bundle::verify::{ChunkError, ChunkSource, IsLast, VerifyError};
use bundle::worker::Workers;
use fetch::Release;
use fetch::staging::Filling;
use store::directory::Directory;
use store::place::Place;
use store::shelf::{Chunks, Listing, Offer, Shelf, Target};
use store::stage::{Again, Refusal, admit, stage};
use store::{StoreError, activate, seed};
use wire::ledger::Version;
use wire::manifest::{Manifest, Role};

use super::Tell;
use super::change::{of, put_right_in};
use super::error::ContentError;
use super::event::{Event, Plan};
use super::places::Places;
use crate::command::hold;

/// For decoding and unpacking.
const MEMORY_BYTES: u64 = 256 << 20;

/// How bundles are taken.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// For others who find the place locked.
    pub command: &'a str,
    /// Also what failed before.
    pub again: Again,
    /// Who decodes.
    pub workers: &'static dyn Workers,
}

/// A bundle that is signed for a place.
pub struct Bundle {
    place: Place,
    release: Box<dyn Release>,
    approved: Approved,
}

impl Bundle {
    /// For the place that it says it is for, and its approval for just that place.
    ///
    /// # Errors
    /// It is for none, or not signed for it.
    pub fn of_itself(places: &Places, release: Box<dyn Release>) -> Result<Self, ContentError> {
        let claimed = Manifest::parse(release.offered().manifest)?;
        let (role, product) = (claimed.head().role, claimed.head().product);
        let place = Place::new(role, product).map_err(|_| ContentError::NoPlace {
            role: role.to_string(),
            product: product.to_owned(),
        })?;
        Self::of(places, place, release)
    }

    /// For this place.
    ///
    /// # Errors
    /// It is not signed for it.
    pub fn of(
        places: &Places,
        place: Place,
        release: Box<dyn Release>,
    ) -> Result<Self, ContentError> {
        let trust = places.trust(place.role())?;
        Self::signed_by(&trust, place, release)
    }

    /// For this place, on a machine that need not have it.
    ///
    /// # Errors
    /// It is not signed for it by one of these keys.
    pub fn signed_by(
        trust: &Trust,
        place: Place,
        release: Box<dyn Release>,
    ) -> Result<Self, ContentError> {
        let approved = trust::approve(release.offered(), place.wanted(), trust)?;
        Ok(Self {
            place,
            release,
            approved,
        })
    }

    /// Where it belongs.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Its counter.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.approved.counter()
    }

    fn version(&self) -> Version {
        Version {
            digest: *self.approved.digest(),
            counter: self.approved.counter(),
        }
    }

    /// What it is.
    #[must_use]
    pub fn offered(&self) -> Event {
        Event::Offered {
            place: self.place.clone(),
            name: self.approved.version().to_owned(),
            version: self.version(),
            key: match self.approved.voucher() {
                Voucher::Key(key) => key.clone(),
                Voucher::Sender { .. } => String::new(),
            },
            bytes: self.approved.size_bytes().unwrap_or(0),
        }
    }

    /// What taking it would do; `None`: it is served already, or is a daemon that is ready and that
    /// nobody holds. Nothing is changed.
    ///
    /// # Errors
    /// It is not taken, or not now.
    pub fn plan(&self, places: &Places, again: Again) -> Result<Option<Plan>, ContentError> {
        let place = &self.place;
        let listing = of(place, listing(&mut places.look(place)?))?;
        match admit(&listing, &self.approved, again) {
            Err(Refusal::Current { .. }) => return Ok(None),
            admitted => of(place, admitted.map_err(StoreError::from))?,
        };
        let from = listing.current.map(|target| counter(target, &listing));
        let plan = self.planned(places, &listing, from);
        let is_ready = place.role() == Role::Daemon && from.is_some() && plan.fetched_bytes() == 0;
        let wanted = Wanted::Version {
            counter: plan.version.counter,
            again,
        };
        match is_ready && !hold::can_swap(&places.held(place, None)?, wanted) {
            // Until somebody holds it there is nothing more to do.
            true => Ok(None),
            false => Ok(Some(plan)),
        }
    }

    /// Likewise of a package, in place of the one that a set has.
    ///
    /// # Errors
    /// It is not taken, or older.
    pub fn plan_package(
        &self,
        places: &Places,
        installed: &Version,
        again: Again,
    ) -> Result<Option<Plan>, ContentError> {
        let (place, version) = (&self.place, self.version());
        if version.digest == installed.digest {
            return Ok(None);
        }
        let listing = of(place, listing(&mut places.look(place)?))?;
        let older = Refusal::BelowFloor {
            counter: version.counter,
            floor: installed.counter,
        };
        let admitted = match version.counter < installed.counter {
            true => Err(older),
            false => admit(&listing, &self.approved, again),
        };
        of(place, admitted.map_err(StoreError::from))?;
        Ok(Some(self.planned(
            places,
            &listing,
            Some(installed.counter),
        )))
    }

    fn planned(&self, places: &Places, listing: &Listing, from: Option<u64>) -> Plan {
        let version = self.version();
        let bytes = self.approved.size_bytes().unwrap_or(0);
        let is_there = listing.has(Target::Generation(version.counter));
        Plan {
            from,
            version,
            bytes,
            there_bytes: if is_there { bytes } else { 0 },
            unpacked_bytes: self.approved.unpacked_bytes().unwrap_or(0),
            room_bytes: places.room_bytes(),
        }
    }

    /// Takes a package: its generation is here then, and no set names it yet.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub fn take_package(
        self,
        shelf: &mut Directory,
        how: How<'_>,
        tell: &mut dyn Tell,
    ) -> Result<Version, ContentError> {
        let Self {
            place,
            release,
            approved,
        } = self;
        let work = |offer: &mut Offer<'_>| stage(shelf, offer, how.again);
        let staged = offering((&place, release, &approved), how, tell, work)?;
        let version = *staged.version();
        tell.tell(&Event::Staged { place, version });
        Ok(version)
    }

    /// Serves it. A daemon is put in place by its keeper (`daemons.md` 2), and stays staged
    /// where nobody does.
    ///
    /// # Errors
    /// See [`ContentError`]; what was served is served.
    pub fn take(
        self,
        places: &Places,
        how: How<'_>,
        tell: &mut dyn Tell,
    ) -> Result<(), ContentError> {
        let Self {
            place,
            release,
            approved,
        } = self;
        let (mut shelf, lock) = places.change(&place, how.command)?;
        put_right_in(&place, &mut shelf, tell)?;
        let work = |offer: &mut Offer<'_>| stage(&mut shelf, offer, how.again);
        let staged = offering((&place, release, &approved), how, tell, work)?;
        let listing = of(&place, listing(&mut shelf))?;
        if place.role() == Role::Daemon && listing.current.is_some() {
            let version = *staged.version();
            tell.tell(&Event::Staged {
                place: place.clone(),
                version,
            });
            // It takes the lock for the swap.
            drop(lock);
            return swap(places, place, version, how.again, tell);
        }
        of(&place, activate::activate(&mut shelf, &staged))?;
        tell.tell(&Event::Applied {
            version: *staged.version(),
            path: shelf.tree(staged.target()),
            place,
        });
        Ok(())
    }

    /// Puts it into a staging directory.
    ///
    /// # Errors
    /// See [`Filling::fill`].
    pub fn download(self, into: &Filling, tell: &mut dyn Tell) -> Result<(), ContentError> {
        let Self {
            place,
            release,
            approved,
        } = self;
        let seen = &mut |done, total| tell.step(done, total);
        let filled = into.fill(place.wanted(), release, &approved, seen)?;
        tell.tell(&Event::Downloaded {
            staging: into.path(place.wanted()),
            fetched: filled.fetched_bytes,
            kept: filled.kept_bytes,
            place,
        });
        Ok(())
    }

    /// Makes it the own generation of the system whose tree this is.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub fn plant(
        self,
        places: &Places,
        how: How<'_>,
        tell: &mut dyn Tell,
    ) -> Result<(), ContentError> {
        let Self {
            place,
            release,
            approved,
        } = self;
        let mut shelf = places.look(&place)?;
        let work = |offer: &mut Offer<'_>| seed::seed(&mut shelf, offer);
        let held = offering((&place, release, &approved), how, tell, work)?;
        tell.tell(&Event::Seeded {
            version: held.version,
            path: shelf.path(Target::Seed),
            place,
        });
        Ok(())
    }
}

/// Lends an offer of the bundle to some work.
fn offering<T>(
    (place, release, approved): (&Place, Box<dyn Release>, &Approved),
    how: How<'_>,
    tell: &mut dyn Tell,
    work: impl FnOnce(&mut Offer<'_>) -> Result<T, StoreError>,
) -> Result<T, ContentError> {
    let mut chunks = Counted {
        chunks: release.chunks(approved)?,
        tell,
        done_bytes: 0,
        total_bytes: approved.size_bytes().unwrap_or(0),
    };
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut offer = Offer {
        approved,
        role: place.role(),
        chunks: Chunks(&mut chunks),
        resources: &Resources {
            memory_bytes: MEMORY_BYTES,
            threads: u32::try_from(threads).unwrap_or(1),
            workers: how.workers,
        },
    };
    of(place, work(&mut offer))
}

/// Chunks, with somebody who hears how many bytes have come.
struct Counted<'t> {
    chunks: Box<dyn fetch::Chunks>,
    tell: &'t mut dyn Tell,
    done_bytes: u64,
    total_bytes: u64,
}

impl ChunkSource for Counted<'_> {
    fn chunk(&mut self, file: u16, chunk: u32, buf: &mut Vec<u8>) -> Result<IsLast, ChunkError> {
        let is_last = self.chunks.chunk(file, chunk, buf)?;
        self.done_bytes = self.done_bytes.saturating_add(buf.len() as u64);
        self.tell.step(self.done_bytes, self.total_bytes);
        Ok(is_last)
    }

    fn refused(&mut self, fault: &VerifyError) -> bool {
        self.chunks.refused(fault)
    }

    fn interrupter(&self) -> Interrupter {
        self.chunks.interrupter()
    }

    fn end(&mut self) -> Result<(), ChunkError> {
        self.chunks.end()
    }
}

/// Has the daemon changed while it serves.
fn swap(
    places: &Places,
    place: Place,
    version: Version,
    again: Again,
    tell: &mut dyn Tell,
) -> Result<(), ContentError> {
    let settings = places.held(&place, None)?;
    let wanted = Wanted::Version {
        counter: version.counter,
        again,
    };
    match hold::swap(&settings, wanted, &mut Unheard) {
        Ok(held::Event::Swapped { pause_ms, .. }) => {
            tell.tell(&Event::Swapped {
                place,
                version,
                pause_ms,
            });
            Ok(())
        }
        Ok(answer) => Err(ContentError::NotSwapped { place, answer }),
        Err(ClientError::NotHeld { .. }) => Ok(()),
        Err(source) => Err(ContentError::Hold { place, source }),
    }
}

/// Has the daemon go back to the version before while it serves. False: nobody is there who could.
///
/// # Errors
/// What runs goes on.
pub(super) fn go_back(
    places: &Places,
    place: &Place,
    tell: &mut dyn Tell,
) -> Result<bool, ContentError> {
    let settings = places.held(place, None)?;
    match hold::swap(&settings, Wanted::Former, &mut Unheard) {
        Ok(held::Event::Swapped { pause_ms, .. }) => {
            let listing = of(place, listing(&mut places.look(place)?))?;
            if let (Some(target), Some(version)) = (listing.current, listing.ledger().current) {
                tell.tell(&Event::RolledBack {
                    place: place.clone(),
                    target,
                    version,
                    pause_ms: Some(pause_ms),
                });
            }
            Ok(true)
        }
        Ok(answer) => Err(ContentError::NotSwapped {
            place: place.clone(),
            answer,
        }),
        Err(ClientError::NotHeld { .. }) => Ok(false),
        Err(source) => Err(ContentError::Hold {
            place: place.clone(),
            source,
        }),
    }
}

/// The last event says it all.
struct Unheard;

impl Hears for Unheard {
    fn tell(&mut self, _: &held::Event) {}

    fn fail(&mut self, _: &dyn Error) {}
}

fn listing(shelf: &mut Directory) -> Result<Listing, StoreError> {
    shelf.look().map_err(|source| StoreError::Shelf {
        doing: "listing the generations",
        source,
    })
}

/// The counter of what is served, as its name or its manifest says.
fn counter(target: Target, listing: &Listing) -> u64 {
    match target {
        Target::Generation(counter) => counter,
        Target::Seed => listing.seed.unwrap_or(0),
    }
}
