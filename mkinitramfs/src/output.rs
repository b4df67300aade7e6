//! Bytes in, a file with all of them out, or what was there before.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everybody, less the umask.
    Everybody,
    /// Its owner: a private key is inside.
    Owner,
}

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing {}", path.display())]
pub struct OutputError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Writes beside the target and renames, so that nobody ever boots half a file. The process id keeps two
/// callers apart.
///
/// # Errors
/// The directory is missing, not ours, or full.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), OutputError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    // As std::fs::write does it, less the umask.
    let mode = match readers {
        Readers::Everybody => 0o666,
        Readers::Owner => 0o600,
    };
    // A leftover of a process with our number would keep its own mode.
    let _ = std::fs::remove_file(&beside);
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode);
    file.open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|source| {
            // Nothing to do about a leftover that cannot be removed: the first error is the one to tell.
            let _ = std::fs::remove_file(&beside);
            OutputError {
                path: path.to_owned(),
                source,
            }
        })
}
