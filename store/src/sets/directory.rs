//! Sets on a file system: `/var/lib/smv/set`, beside the packages that they name in
//! `/var/lib/smv/store/NAME` (`node-packages.md` 3).
//!
//! ```text
//! gen/0000000007/SET
//! current -> gen/0000000007      kept
//! previous -> gen/0000000005
//! mounted -> gen/0000000008      lies over /usr since this boot: like any link, it pins
//! ledger
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bundle::trust::Trust;
use wire::files::Files;
use wire::package::Package;
use wire::set::{LEN_MAX, Member, SET, Set};

use super::rules::{self, LISTS_MAX_BYTES, Part};
use super::{SETS, SetShelf, version};
use crate::directory::{Directory, Kind, write};
use crate::generation::{self, Held, Reject, TREE, Texts};
use crate::place::Place;
use crate::shelf::{Target, Trials};

/// The link to what lies over `/usr`.
const MOUNTED: &str = "mounted";

/// The directory of a node's sets.
pub type SetDirectory = Directory<Sets>;

/// Sets of packages that are signed by keys of this trust.
#[derive(Debug)]
pub struct Sets {
    state: PathBuf,
    trust: Trust,
}

impl Sets {
    /// Where a member's generation is.
    fn path(&self, member: &Member<'_>) -> Result<(Place, PathBuf), Reject> {
        let place = Place::package(member.name).map_err(|_| Reject::NoSet)?;
        let shelf = Directory::of(&place, &self.state, Path::new(""), Trust::default());
        let path = shelf.path(Target::Generation(member.version.counter));
        Ok((place, path))
    }

    fn open(&self, member: &Member<'_>) -> Result<(Place, File), Reject> {
        let (place, path) = self.path(member)?;
        let file = File::open(path).map_err(|source| Reject::Read { name: "it", source })?;
        Ok((place, file))
    }

    fn admit(&self, set: &Set<'_>) -> Result<(), Reject> {
        let mut texts: Vec<(&Member<'_>, Texts)> = Vec::new();
        let mut bytes = 0_usize;
        for member in set.members() {
            let found = self
                .open(member)
                .and_then(|(_, file)| generation::texts(file.as_fd()));
            let found = found.map_err(|source| of(member, source))?;
            bytes = bytes.saturating_add(found.files.len());
            if bytes > LISTS_MAX_BYTES {
                let (name, max) = ("the lists of all packages", LISTS_MAX_BYTES);
                return Err(Reject::TooLong { name, max });
            }
            texts.push((member, found));
        }
        let parts = texts.iter().map(|(member, texts)| {
            Ok(Part {
                name: member.name,
                counter: member.version.counter,
                package: Package::parse(&texts.package)?,
                files: Files::parse(&texts.files)?,
            })
        });
        let parts: Vec<Part<'_>> = parts.collect::<Result<_, Reject>>()?;
        Ok(rules::check(&parts)?)
    }
}

/// Says which package it is.
fn of(member: &Member<'_>, source: Reject) -> Reject {
    Reject::Package {
        name: member.name.to_owned(),
        counter: member.version.counter,
        source: Box::new(source),
    }
}

impl Kind for Sets {
    const TRIALS: Trials = Trials::Boots;

    fn verify(&self, directory: BorrowedFd<'_>, counter: Option<u64>) -> Result<Held, Reject> {
        let text = generation::text(directory, SET, LEN_MAX)?;
        let set = Set::parse(&text)?;
        let (mut files, mut size_bytes) = (0_usize, 0_u64);
        for member in set.members() {
            let verified = self.open(member).and_then(|(place, file)| {
                let number = Some(member.version.counter);
                generation::verify(file.as_fd(), &place, number, &self.trust)
            });
            let held = verified.map_err(|source| of(member, source))?;
            if held.version != member.version {
                return Err(of(member, Reject::NoSet));
            }
            files = files.saturating_add(held.files);
            size_bytes = size_bytes.saturating_add(held.size_bytes);
        }
        self.admit(&set)?;
        Ok(Held {
            version: version(&set.to_string(), counter.unwrap_or(0)),
            name: format!("{} packages", set.members().len()),
            key: None,
            files,
            size_bytes,
        })
    }
}

impl SetDirectory {
    /// The sets below `state`, for somebody who only looks: nothing is made.
    #[must_use]
    pub fn look(state: &Path, trust: Trust) -> Self {
        let kind = Sets {
            state: state.to_owned(),
            trust,
        };
        Self::new(kind, state.join(SETS), PathBuf::new())
    }

    /// Likewise, made where they are missing.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn open(state: &Path, trust: Trust) -> io::Result<Self> {
        let mut shelf = Self::look(state, trust);
        shelf.make()?;
        Ok(shelf)
    }

    /// The trees of a set, in the order of the packages' names.
    ///
    /// # Errors
    /// The name of a package is wrong.
    pub fn trees(&self, set: &Set<'_>) -> Result<Vec<PathBuf>, Reject> {
        let paths = set.members().iter().map(|member| self.kind().path(member));
        paths.map(|path| Ok(path?.1.join(TREE))).collect()
    }

    /// The list of a member's files.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn list(&self, member: &Member<'_>) -> Result<Vec<u8>, Reject> {
        let (_, file) = self.kind().open(member)?;
        Ok(generation::texts(file.as_fd())?.files)
    }

    /// The set that was mounted last, in this boot or in one before.
    #[must_use]
    pub fn mounted(&self) -> Option<u64> {
        match self.target(&self.top().join(MOUNTED)) {
            Some(Target::Generation(number)) => Some(number),
            _ => None,
        }
    }

    /// Pins the set that is mounted, and lets go of the one before; `None`: none is.
    ///
    /// # Errors
    /// The former link is there.
    pub fn pin(&self, number: Option<u64>) -> io::Result<()> {
        let link = self.top().join(MOUNTED);
        let Some(number) = number else {
            return crate::directory::absent(fs::remove_file(link));
        };
        let part = self.top().join(format!(".{MOUNTED}.part"));
        crate::directory::absent(fs::remove_file(&part))?;
        symlink(self.link_to(number), &part)?;
        fs::rename(part, link)
    }
}

impl SetShelf for SetDirectory {
    fn text(&mut self, number: u64) -> io::Result<String> {
        let path = self.path(Target::Generation(number)).join(SET);
        let mut text = String::new();
        let file = File::open(path)?.take(LEN_MAX as u64);
        { file }.read_to_string(&mut text)?;
        Ok(text)
    }

    fn admit(&mut self, set: &Set<'_>) -> Result<(), Reject> {
        self.kind().admit(set)
    }

    fn fill_set(&mut self, number: u64, text: &str) -> io::Result<()> {
        let part = self.empty_part(number)?;
        write(&part.join(SET), text.as_bytes())?;
        Ok(())
    }
}
