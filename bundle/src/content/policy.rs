//! What the archive of a content bundle may have in it, stricter than what a system may
//! (`bundles.md` 4): regular files of mode 644 and 755 in directories of mode 755, and in a package
//! relative links that stay inside.
//!
//! Nothing that is refused here is dangerous by itself: `unpack` keeps it inside. But a site has no
//! use for a device, and each kind of entry less is one that nothing behind has to think of.

use thiserror::Error;
use wire::files::{self, Files};
use wire::manifest::Role;

use crate::unpack::{Entry, Kind};

/// Entries of an archive, directories too.
pub const ENTRIES_MAX: u32 = 65_536;
/// The same of a site.
pub const SITE_ENTRIES_MAX: u32 = 16_384;
/// Longest target of a link, in bytes.
pub const TARGET_MAX: usize = 1024;
const DIRECTORY_MODE: u32 = 0o755;
/// Below `/usr`, what decides which packages a node takes: its keys and this program.
const RESERVED: [&str; 2] = ["lib/smechvisor", "bin/spk-visor"];

/// The rules for one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Entries of the archive.
    pub entries_max: u32,
    /// May there be symbolic links?
    pub has_links: bool,
    /// Does it lie over the system's own files?
    pub lies_over_usr: bool,
}

impl Policy {
    /// `None` for roles that are no content.
    #[must_use]
    pub const fn of(role: Role) -> Option<Self> {
        match role {
            Role::Site => Some(Self {
                entries_max: SITE_ENTRIES_MAX,
                has_links: false,
                lies_over_usr: false,
            }),
            Role::Model | Role::Daemon => Some(Self {
                entries_max: ENTRIES_MAX,
                has_links: false,
                lies_over_usr: false,
            }),
            Role::Store => Some(Self {
                entries_max: ENTRIES_MAX,
                has_links: true,
                lies_over_usr: true,
            }),
            Role::Os | Role::Base | Role::Kernel => None,
        }
    }

    /// May a bundle have this list?
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn allows(&self, files: &Files<'_>) -> Result<(), Forbidden> {
        let most = usize::try_from(self.entries_max).unwrap_or(usize::MAX);
        if files.count() > most {
            return Err(Forbidden::Entries(self.entries_max));
        }
        if files.has_links() && !self.has_links {
            return Err(Forbidden::Link);
        }
        let is_reserved = |path: &str| {
            RESERVED
                .iter()
                .any(|own| path == *own || files::is_in(path, own))
        };
        match self.lies_over_usr && files.lines().any(|line| is_reserved(line.path)) {
            true => Err(Forbidden::Reserved),
            false => Ok(()),
        }
    }

    /// May an archive have this entry?
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn admit(&self, entry: &Entry) -> Result<(), Forbidden> {
        if !entry.xattrs.is_empty() {
            return Err(Forbidden::Xattrs);
        }
        let is_root = entry.path.is_root();
        if !is_root && files::path(entry.path.as_bytes()).is_none() {
            return Err(Forbidden::Path);
        }
        let modes: &[u32] = match &entry.kind {
            Kind::Directory => &[DIRECTORY_MODE],
            Kind::File { .. } => &[files::Kind::Plain.mode(), files::Kind::Program.mode()],
            Kind::Symlink(target) if self.has_links => {
                return match stays_inside(entry.path.as_bytes(), target) {
                    true => Ok(()),
                    false => Err(Forbidden::Target),
                };
            }
            Kind::Symlink(_) => return Err(Forbidden::Link),
            Kind::Sparse(_) => return Err(Forbidden::Sparse),
            Kind::HardLink(_) => return Err(Forbidden::HardLink),
            Kind::Character { .. } | Kind::Block { .. } | Kind::Fifo => {
                return Err(Forbidden::Special);
            }
        };
        match modes.contains(&entry.mode) {
            true => Ok(()),
            false => Err(Forbidden::Mode(entry.mode)),
        }
    }
}

/// Does a link at `path` lead to somewhere in the tree?
///
/// A `..` behind a name would be resolved behind whatever link that name is; in front of all names
/// it means the directories above the link, and those are real ones. So with `..` in front only,
/// each link by itself stays inside, and a way through several of them does, too.
#[must_use]
pub fn stays_inside(path: &[u8], target: &[u8]) -> bool {
    if target.len() > TARGET_MAX || target.starts_with(b"/") {
        return false;
    }
    let above = path.iter().filter(|byte| **byte == b'/').count();
    let names = target.split(|byte| *byte == b'/');
    let up = names.clone().take_while(|name| *name == b"..").count();
    let mut down = names.skip(up).peekable();
    let is_down = down.peek().is_some();
    up <= above && is_down && down.all(|name| !matches!(name, b"" | b"." | b".."))
}

/// What content may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// A path that `FILES` could not have.
    #[error(
        "has a path that is not 1 to {} bytes of UTF-8 without control characters, in {} \
         components of up to {} bytes",
        files::PATH_MAX,
        files::DEPTH_MAX,
        files::COMPONENT_MAX
    )]
    Path,
    /// Set-id, sticky, writable for others, not readable.
    #[error("has mode {0:04o}; files have 0644 or 0755, directories 0755")]
    Mode(u32),
    /// Capabilities, ACLs, labels.
    #[error("has extended attributes")]
    Xattrs,
    /// In a package.
    #[error("has a path in /usr/lib/smechvisor or in place of /usr/bin/spk-visor")]
    Reserved,
    /// Outside packages.
    #[error("is a symbolic link, which only packages may have")]
    Link,
    /// In a package.
    #[error("is a symbolic link that leads outside, or has .. or . behind a name")]
    Target,
    /// Two names of one file.
    #[error("is a hard link")]
    HardLink,
    /// A device or FIFO.
    #[error("is neither a file nor a directory")]
    Special,
    /// A file with holes.
    #[error("is a sparse file")]
    Sparse,
    /// More than the role may have.
    #[error("is one of more than {0} entries")]
    Entries(u32),
}
