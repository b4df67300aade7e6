//! `customize`: a finished medium and other settings in, the medium that has them out: the same
//! bytes as if it had been made with them, where nothing but settings differs.

use std::path::{Path, PathBuf};

use wifi::known;
use wire::names::{CONFIG_DIRECTORY, FLOOR_FILE, PINNED_FILE, TRUST_FILE};

use super::image::{ImageError, Locks};
use super::parts::{self, PartsError};
use super::settled::{self, SettledError};
use super::show::{self, Seen, ShowError};
use crate::archives::{Archives, ArchivesError};
use crate::baked_config::BakedConfigError;
use crate::initramfs::INIT_PATH;
use crate::medium::{Kind, Medium, WriteError};
use crate::output::{OutputError, Readers, replace};
use crate::scratch::Scratch;
use crate::shim::{Shim, ShimError};
use crate::tree::Node;
use crate::wifi::SUPPLICANT_PATH;

/// What becomes of a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Remove,
    /// It is this.
    Set(T),
}

/// The arguments of `customize`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customize {
    /// The medium.
    pub file: PathBuf,
    /// `-o`; nothing is written with `--dry-run`.
    pub output: Option<PathBuf>,
    /// `--cmdline`: words in place of all that there are.
    pub cmdline: Option<String>,
    /// `--unset`: keys whose words go.
    pub unset: Vec<String>,
    /// `--set`: words in place of those with the same key.
    pub set: Vec<String>,
    /// `--timeout`: how long the menu of an image waits.
    pub timeout_seconds: Option<u32>,
    /// `--trust`: files, or keys themselves.
    pub trust: Change<Vec<std::ffi::OsString>>,
    /// `--floor`.
    pub floor: Change<u64>,
    /// `--pinned`.
    pub pinned: Change<PathBuf>,
    /// `--wifi-network`.
    pub network: Change<PathBuf>,
}

/// It is not changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum CustomizeError {
    /// The medium.
    #[error(transparent)]
    Show(#[from] ShowError),
    /// Its file.
    #[error(transparent)]
    Read(#[from] PartsError),
    /// A key.
    #[error(transparent)]
    Locks(#[from] ImageError),
    /// The network to join.
    #[error("reading {}", path.display())]
    Network {
        path: PathBuf,
        source: std::io::Error,
    },
    /// It has nothing that could join one.
    #[error("{} carries no {SUPPLICANT_PATH}: make it with media image --wifi", path.display())]
    NoSupplicant { path: PathBuf },
    /// An initramfs.
    #[error("{} has no {what}: it is an initramfs alone", path.display())]
    Without { path: PathBuf, what: &'static str },
    /// It would be several, or none.
    #[error("--set {0:?}: expected one word, KEY=VALUE")]
    Word(String),
    /// A unified kernel image.
    #[error("{} has no menu that waits", path.display())]
    NoMenu { path: PathBuf },
    /// The archives.
    #[error("changing {}", path.display())]
    Archives {
        path: PathBuf,
        source: ArchivesError,
    },
    /// What came out of it cannot be started.
    #[error("changing {}", path.display())]
    Shim { path: PathBuf, source: ShimError },
    /// The shim would stop with an error.
    #[error("the shim of {} could not follow this", path.display())]
    Settled { path: PathBuf, source: SettledError },
    /// It cannot be put together.
    #[error("changing {}", path.display())]
    Write { path: PathBuf, source: WriteError },
    /// The result could not be put where it belongs.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The medium before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customized {
    /// As it is in the file.
    pub before: Seen,
    /// As it is in the new one.
    pub after: Seen,
}

impl CustomizeError {
    /// Is it this machine that failed, and not what was given: no room, no tool?
    #[must_use]
    pub const fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Output(_) => true,
            Self::Write { source, .. } => match source {
                WriteError::Iso(error) => error.is_of_this_machine(),
                WriteError::Uki(_) | WriteError::Menu => false,
            },
            _ => false,
        }
    }
}

impl Customize {
    /// Changes it, and writes the result where that is wanted.
    ///
    /// # Errors
    /// See [`CustomizeError`].
    pub fn make(&self) -> Result<Customized, CustomizeError> {
        let path = || self.file.clone();
        let (bytes, mut readers) = parts::read(&self.file)?;
        let (mut medium, mut archives) = show::take_apart(&self.file, &bytes)?;
        let before = show::seen(bytes.len() as u64, &medium, &archives);
        self.change_words(&mut medium)?;
        self.change_files(&mut archives)?;
        let settled = settled::settle(&archives, medium.cmdline.as_deref());
        let settled = settled.map_err(|source| CustomizeError::Settled {
            path: path(),
            source,
        })?;
        if settled.trust.floor().is_some() && !settled.trust.demands_signature() {
            return Err(ImageError::floor(BakedConfigError::FloorWithoutTrust).into());
        }
        medium.initramfs = archives
            .write()
            .map_err(|source| CustomizeError::Archives {
                path: path(),
                source,
            })?;
        let changed = self.put_together(&mut medium)?;
        if has_secret(&archives) {
            readers = Readers::Owner;
        }
        if let Some(output) = &self.output {
            replace(output, &changed, readers)?;
        }
        let mut after = show::seen(changed.len() as u64, &medium, &archives);
        if let show::FileKind::Uki { is_signed } = &mut after.kind {
            *is_signed = false;
        }
        Ok(Customized { before, after })
    }

    fn change_words(&self, medium: &mut Medium) -> Result<(), CustomizeError> {
        let path = || self.file.clone();
        if let Some(seconds) = self.timeout_seconds {
            match &mut medium.kind {
                Kind::Iso(iso) => iso.said.entries.timeout_seconds = seconds,
                Kind::Uki(_) | Kind::Initramfs => {
                    return Err(CustomizeError::NoMenu { path: path() });
                }
            }
        }
        if self.cmdline.is_none() && self.unset.is_empty() && self.set.is_empty() {
            return Ok(());
        }
        let Some(cmdline) = &mut medium.cmdline else {
            let what = "command line";
            return Err(CustomizeError::Without { path: path(), what });
        };
        let is_one = |word: &&String| word.split_ascii_whitespace().eq([word.as_str()]);
        if let Some(word) = self.set.iter().find(|word| !is_one(word)) {
            return Err(CustomizeError::Word(word.clone()));
        }
        let words = self.cmdline.as_deref().unwrap_or(cmdline);
        let key_of = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
        let replaced: Vec<String> = self.set.iter().map(|word| key_of(word)).collect();
        let is_kept = |word: &&str| {
            let key = key_of(word);
            !self.unset.contains(&key) && !replaced.contains(&key)
        };
        let kept = words.split_ascii_whitespace().filter(is_kept);
        let words: Vec<&str> = kept.chain(self.set.iter().map(String::as_str)).collect();
        *cmdline = words.join(" ");
        Ok(())
    }

    fn change_files(&self, archives: &mut Archives) -> Result<(), CustomizeError> {
        let locks = Locks {
            trust: match &self.trust {
                Change::Set(keys) => keys,
                Change::Keep | Change::Remove => &[],
            },
            floor: None,
            pinned: match &self.pinned {
                Change::Set(path) => Some(path),
                Change::Keep | Change::Remove => None,
            },
        };
        let config = locks.read()?;
        let network = match &self.network {
            Change::Set(path) => Change::Set(self.read_network(path)?),
            Change::Remove => Change::Remove,
            Change::Keep => Change::Keep,
        };
        let floor = match self.floor {
            Change::Set(counter) => Change::Set(format!("{counter}\n").into_bytes()),
            Change::Remove => Change::Remove,
            Change::Keep => Change::Keep,
        };
        let changes = [
            (TRUST_FILE, self.trust.with(config.trust_text()), INIT_PATH),
            (
                PINNED_FILE,
                self.pinned.with(config.pinned_text()),
                INIT_PATH,
            ),
            (FLOOR_FILE, floor, INIT_PATH),
            ("wifi", network, SUPPLICANT_PATH),
        ];
        for (name, change, beside) in changes {
            let text = match &change {
                Change::Keep => continue,
                Change::Remove => None,
                Change::Set(text) => Some(text.as_slice()),
            };
            let path = format!("{}/{name}", CONFIG_DIRECTORY.trim_start_matches('/'));
            let set = archives.set(&path, text, beside);
            let has_place = set.map_err(|source| CustomizeError::Archives {
                path: self.file.clone(),
                source,
            })?;
            if !has_place {
                let path = self.file.clone();
                return Err(CustomizeError::NoSupplicant { path });
            }
        }
        Ok(())
    }

    fn read_network(&self, path: &Path) -> Result<Vec<u8>, CustomizeError> {
        use std::io::Read;
        let failed = |source| CustomizeError::Network {
            path: path.to_owned(),
            source,
        };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        // One byte more than a network takes, so that a longer file is refused as such.
        file.take(known::LEN_MAX as u64 + 1)
            .read_to_end(&mut text)
            .map_err(failed)?;
        Ok(text)
    }

    fn put_together(&self, medium: &mut Medium) -> Result<Vec<u8>, CustomizeError> {
        let path = || self.file.clone();
        let Some(kernel) = medium.kernel.clone() else {
            return Ok(medium.initramfs.clone());
        };
        let cmdline = medium.cmdline.clone().unwrap_or_default();
        let shim = Shim::new(kernel, medium.initramfs.clone(), &cmdline);
        let shim = shim.map_err(|source| CustomizeError::Shim {
            path: path(),
            source,
        })?;
        // With the consoles that it gets where there is none.
        medium.cmdline = Some(shim.cmdline().to_owned());
        let beside = self.output.clone();
        let scratch = Scratch::beside(
            &beside.unwrap_or_else(|| std::env::temp_dir().join("spk-visor-customize")),
        )?;
        let written = medium.write(&shim, &scratch);
        written.map_err(|source| CustomizeError::Write {
            path: path(),
            source,
        })
    }
}

impl<T> Change<T> {
    /// The same of what was made of it.
    fn with(&self, made: Option<String>) -> Change<Vec<u8>> {
        match (self, made) {
            (Change::Keep, _) => Change::Keep,
            (Change::Set(_), Some(text)) => Change::Set(text.into_bytes()),
            (Change::Remove, _) | (Change::Set(_), None) => Change::Remove,
        }
    }
}

fn has_secret(archives: &Archives) -> bool {
    [PINNED_FILE, "wifi"].iter().any(|name| {
        let path = format!("{}/{name}", CONFIG_DIRECTORY.trim_start_matches('/'));
        matches!(archives.get(&path), Some(Node::Text(_)))
    })
}

#[cfg(test)]
mod tests;
