//! A tree in, a plain tar out, one directory at a time.
//!
//! Directories come before what is in them, names in the order of their bytes. What is open at a
//! time are the directories on the way to the current one ([`DEPTH_MAX`] at most) with their names;
//! beside these only the table of hard links grows ([`super::links`]). A path that cannot be read
//! stops everything: a copy that silently lacks a file is no copy.

mod regular;
mod withheld;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use bundle::host_keys::{self, HostKeys};
use bundle::kernel;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::glob::States;
use super::job::{Job, Own};
use super::links::Links;
use super::mounts::Mounts;
use super::node::{self, Facts, Names, Owner, Xattr};
use super::report::{Remark, Report, Total, shown};
use super::rules::secrets::Secrets;
use super::rules::{Matched, Verdict, Why};
use super::tar::{self, Kind, Member};
use super::{PackageError, system, xattrs};

/// Most components of a path, its most bytes, and most entries: what the target's `bundle::unpack`
/// takes.
pub const DEPTH_MAX: usize = 64;
const PATH_MAX: usize = 4095;
const ENTRIES_MAX: u64 = bundle::unpack::ENTRIES_MAX;
/// A directory whose files come and go has no time worth keeping.
const NO_TIME: (i64, u32) = (0, 0);
/// The directory that mke2fs(8) and others make at the top of a file system for fsck(8); elsewhere
/// it is a name like any other.
const LOST_FOUND: &[u8] = b"lost+found";

/// How far a packing is.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Entries so far.
    pub entries: u64,
    /// Bytes of contents so far.
    pub content_bytes: u64,
    /// The entry that is being read.
    pub path: &'a [u8],
}

/// Called often; must be quick.
pub type Watch<'a> = &'a mut dyn FnMut(&Seen<'_>);

/// Packs the tree into `out`.
///
/// # Errors
/// A file that cannot be read, or output that cannot be written; `out` then has the beginning of an
/// archive without its end.
pub fn pack<W: Write>(
    job: &Job,
    out: W,
    report: &mut Report,
    watch: Watch<'_>,
) -> Result<Total, PackageError> {
    let mut packer = Packer {
        job,
        out,
        report,
        watch,
        secrets: job.secrets.clone(),
        links: Links::default(),
        kernels: kernel::Spotted::default(),
        mounts: Mounts::read(),
        path: Vec::new(),
        contents: Vec::new(),
        room: Vec::new(),
        total: Total::default(),
    };
    packer.root()?;
    packer.host_keys()?;
    packer.total.grub = system::grub(job);
    packer.total.has_kernel = packer.kernels.has_kernel();
    tar::write_end(&mut packer.out).map_err(PackageError::Write)?;
    Ok(packer.total)
}

struct Packer<'a, W> {
    job: &'a Job,
    out: W,
    report: &'a mut Report,
    watch: Watch<'a>,
    secrets: Secrets,
    links: Links,
    kernels: kernel::Spotted,
    mounts: Mounts,
    /// Of the current entry, relative to the root.
    path: Vec<u8>,
    contents: Vec<u8>,
    room: Vec<u8>,
    total: Total,
}

/// A directory that is being walked.
struct Level<'a> {
    fd: BorrowedFd<'a>,
    facts: Facts,
    states: &'a States,
    depth: usize,
    /// A file system begins here.
    is_top: bool,
}

type Done = Result<(), PackageError>;

impl<W: Write> Packer<'_, W> {
    fn root(&mut self) -> Done {
        let root = self.job.root.as_fd();
        let facts = self.read("looking at", node::look_at(root))?;
        let states = self.job.rules.start();
        let xattrs = self.xattrs(Owner::Open(root))?;
        self.header(b"./", Kind::Directory, &facts, &xattrs)?;
        self.walk(&Level {
            fd: root,
            facts,
            states: &states,
            depth: 0,
            is_top: true,
        })
    }

    /// The service that makes the copy's SSH host keys, if any.
    fn host_keys(&mut self) -> Done {
        let tree = system::tree(self.job);
        match host_keys::look(tree)? {
            HostKeys::NotNeeded => {}
            keys => self
                .report
                .remark(Remark::Look, b"etc/ssh", &keys.to_string()),
        }
        Ok(())
    }

    /// A kernel's refusal with what was being done to the current entry.
    fn read<T>(
        &self,
        action: &'static str,
        result: rustix::io::Result<T>,
    ) -> Result<T, PackageError> {
        result.map_err(|source| PackageError::Tree {
            action,
            path: shown(&self.path),
            source,
        })
    }

    fn walk(&mut self, level: &Level<'_>) -> Done {
        let names = self.read("listing", Names::read(level.fd))?;
        for name in names.iter() {
            let parent_len = self.path.len();
            if parent_len > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            let done = self.entry(level, name);
            self.path.truncate(parent_len);
            done?;
        }
        Ok(())
    }

    fn leave(&mut self, why: Why, text: &str) {
        self.report.left_out(&self.path, why, text);
    }

    fn entry(&mut self, level: &Level<'_>, name: &[u8]) -> Done {
        let (states, matched) = self.job.rules.step(level.states, name);
        if let Some((why, text)) = self.omission(level, name, matched) {
            self.leave(why, text);
            return Ok(());
        }
        let Some(facts) = self.look(level, name)? else {
            return Ok(());
        };
        if level.depth >= DEPTH_MAX || self.path.len() > PATH_MAX {
            self.leave(
                Why::Impossible,
                "no target takes paths of more than 64 components or 4095 bytes",
            );
            return Ok(());
        }
        if self.total.entries >= ENTRIES_MAX {
            return Err(PackageError::TooMany { most: ENTRIES_MAX });
        }
        if facts.kind == FileType::Directory {
            return self.directory(level, name, &states, facts);
        }
        match matched.map(|matched| matched.verdict) {
            Some(Verdict::LeaveFiles(why, text)) => {
                self.leave(why, text);
                return Ok(());
            }
            Some(Verdict::Mention(text)) => self.report.remark(Remark::Look, &self.path, text),
            _ => {}
        }
        self.not_directory(level, name, facts, matched)
    }

    /// The reason to leave out an entry by its name alone, and everything below it.
    fn omission<'m>(
        &self,
        level: &Level<'_>,
        name: &[u8],
        matched: Option<Matched<'m>>,
    ) -> Option<(Why, &'m str)> {
        let is_own = |own: &Own| own.0 == level.facts.id && own.1 == name;
        if self.job.own.iter().any(is_own) {
            return Some((Why::Own, "written by this command"));
        }
        match matched {
            None if level.is_top && name == LOST_FOUND => {
                Some((Why::Pseudo, "belongs to its file system"))
            }
            Some(Matched {
                verdict: Verdict::Leave(why, text),
                ..
            }) => Some((why, text)),
            _ => None,
        }
    }

    /// The facts of an entry; `None` if it is left out because it cannot be looked at.
    fn look(&mut self, level: &Level<'_>, name: &[u8]) -> Result<Option<Facts>, PackageError> {
        match node::look(level.fd, name) {
            Err(Errno::NOENT) => {
                self.leave(Why::Vanished, "it was gone when its turn came");
                Ok(None)
            }
            // Root is refused by FUSE alone, when another user has mounted it; a server that is
            // gone, by its mount.
            Err(Errno::ACCESS | Errno::NOTCONN | Errno::STALE)
                if rustix::process::geteuid().is_root() =>
            {
                self.leave(
                    Why::OtherFileSystem,
                    "root may not look at it: mounted by a user, or its server is gone",
                );
                Ok(None)
            }
            result => self.read("looking at", result).map(Some),
        }
    }

    fn not_directory(
        &mut self,
        level: &Level<'_>,
        name: &[u8],
        facts: Facts,
        matched: Option<Matched<'_>>,
    ) -> Done {
        let (major, minor) = facts.device;
        match facts.kind {
            FileType::RegularFile => self.file(level, name, facts, matched),
            FileType::Symlink => match node::link_target(level.fd, name) {
                Err(Errno::NOENT | Errno::INVAL) => {
                    self.leave(Why::Vanished, "it was gone when its turn came");
                    Ok(())
                }
                result => {
                    let target = self.read("reading", result)?;
                    self.unopened(level, name, &facts, Kind::Symlink(target.to_bytes()))
                }
            },
            FileType::CharacterDevice => {
                self.unopened(level, name, &facts, Kind::Character(major, minor))
            }
            FileType::BlockDevice => self.unopened(level, name, &facts, Kind::Block(major, minor)),
            FileType::Fifo => self.unopened(level, name, &facts, Kind::Fifo),
            _ => {
                self.leave(Why::Socket, "a socket is made by its program");
                Ok(())
            }
        }
    }

    fn directory(
        &mut self,
        level: &Level<'_>,
        name: &[u8],
        states: &States,
        looked: Facts,
    ) -> Done {
        let mut facts = looked;
        let emptied = self.job.rules.emptied(states);
        let is_included = self.job.mounts.contains(&self.path);
        let is_other = |facts: &Facts| !is_included && !facts.is_beside(&level.facts);
        // Not opened: an automounter would be woken, a dead server waited for.
        if is_other(&facts) {
            return self.mount_point(&facts, emptied);
        }
        let fd = match node::open(level.fd, name, true) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                self.leave(Why::Vanished, "it was gone when its turn came");
                return Ok(());
            }
            result => self.read("opening", result)?,
        };
        facts = self.read("looking at", node::look_at(fd.as_fd()))?;
        if is_other(&facts) {
            return self.mount_point(&facts, emptied);
        }
        if emptied.is_some() || self.job.rules.is_thinned(states) {
            facts.mtime = NO_TIME;
        }
        let xattrs = self.xattrs(Owner::Open(fd.as_fd()))?;
        self.directory_header(&facts, &xattrs)?;
        if let Some(Matched {
            verdict: Verdict::Leave(why, text),
            ..
        }) = emptied
        {
            let names = self.read("listing", Names::read(fd.as_fd()))?;
            if !names.is_empty() {
                self.leave(why, &format!("{} entries in it: {text}", names.len()));
            }
            return Ok(());
        }
        self.walk(&Level {
            fd: fd.as_fd(),
            facts,
            states,
            depth: level.depth.saturating_add(1),
            is_top: is_included,
        })
    }

    fn directory_header(&mut self, facts: &Facts, xattrs: &[Xattr]) -> Done {
        let path = [&self.path[..], b"/"].concat();
        self.header(&path, Kind::Directory, facts, xattrs)
    }

    /// The directory on which something else is mounted. Its owner and mode are those of what is
    /// mounted: `/tmp` stays what it is. Its time is not, it would be that of the boot.
    fn mount_point(&mut self, facts: &Facts, emptied: Option<Matched<'_>>) -> Done {
        let facts = Facts {
            mtime: NO_TIME,
            ..*facts
        };
        self.directory_header(&facts, &[])?;
        if let Some(Matched {
            verdict: Verdict::Leave(why, text),
            ..
        }) = emptied
        {
            self.leave(why, &format!("what is mounted here: {text}"));
            return Ok(());
        }
        let (why, text) = self.mounts.describe(&facts, &shown(&self.path));
        self.leave(why, &text);
        Ok(())
    }

    /// An entry without contents to be opened.
    fn unopened(&mut self, level: &Level<'_>, name: &[u8], facts: &Facts, kind: Kind<'_>) -> Done {
        if self.is_linked(facts)? {
            return Ok(());
        }
        if matches!(kind, Kind::Symlink(target) if target.is_empty() || target.len() > PATH_MAX) {
            self.leave(Why::Impossible, "its target is empty or too long");
            return Ok(());
        }
        let xattrs = self.xattrs(Owner::Named(level.fd, name))?;
        self.remember(facts);
        let path = self.path.clone();
        self.header(&path, kind, facts, &xattrs)
    }

    /// Packs another name of a file that is packed already; false when it is not.
    fn is_linked(&mut self, facts: &Facts) -> Result<bool, PackageError> {
        if facts.links < 2 {
            return Ok(false);
        }
        let Some(first) = self.links.take(facts.id) else {
            return Ok(false);
        };
        let path = self.path.clone();
        self.header(&path, Kind::HardLink(&first), facts, &[])?;
        Ok(true)
    }

    fn remember(&mut self, facts: &Facts) {
        if facts.links > 1 && !self.links.remember(facts.id, &self.path, facts.links) {
            self.report.remark(
                Remark::Lost,
                &self.path,
                "its other names become files of their own: too many hard links",
            );
        }
    }

    fn xattrs(&mut self, owner: Owner<'_>) -> Result<Vec<Xattr>, PackageError> {
        let found = node::xattrs(owner, &mut self.room);
        let found = self.read("reading the extended attributes of", found)?;
        let (kept, lost) = xattrs::choose(found);
        for (name, why) in lost {
            let text = format!("extended attribute {}: {why}", name.escape_ascii());
            self.report.remark(Remark::Lost, &self.path, &text);
        }
        Ok(kept)
    }

    fn header(&mut self, path: &[u8], kind: Kind<'_>, facts: &Facts, xattrs: &[Xattr]) -> Done {
        self.total.entries = self.total.entries.saturating_add(1);
        self.kernels.see(path);
        let flags: Vec<&str> = facts.flags.names().collect();
        if !flags.is_empty() && !matches!(kind, Kind::HardLink(_)) {
            let text = format!(
                "chattr flags that a package does not keep: {}",
                flags.join(", ")
            );
            self.report.remark(Remark::Lost, path, &text);
        }
        let member = Member {
            path,
            kind,
            mode: facts.mode,
            uid: facts.uid,
            gid: facts.gid,
            mtime: facts.mtime,
            xattrs,
        };
        tar::write_header(&mut self.out, &member).map_err(PackageError::Write)
    }

    fn tell(&mut self) {
        (self.watch)(&Seen {
            entries: self.total.entries,
            content_bytes: self.total.content_bytes,
            path: &self.path,
        });
    }
}
