//! What the shim of a finished medium will do with what it is told: its command line and the files
//! of its initramfs in, what it makes of them out, or what it cannot follow. The parsers are those
//! of the shim itself.

use std::path::Path;

use bundle::trust::Trust;
use receiver::Policy;
use shim_settings::baked_config::{BakedConfigError, Files};
use shim_settings::cmdline::{self, CmdlineError};
use wifi::known::{self, Known, KnownError};
use wire::names::CONFIG_DIRECTORY;

use crate::archives::Archives;
use crate::tree::Node;

/// The shim would stop with an error.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SettledError {
    /// A word.
    #[error(transparent)]
    Cmdline(#[from] CmdlineError),
    /// A file, or how the files go with the words.
    #[error(transparent)]
    Files(#[from] BakedConfigError),
    /// The network to join.
    #[error("reading {}", known::PATH)]
    Wifi(#[from] KnownError),
    /// Something else lies where a text belongs.
    #[error("{CONFIG_DIRECTORY}/{name} of the image is no text")]
    NoText { name: String },
}

/// What it makes of them.
#[derive(Debug)]
pub struct Settled {
    /// Who may send a system.
    pub policy: Policy,
    /// What has to be signed, and by whom.
    pub trust: Trust,
    /// The network to join unattended.
    pub wifi: Option<Known>,
}

/// Reads all of it. An initramfs alone has no command line: then the empty one.
///
/// # Errors
/// See [`SettledError`].
pub fn settle(archives: &Archives, cmdline: Option<&str>) -> Result<Settled, SettledError> {
    let settings = cmdline::parse(cmdline.unwrap_or_default())?;
    let directory = CONFIG_DIRECTORY.trim_start_matches('/');
    let mut files = Files::of(Path::new(CONFIG_DIRECTORY));
    for (path, _) in archives.iter() {
        let name = path.strip_prefix(directory);
        let Some(name) = name.and_then(|name| name.strip_prefix('/')) else {
            continue;
        };
        // Of two the last one is left.
        match archives.get(path) {
            Some(Node::Text(text) | Node::Data(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| SettledError::NoText {
                    name: name.to_owned(),
                })?;
                files.add(name, text.to_owned())?;
            }
            _ => {
                return Err(SettledError::NoText {
                    name: name.to_owned(),
                });
            }
        }
    }
    let (policy, trust) = files.decide(&settings)?;
    let wifi = match archives.get(known::PATH.trim_start_matches('/')) {
        Some(Node::Text(text) | Node::Data(text)) => Some(known::parse(text)?),
        _ => None,
    };
    Ok(Settled {
        policy,
        trust,
        wifi,
    })
}
