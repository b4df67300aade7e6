//! A file or a directory in, a hash of all that counts out: names, contents, where links lead, and
//! whether a file may be executed. Owners, times and the other bits of the mode depend on who
//! checked the tree out and do not count.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The hash of a text, in hexadecimal.
#[must_use]
pub fn of_text(text: &str) -> String {
    hex(Sha256::digest(text))
}

/// The hash of a file or of what a link says.
///
/// # Errors
/// It cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    add_file(&mut hash, path)?;
    Ok(hex(hash.finalize()))
}

/// The hash of all that is in a directory, and its size in bytes.
///
/// # Errors
/// Something in it cannot be read.
pub fn of_tree(top: &Path) -> io::Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut bytes = 0;
    for path in everything_in(top)? {
        let name = path.strip_prefix(top).unwrap_or(&path).as_os_str();
        hash.update(name.as_bytes());
        hash.update([0]);
        bytes += add_file(&mut hash, &path)?;
    }
    Ok((hex(hash.finalize()), bytes))
}

/// What is in one directory, sorted.
///
/// # Errors
/// It cannot be read.
pub fn everything_in_one(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    let mut found = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// All files, links and directories below a directory, sorted.
///
/// # Errors
/// A directory cannot be read.
pub fn everything_in(top: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Adds what is at `path`: a byte for its kind, its length, its contents. Returns that length.
fn add_file(hash: &mut Sha256, path: &Path) -> io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        hash.update(b"d");
        return Ok(0);
    }
    if metadata.is_symlink() {
        let target = fs::read_link(path)?;
        hash.update(b"l");
        hash.update(target.as_os_str().len().to_le_bytes());
        hash.update(target.as_os_str().as_bytes());
        return Ok(0);
    }
    let is_program = metadata.permissions().mode() & 0o100 != 0;
    hash.update(if is_program { b"x" } else { b"f" });
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 17];
    let mut length: u64 = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        length += read as u64;
    }
    hash.update(length.to_le_bytes());
    Ok(length)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes.as_ref() {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
