//! The shelf on a file system: `/var/lib/smv/ROLE/NAME` (`bundles.md` 5).
//!
//! ```text
//! gen/0000000417/{MANIFEST,MANIFEST.minisig,FILES,SERVICE,PACKAGE,tree/}
//! gen/.0000000418.part/      may be deleted at any time
//! gen/0000000416.bad/        with `why`
//! current -> gen/0000000417
//! previous -> gen/0000000415
//! ledger
//! ```
//!
//! A generation is flushed as a whole, by syncfs(2) on its file system, and not file by file: an
//! fsync(2) each makes the journal commit for each file, which takes a site of 10,000 files
//! minutes. syncfs writes back every dirty page and inode of the file system, commits once, and
//! waits for that; it reports an error of any of them to whoever had the file system open when it
//! was written (Linux 5.8), so it is what fsync of each file and each directory would have said.
//! What it costs is what others have written to the same file system and not yet flushed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bundle::trust::Trust;
use rustix::fs::syncfs;
use wire::files::FILES;
use wire::ledger::{KeyId, LEN_MAX, Ledger};
use wire::manifest::{MANIFEST, SIGNATURE};
use wire::package::PACKAGE;
use wire::service::SERVICE;

use crate::generation::{self, Held, Reject, TREE};
use crate::place::Place;
use crate::shelf::{Entry, FillError, Intake, Listing, Offer, Pointer, Shelf, Target, Trials};

const GENERATIONS: &str = "gen";
const LEDGER: &str = "ledger";
const WHY: &str = "why";
const PART: &str = ".part";
const BAD: &str = ".bad";
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// What the generations of a directory are.
pub trait Kind: fmt::Debug {
    /// Who judges those that are tried.
    const TRIALS: Trials;

    /// Reads all of the one in `directory`. `counter` is what its name says.
    ///
    /// # Errors
    /// The first thing that is wrong.
    fn verify(&self, directory: BorrowedFd<'_>, counter: Option<u64>) -> Result<Held, Reject>;
}

/// Signed bundles of one place.
#[derive(Debug)]
pub struct Signed {
    place: Place,
    trust: Trust,
}

impl Kind for Signed {
    const TRIALS: Trials = Trials::Watched;

    fn verify(&self, directory: BorrowedFd<'_>, counter: Option<u64>) -> Result<Held, Reject> {
        generation::verify(directory, &self.place, counter, &self.trust)
    }
}

/// A place on a file system.
#[derive(Debug)]
pub struct Directory<K = Signed> {
    kind: K,
    top: PathBuf,
    /// The system's own generation, which may not be there.
    seed: PathBuf,
    /// The place's directory, open before anything is written: errors of writing it back are
    /// reported to those who had it open.
    handle: Option<File>,
}

impl Directory {
    /// The place below `state`, made where it is missing, with its seed below `seeds`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(place: &Place, state: &Path, seeds: &Path, trust: Trust) -> io::Result<Self> {
        let mut shelf = Self::of(place, state, seeds, trust);
        shelf.make()?;
        Ok(shelf)
    }

    /// Likewise, for somebody who only looks: nothing is made.
    #[must_use]
    pub fn of(place: &Place, state: &Path, seeds: &Path, trust: Trust) -> Self {
        Self::at(place, place.below(state), place.below(seeds), trust)
    }

    /// Likewise, in a directory of any name, with the system's own generation in `seed`.
    #[must_use]
    pub fn at(place: &Place, top: PathBuf, seed: PathBuf, trust: Trust) -> Self {
        let place = place.clone();
        Self::new(Signed { place, trust }, top, seed)
    }

    /// Makes the system's own generation, or replaces it: in the tree of a system, before that
    /// becomes an image. Nothing is flushed.
    ///
    /// # Errors
    /// The bundle is not taken, or the disk failed; the former one stays then.
    pub fn plant(&self, offer: &mut Offer<'_>) -> Result<(), FillError> {
        let part = format!(".{}{PART}", self.kind.place.name());
        let part = self.seed.with_file_name(part);
        let above: Vec<_> = self.seed.ancestors().skip(1).take(2).collect();
        for directory in above.iter().rev() {
            match make_directory(directory) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made?,
            }
        }
        make(&part, offer)?;
        remove(&self.seed)?;
        Ok(fs::rename(part, &self.seed)?)
    }

    /// The key that has signed a generation. Its files are not read.
    ///
    /// # Errors
    /// Its manifest is not as it was signed.
    pub fn signed_by(&self, target: Target) -> Result<Option<KeyId>, Reject> {
        let directory = self.open_generation(target)?;
        let Signed { place, trust } = &self.kind;
        Ok(generation::manifest(directory.as_fd(), place, None, trust)?.key)
    }
}

impl<K> Directory<K> {
    pub(crate) const fn new(kind: K, top: PathBuf, seed: PathBuf) -> Self {
        let handle = None;
        Self {
            kind,
            top,
            seed,
            handle,
        }
    }

    /// Makes the directory where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(&mut self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(DIRECTORY_MODE);
        builder.create(self.generations())?;
        // A name that is flushed in a directory that is not would be lost with it.
        for directory in self.generations().ancestors().take(4) {
            File::open(directory)?.sync_all()?;
        }
        self.handle = Some(File::open(&self.top)?);
        Ok(())
    }

    pub(crate) const fn kind(&self) -> &K {
        &self.kind
    }

    fn open_generation(&self, target: Target) -> Result<File, Reject> {
        let directory = File::open(self.path(target));
        directory.map_err(|source| Reject::Read { name: "it", source })
    }

    /// What a link to this generation says.
    pub(crate) fn link_to(&self, counter: u64) -> PathBuf {
        Path::new(GENERATIONS).join(name(Entry::Generation(counter)))
    }

    /// A part with nothing in it, in place of what may be left of an earlier one.
    pub(crate) fn empty_part(&self, counter: u64) -> io::Result<PathBuf> {
        let part = self.entry(Entry::Part(counter));
        empty(&part)?;
        Ok(part)
    }

    /// The place's directory.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// Where a generation is.
    #[must_use]
    pub fn path(&self, target: Target) -> PathBuf {
        match target {
            Target::Generation(counter) => self.entry(Entry::Generation(counter)),
            Target::Seed => self.seed.clone(),
        }
    }

    /// Its content.
    #[must_use]
    pub fn tree(&self, target: Target) -> PathBuf {
        self.path(target).join(TREE)
    }

    fn generations(&self) -> PathBuf {
        self.top.join(GENERATIONS)
    }

    fn entry(&self, entry: Entry) -> PathBuf {
        self.generations().join(name(entry))
    }

    fn pointer(&self, pointer: Pointer) -> PathBuf {
        self.top.join(pointer_name(pointer))
    }

    /// Where a link leads: to one of our own generations, or to the system's.
    pub(crate) fn target(&self, link: &Path) -> Option<Target> {
        let found = fs::read_link(link).ok()?;
        if found == self.seed {
            return Some(Target::Seed);
        }
        let mut parts = found.iter();
        if parts.next() != Some(OsStr::new(GENERATIONS)) {
            return None;
        }
        match parse(parts.next()?.to_str()?)? {
            Entry::Generation(counter) if parts.next().is_none() => {
                Some(Target::Generation(counter))
            }
            _ => None,
        }
    }

    fn read_ledger(&self) -> io::Result<Option<Vec<u8>>> {
        let mut options = File::options();
        options
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let file = match options.open(self.top.join(LEDGER)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(LEN_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Generations that links in the place name, other than the two pointers.
    fn pinned(&self) -> io::Result<Vec<u64>> {
        let mut pinned = Vec::new();
        for name in names(&self.top)? {
            if [Pointer::Current, Pointer::Previous]
                .map(pointer_name)
                .contains(&&*name)
            {
                continue;
            }
            if let Some(Target::Generation(counter)) = self.target(&self.top.join(&name)) {
                pinned.push(counter);
            }
        }
        Ok(pinned)
    }
}

impl<K: Kind> Shelf for Directory<K> {
    fn look(&mut self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in names(&self.generations())?
            .iter()
            .filter_map(|name| parse(name))
        {
            match entry {
                Entry::Generation(counter) => listing.generations.push(counter),
                Entry::Part(counter) => listing.parts.push(counter),
                Entry::Bad(counter) => listing.bad.push(counter),
            }
        }
        listing.generations.sort_unstable();
        listing.parts.sort_unstable();
        listing.bad.sort_unstable();
        listing.current = self.target(&self.pointer(Pointer::Current));
        listing.previous = self.target(&self.pointer(Pointer::Previous));
        listing.pinned = self.pinned()?;
        let seed = File::open(&self.seed).ok();
        listing.seed = seed.and_then(|seed| generation::claimed_counter(seed.as_fd()));
        listing.trials = K::TRIALS;
        listing.ledger = self.read_ledger()?.map(|bytes| Ledger::parse(&bytes));
        Ok(listing)
    }

    fn verify(&mut self, target: Target) -> Result<Held, Reject> {
        let directory = self.open_generation(target)?;
        let counter = match target {
            Target::Generation(counter) => Some(counter),
            Target::Seed => None,
        };
        self.kind.verify(directory.as_fd(), counter)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.handle {
            Some(handle) => Ok(syncfs(handle)?),
            None => Ok(()),
        }
    }

    fn rename(&mut self, from: Entry, to: Entry) -> io::Result<()> {
        fs::rename(self.entry(from), self.entry(to))
    }

    fn remove(&mut self, entry: Entry) -> io::Result<()> {
        remove(&self.entry(entry))
    }

    fn point(&mut self, pointer: Pointer, target: Option<Target>) -> io::Result<()> {
        let link = self.pointer(pointer);
        let Some(target) = target else {
            return absent(fs::remove_file(link));
        };
        let to = match target {
            Target::Generation(counter) => self.link_to(counter),
            Target::Seed => self.seed.clone(),
        };
        let part = self.top.join(format!(".{}{PART}", pointer_name(pointer)));
        absent(fs::remove_file(&part))?;
        symlink(to, &part)?;
        fs::rename(part, link)
    }

    fn write_ledger(&mut self, text: &str) -> io::Result<()> {
        let part = self.top.join(format!(".{LEDGER}{PART}"));
        let file = write(&part, text.as_bytes())?;
        file.sync_all()?;
        fs::rename(part, self.top.join(LEDGER))
    }

    fn flush_names(&mut self) -> io::Result<()> {
        File::open(self.generations())?.sync_all()?;
        File::open(&self.top)?.sync_all()
    }

    fn explain(&mut self, counter: u64, why: &str) -> io::Result<()> {
        write(&self.entry(Entry::Bad(counter)).join(WHY), why.as_bytes()).map(drop)
    }
}

impl Intake for Directory {
    fn fill(&mut self, offer: &mut Offer<'_>) -> Result<(), FillError> {
        let counter = offer.approved.counter();
        make(&self.entry(Entry::Part(counter)), offer)
    }
}

/// Makes a generation in a directory of its own.
fn make(part: &Path, offer: &mut Offer<'_>) -> Result<(), FillError> {
    empty(part)?;
    write(&part.join(MANIFEST), offer.approved.manifest())?;
    if !offer.approved.signature().is_empty() {
        write(&part.join(SIGNATURE), offer.approved.signature())?;
    }
    let tree = part.join(TREE);
    make_directory(&tree)?;
    let taken = offer
        .take(File::open(&tree)?.as_fd())
        .map_err(FillError::Content)?;
    write(&part.join(FILES), &taken.files)?;
    if let Some(service) = &taken.service {
        write(&part.join(SERVICE), service)?;
    }
    if let Some(package) = &taken.package {
        write(&part.join(PACKAGE), package)?;
    }
    Ok(())
}

const fn pointer_name(pointer: Pointer) -> &'static str {
    match pointer {
        Pointer::Current => "current",
        Pointer::Previous => "previous",
    }
}

/// Ten digits, more where a counter has more: names in the order of the counters, as far as people
/// see them.
fn name(entry: Entry) -> String {
    match entry {
        Entry::Part(counter) => format!(".{counter:010}{PART}"),
        Entry::Generation(counter) => format!("{counter:010}"),
        Entry::Bad(counter) => format!("{counter:010}{BAD}"),
    }
}

/// `None` for names that are not ours.
fn parse(text: &str) -> Option<Entry> {
    let part = text
        .strip_prefix('.')
        .and_then(|text| text.strip_suffix(PART));
    let bad = text.strip_suffix(BAD);
    let counter: u64 = part.or(bad).unwrap_or(text).parse().ok()?;
    let entry = match (part, bad) {
        (Some(_), _) => Entry::Part(counter),
        (None, Some(_)) => Entry::Bad(counter),
        (None, None) => Entry::Generation(counter),
    };
    (name(entry) == text).then_some(entry)
}

/// In a directory that may be missing.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

pub(crate) fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    absent(fs::remove_dir_all(path))
}

/// A directory with nothing in it, in place of what may be there.
fn empty(path: &Path) -> io::Result<()> {
    remove(path)?;
    make_directory(path)
}

/// Whatever the umask is.
fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
}

/// Likewise.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    absent(fs::remove_file(path))?;
    let mut file = File::create_new(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::{name, parse};
    use crate::shelf::Entry;

    #[test]
    fn a_name_is_one_counter_in_one_way() {
        for (entry, text) in [
            (Entry::Generation(417), "0000000417"),
            (Entry::Part(418), ".0000000418.part"),
            (Entry::Bad(0), "0000000000.bad"),
            (Entry::Generation(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(name(entry), text);
            assert_eq!(parse(text), Some(entry));
        }
        for text in [
            "",
            "417",
            "+000000417",
            "00000000417",
            "0000000417 ",
            "0000000417.part",
            ".0000000417",
            ".0000000417.bad",
            "0000000417.bad.bad",
            "18446744073709551616",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
