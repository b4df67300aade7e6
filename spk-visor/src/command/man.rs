//! `man`: the manual pages as files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::manual::pages;

/// A page that could not be written.
#[derive(Debug, Error)]
#[error("writing {}", path.display())]
pub struct ManCommandError {
    path: PathBuf,
    source: io::Error,
}

/// Writes every page into `dir`, which is made where it is missing.
///
/// # Errors
/// The first file that cannot be written.
pub fn run(dir: &Path) -> Result<(), ManCommandError> {
    let failed = |path: &Path, source| {
        let path = path.to_owned();
        ManCommandError { path, source }
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for page in pages() {
        let file = dir.join(format!("{}.1", page.name));
        fs::write(&file, page.roff).map_err(|error| failed(&file, error))?;
    }
    Ok(())
}
