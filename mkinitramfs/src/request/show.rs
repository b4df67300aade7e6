//! `show`: a finished medium in, what is in it out, but for its secrets.

use std::path::{Path, PathBuf};

use receiver::Policy;
use wire::chain::chain;

use super::parts::{self, PartsError};
use super::settled::{self, Settled};
use crate::archives::{Archives, ArchivesError};
use crate::medium::{Kind, Medium, MediumError};
use crate::shim::release;
use crate::tree::Node;
use crate::wifi::{REGULATORY, SUPPLICANT_PATH};

/// It cannot be shown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ShowError {
    /// The file.
    #[error(transparent)]
    Read(#[from] PartsError),
    /// It is something else, or damaged.
    #[error("{}", path.display())]
    Medium { path: PathBuf, source: MediumError },
    /// Its initramfs is.
    #[error("{}", path.display())]
    Archives {
        path: PathBuf,
        source: ArchivesError,
    },
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// For CD and stick.
    Iso {
        /// How long its menu waits for a key.
        timeout_seconds: u32,
    },
    /// A unified kernel image.
    Uki {
        /// Somebody has signed it.
        is_signed: bool,
    },
    /// An initramfs alone.
    Initramfs,
}

/// What a person or a script wants to know of a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: FileKind,
    /// Its length.
    pub len: u64,
    /// The kernel's release, if there is a kernel and it tells one.
    pub release: Option<String>,
    /// Words for the kernel, if there is one.
    pub cmdline: Option<String>,
    /// Kernel modules.
    pub modules: usize,
    /// Files of firmware.
    pub firmware: usize,
    /// It carries what joins wireless networks.
    pub can_join: bool,
    /// What it is told; or what its shim could not follow, as that would say it.
    pub told: Result<Told, String>,
}

/// What the shim is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `secret`, `pinned` or `legacy`.
    pub policy: &'static str,
    /// The public key of the one donor that it pairs with.
    pub donor: Option<String>,
    /// Trusted keys, as minisign writes them.
    pub trust: Vec<String>,
    /// Lowest counter.
    pub floor: Option<u64>,
    /// Name of the network that it joins.
    pub network: Option<String>,
}

/// Looks at a file.
///
/// # Errors
/// See [`ShowError`].
pub fn show(path: &Path) -> Result<Seen, ShowError> {
    let (bytes, _) = parts::read(path)?;
    let (medium, archives) = take_apart(path, &bytes)?;
    Ok(seen(bytes.len() as u64, &medium, &archives))
}

/// The parts of the file that was read from `path`.
///
/// # Errors
/// See [`ShowError`].
pub(super) fn take_apart(path: &Path, bytes: &[u8]) -> Result<(Medium, Archives), ShowError> {
    let medium = Medium::read(bytes).map_err(|source| ShowError::Medium {
        path: path.to_owned(),
        source,
    })?;
    let archives = Archives::read(&medium.initramfs).map_err(|source| ShowError::Archives {
        path: path.to_owned(),
        source,
    })?;
    Ok((medium, archives))
}

/// What there is to say of the parts.
pub(super) fn seen(len: u64, medium: &Medium, archives: &Archives) -> Seen {
    let count = |is_one: &dyn Fn(&str) -> bool| {
        let files = archives.iter();
        let files = files.filter(|(path, node)| matches!(node, Node::Data(_)) && is_one(path));
        files.count()
    };
    let is_module = |path: &str| path.starts_with("lib/modules/") && path.contains(".ko");
    let is_firmware = |path: &str| {
        let name = path.strip_prefix("lib/firmware/");
        name.is_some_and(|name| !REGULATORY.contains(&name))
    };
    let told = settled::settle(archives, medium.cmdline.as_deref());
    Seen {
        kind: match &medium.kind {
            Kind::Initramfs => FileKind::Initramfs,
            Kind::Uki(rest) => FileKind::Uki {
                is_signed: rest.was_signed,
            },
            Kind::Iso(iso) => FileKind::Iso {
                timeout_seconds: iso.said.entries.timeout_seconds,
            },
        },
        len,
        release: medium
            .kernel
            .as_deref()
            .and_then(release)
            .map(str::to_owned),
        cmdline: medium.cmdline.clone(),
        modules: count(&is_module),
        firmware: count(&is_firmware),
        can_join: archives.get(SUPPLICANT_PATH).is_some(),
        told: told
            .map(Told::from)
            .map_err(|error| chain(&error).to_string()),
    }
}

impl From<Settled> for Told {
    fn from(settled: Settled) -> Self {
        let donor = match &settled.policy {
            Policy::Pinned(keys) => Some(keys.peer().to_string()),
            Policy::Secret | Policy::Legacy => None,
        };
        Self {
            policy: settled.policy.name(),
            donor,
            trust: settled.trust.keys().map(str::to_owned).collect(),
            floor: settled.trust.floor(),
            network: settled.wifi.map(|network| network.ssid.to_string()),
        }
    }
}
