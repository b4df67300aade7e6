//! A node, opened: from what slot-init has written to its partitions, its ledger and its keys.
//!
//! In: a root directory, `/` in a real node, a directory with a disk image in tests. Out: a
//! [`Node`](update::node::Node) that is lent for one piece of work.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::trust::Trust;
use disk::boot_record::RecordPlaces;
use disk::disk::Disk;
use disk::layout::Role as PartitionRole;
use disk::table;
use fetch::http::client::Access as ServerAccess;
use fetch::http::roots::Roots;
use fetch::source::Source;
use machine::locks::{self, Lock, Which};
use machine::partitions;
use machine::settings::{self, Settings};
use machine::slot_disks::{self, Access};
use rustix::fs::{major, minor};
use update::ledger_file::InDirectory;
use update::node::Node;
use update::witness::{self, InFile};
use wire::manifest::Role;
use wire::running::{self, Running};

use super::error::{NoNode, NodeError};
use super::sources::{self, Sources};

/// On the state partition: the ledger, and what is kept for the trial.
pub const STATE: &str = "/var/lib/smv/os";
/// In the image: the keys that an update may be signed with. Changing them is an update.
pub const TRUST: &str = "/usr/lib/smechvisor/trust";

/// Where a node is.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
}

impl Default for Place {
    fn default() -> Self {
        Self::at("/")
    }
}

/// The locks of a command that changes a node.
#[derive(Debug)]
pub struct Locks {
    _slot: Option<Lock>,
    _change: Lock,
}

impl Place {
    /// A node whose paths are below this directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a path of the node is.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The directory that all paths are below.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What slot-init has written: [`Running::parse`] reads it.
    ///
    /// # Errors
    /// This system was not started from a slot.
    pub fn boot(&self) -> Result<Vec<u8>, NodeError> {
        let path = self.path(Path::new(running::PATH));
        fs::read(&path).map_err(|source| match self.one_root() {
            Some(root) => NodeError::NoNode(NoNode::OneRoot { root }),
            None => NodeError::NoNode(NoNode::Unread { path, source }),
        })
    }

    /// The partition that this system runs from, when it is the root that a deploy has made.
    fn one_root(&self) -> Option<PathBuf> {
        let device = fs::metadata(&self.root).ok()?.dev();
        let device = format!("/sys/dev/block/{}:{}", major(device), minor(device));
        let root = partitions::of(&self.path(Path::new(&device)))?;
        (root.name == table::name(PartitionRole::Root)).then_some(root.node)
    }

    /// What the administrator has set.
    ///
    /// # Errors
    /// A line that is wrong.
    pub fn settings(&self) -> Result<Settings, NodeError> {
        let paths = settings::PATHS.map(|path| self.path(Path::new(path)));
        Ok(Settings::read(&paths)?)
    }

    /// The source that was chosen, or that of the settings for this role, and how its server is
    /// reached.
    ///
    /// # Errors
    /// There is none, or a line of the settings is wrong.
    pub fn source(
        &self,
        chosen: Option<&Source>,
        access: &ServerAccess,
        role: Role,
    ) -> Result<(Source, ServerAccess), NodeError> {
        if let Some(source) = chosen {
            return Ok((source.clone(), access.clone()));
        }
        let (sources, access) = self.sources(access)?;
        let source = sources.of(role).ok_or(NodeError::NoSource { role })?;
        Ok((source.clone(), access))
    }

    /// The sources of the settings, and how their servers are reached.
    ///
    /// # Errors
    /// A line of the settings is wrong.
    pub fn sources(&self, access: &ServerAccess) -> Result<(Sources, ServerAccess), NodeError> {
        let sources = Sources::read(&sources::PATHS.map(|path| self.path(Path::new(path))))?;
        let mut access = access.clone();
        if let (Some(ca), Roots::System) = (&sources.ca, &access.roots) {
            access.roots = Roots::File(self.path(ca));
        }
        Ok((sources, access))
    }

    /// The keys of the image that runs.
    ///
    /// # Errors
    /// The file is missing or wrong: without keys nothing can be taken.
    pub fn trust(&self) -> Result<Trust, NodeError> {
        let path = self.path(Path::new(TRUST));
        let text = fs::read_to_string(&path).map_err(|source| NodeError::Read {
            path: path.clone(),
            source,
        })?;
        Trust::parse(&text).map_err(|source| NodeError::Trust { path, source })
    }

    /// Keeps every other command from changing the node meanwhile.
    ///
    /// # Errors
    /// Another one does.
    pub fn lock(&self, command: &str) -> Result<Locks, NodeError> {
        let directory = self.path(Path::new(locks::DIRECTORY));
        let slot = locks::take(&directory, Which::Slot, command, Duration::ZERO)?;
        let mut locks = self.lock_record(command)?;
        locks._slot = Some(slot);
        Ok(locks)
    }

    /// Likewise, but for boot record and ledger alone; waits for what takes seconds.
    ///
    /// # Errors
    /// Another command does not come to an end.
    pub fn lock_record(&self, command: &str) -> Result<Locks, NodeError> {
        let directory = self.path(Path::new(locks::DIRECTORY));
        let patience = locks::CHANGE_PATIENCE;
        let change = locks::take(&directory, Which::Change, command, patience)?;
        Ok(Locks {
            _slot: None,
            _change: change,
        })
    }

    /// The directory on the state partition, made where it is missing.
    ///
    /// # Errors
    /// The partition is read-only, or full.
    pub fn state(&self) -> Result<PathBuf, NodeError> {
        let path = self.path(Path::new(STATE));
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
        match made {
            Ok(()) => Ok(path),
            Err(source) => Err(NodeError::State { path, source }),
        }
    }

    /// Where the network of the good slot is kept until the trial is judged.
    #[must_use]
    pub fn network_file(&self) -> PathBuf {
        self.path(Path::new(STATE)).join("network")
    }

    /// Likewise, for a set of packages.
    #[must_use]
    pub fn set_network_file(&self) -> PathBuf {
        self.path(Path::new(store::place::STATE))
            .join(store::sets::SETS)
            .join("network")
    }

    /// Opens the node and lends it to some work.
    ///
    /// # Errors
    /// What cannot be opened, or the work's own.
    pub fn with<T>(
        &self,
        running: &Running<'_>,
        access: Access,
        work: impl FnOnce(&mut Node<'_>) -> Result<T, NodeError>,
    ) -> Result<T, NodeError> {
        let sys = Path::new(slot_disks::SYS_CLASS_BLOCK);
        let mut disks = slot_disks::open(running, access, &self.root, sys)?;
        let len_bytes = disks.esp.size_bytes();
        let records = RecordPlaces::locate(&mut disks.esp, 0, len_bytes)?;
        let mut ledger = self.ledger(access)?;
        let written = disks.idle.written().ok();
        let mut witness = InFile {
            path: self.path(Path::new(witness::PATH)),
            generation: Box::new(move || written.as_ref()?.now()),
        };
        let (esp, slot_a, slot_b) = disks.parts();
        work(&mut Node {
            records,
            esp,
            slot_a,
            slot_b,
            ledger: &mut ledger,
            witness: &mut witness,
        })
    }

    /// Somebody who only looks makes no directory.
    fn ledger(&self, access: Access) -> Result<InDirectory, NodeError> {
        let path = self.path(Path::new(STATE));
        if access == Access::Change {
            self.state()?;
        }
        let nearest = match path.exists() {
            true => path.as_path(),
            false => &self.root, // nothing of that name is there either
        };
        let opened = File::open(nearest);
        let directory = opened.map_err(|source: io::Error| NodeError::State { path, source })?;
        Ok(InDirectory(directory.into()))
    }
}
