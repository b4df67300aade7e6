//! `update`: a signed image into the slot that does not run.

use bundle::trust::{self, Approved, Voucher, Wanted};
use machine::slot_disks::Access;
use update::admit::{Again, admit};
use update::stage::{self, Progress, Staged};
use wire::ledger::Version;
use wire::manifest::Role;
use wire::record::Slot;
use wire::running::Running;

use super::error::NodeError;
use super::event::{Event, Phase};
use super::place::Place;
use super::report::Tell;
use super::trial::{check, put_right};
use crate::cli::Update;

/// Stages what a source has. Nothing boots it before it is activated.
///
/// # Errors
/// See [`NodeError`]; the running system and its way back stay as they are.
pub fn update(place: &Place, options: &Update, tell: &mut dyn Tell) -> Result<(), NodeError> {
    let text = place.boot()?;
    let running = Running::parse(&text)?;
    let (source, access) = place.source(options.source.as_ref(), &options.access, Role::Os)?;
    let command = format!("update {source}");
    let locks = (!options.is_check).then(|| place.lock(&command));
    let _locks = locks.transpose()?;
    check(&running, tell);
    let trust = place.trust()?;
    let wanted = Wanted {
        role: Role::Os,
        product: running.product,
    };
    let release = source.open(wanted, &access)?;
    let approved = trust::approve(release.offered(), wanted, &trust)?;
    tell.tell(&offered(&approved));
    let again = Again(options.again);
    if options.is_check {
        return place.with(&running, Access::Look, |node| {
            let facts = node.facts()?;
            Ok(admit(&facts, &running, &approved, again).map(drop)?)
        });
    }
    place.with(&running, Access::Change, |node| {
        put_right(node, &running, tell)?;
        let mut chunks = release.chunks(&approved)?;
        let mut watched = Watched::new(&approved, tell);
        let seen = &mut |progress| watched.see(progress);
        let staged = stage::stage(node, &running, &approved, &mut *chunks, again, seen)?;
        watched.end(&staged);
        Ok(())
    })
}

pub(super) fn offered(approved: &Approved) -> Event {
    Event::Offered {
        name: approved.version().to_owned(),
        version: version(approved),
        key: match approved.voucher() {
            Voucher::Key(key) => key.clone(),
            Voucher::Sender { .. } => String::new(),
        },
        bytes: approved.size_bytes().unwrap_or(0),
    }
}

fn version(approved: &Approved) -> Version {
    Version {
        digest: *approved.digest(),
        counter: approved.counter(),
    }
}

/// What the progress adds up to.
pub(super) struct Watched<'t> {
    tell: &'t mut dyn Tell,
    bytes: u64,
    chunk_bytes: u64,
    /// Of the run that counts.
    resumed: u64,
    done: u64,
    reused: u64,
}

impl<'t> Watched<'t> {
    pub(super) fn new(approved: &Approved, tell: &'t mut dyn Tell) -> Self {
        let image = approved.image();
        Self {
            tell,
            bytes: approved.size_bytes().unwrap_or(0),
            chunk_bytes: image.map_or(0, |image| image.chunk_size.into()),
            resumed: 0,
            done: 0,
            reused: 0,
        }
    }

    pub(super) fn see(&mut self, progress: Progress) {
        match progress {
            Progress::Begins { slot, chunk, .. } => self.begin(slot, chunk),
            Progress::Written {
                done_bytes,
                total_bytes,
                is_reused,
            } => {
                if is_reused {
                    let len = done_bytes.saturating_sub(self.done);
                    self.reused = self.reused.saturating_add(len);
                }
                self.done = done_bytes;
                self.tell.step(Phase::Write, done_bytes, total_bytes);
            }
            Progress::ReadBack {
                done_bytes,
                total_bytes,
            } => self.tell.step(Phase::Read, done_bytes, total_bytes),
        }
    }

    fn begin(&mut self, slot: Slot, chunk: u32) {
        self.resumed = self.chunk_bytes.saturating_mul(chunk.into());
        (self.done, self.reused) = (self.resumed, 0);
        self.tell.tell(&Event::Fetching {
            slot,
            bytes: self.bytes,
            resumes_at: self.resumed,
        });
    }

    pub(super) fn end(self, staged: &Staged) {
        let written = self.done.saturating_sub(self.resumed);
        self.tell.tell(&Event::Staged {
            slot: staged.slot(),
            version: *staged.version(),
            fetched: written.saturating_sub(self.reused),
            reused: self.reused,
        });
    }
}
