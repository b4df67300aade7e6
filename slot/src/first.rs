//! What the first boot of a root does to the state partition (`slot.md 6.3`): the users that its
//! image brings are added, and the files below its writable directories that the node lacks. Once:
//! the hash of the root is then written down.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{self as unix, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;
use thiserror::Error;
use wire::digits::Hex;
use wire::manifest::Sha256;
use wire::state::{DIRECTORIES, ETC_UPPER, OWN, SEEN};

use crate::console;
use crate::copies::{Copies, CopyError};
use crate::users::{self, Clash};

/// Roots that are remembered: two slots, and some that were there before.
const SEEN_MAX: usize = 8;
/// In the directory of this program: what is not whole yet.
const UNFINISHED: &str = "unfinished";

/// The first boot's work could not be done; the next boot does it again.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum FirstError {
    /// A file of the state partition.
    #[error("{action} {} for the first boot of this root", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something that the image brings.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FirstError {
    let path = path.to_owned();
    move |source| FirstError::File {
        action,
        path,
        source,
    }
}

/// Does what is left to do for the root of this hash. `image` is the root directory before anything
/// was put over it, `state` the state partition; `left_out` stays the image's below `/var`.
///
/// # Errors
/// The state partition is full or damaged. What was done is whole, and is not undone.
pub fn boot(
    hash: &Sha256,
    image: &Path,
    state: &Path,
    left_out: &[PathBuf],
) -> Result<(), FirstError> {
    let hash = Hex(hash).to_string();
    let path = state.join(SEEN);
    let seen = fs::read_to_string(&path).unwrap_or_default();
    if seen.lines().any(|line| line == hash) {
        return Ok(());
    }
    let unfinished = state.join(OWN).join(UNFINISHED);
    for (file, has_numbers) in users::FILES {
        let image = image.join("etc").join(file);
        add_users(
            &image,
            &state.join(ETC_UPPER).join(file),
            &unfinished,
            has_numbers,
        )?;
    }
    for name in DIRECTORIES {
        let (image, state) = (image.join(name), state.join(name));
        if image.is_dir() && state.is_dir() {
            let left_out = if name == "var" { left_out } else { &[] };
            let unfinished = unfinished.as_path();
            let copies = Copies {
                unfinished,
                left_out,
            };
            copies.missing(&image, &state)?;
        }
    }
    // Everything that the note is about comes before it.
    sync(state)?;
    replace(&path, &noted(&seen, &hash), &unfinished)?;
    sync(state)
}

fn sync(state: &Path) -> Result<(), FirstError> {
    let synced = fs::File::open(state).and_then(|top| Ok(syncfs(top)?));
    synced.map_err(failed("writing", state))
}

/// The hashes with this one behind them, the oldest dropped.
fn noted(seen: &str, hash: &str) -> String {
    let lines: Vec<&str> = seen.lines().chain([hash]).collect();
    let kept = lines.len().saturating_sub(SEEN_MAX);
    let kept = lines.get(kept..).unwrap_or_default();
    kept.iter().map(|line| format!("{line}\n")).collect()
}

/// Adds what the node's file lacks. A node that has not changed the file sees the image's.
fn add_users(
    image: &Path,
    node: &Path,
    unfinished: &Path,
    has_numbers: bool,
) -> Result<(), FirstError> {
    let is_file = |path: &Path| fs::symlink_metadata(path).is_ok_and(|what| what.is_file());
    if !is_file(image) || !is_file(node) {
        return Ok(());
    }
    let read = |path: &Path| fs::read_to_string(path).map_err(failed("reading", path));
    let Some(merged) = users::merge(&read(node)?, &read(image)?, has_numbers) else {
        return Ok(());
    };
    for Clash {
        name,
        other,
        number,
    } in merged.clashes
    {
        let file = node.file_name().unwrap_or_default().to_string_lossy();
        console::warning(&format!(
            "{name}, which this image brings, has the number {number} of {other} in /etc/{file}"
        ));
    }
    replace(node, &merged.text, unfinished)
}

/// Writes a file whole, with owner and permissions of the one that is there.
fn replace(path: &Path, text: &str, unfinished: &Path) -> Result<(), FirstError> {
    let write = || {
        let mut file = fs::File::create(unfinished)?;
        if let Ok(former) = fs::metadata(path) {
            unix::fchown(&file, Some(former.uid()), Some(former.gid()))?;
            file.set_permissions(fs::Permissions::from_mode(former.mode()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(unfinished, path)
    };
    write().map_err(failed("writing", path))
}

#[cfg(test)]
mod tests {
    use super::{boot, noted};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    fn put(top: &Path, path: &str, content: &str) {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (image, state) = (dir.path().join("image"), dir.path().join("state"));
        put(
            &image,
            "etc/passwd",
            "root:x:0:0::/:/bin/sh\nnew:x:9:9::/:/bin/sh\n",
        );
        put(&image, "var/lib/new", "brought");
        put(&image, "var/lib/dpkg/status", "packages");
        put(&image, "home/.keep", "");
        for name in ["etc/upper", "smv", "var", "home", "root"] {
            fs::create_dir_all(state.join(name)).unwrap();
        }
        (dir, image, state)
    }

    #[test]
    fn users_and_files_of_the_image_are_added_once() {
        let (_dir, image, state) = trees();
        put(&state, "etc/upper/passwd", "root:x:0:0::/root:/bin/ash\n");
        let mode = fs::Permissions::from_mode(0o604);
        fs::set_permissions(state.join("etc/upper/passwd"), mode).unwrap();
        let left_out = [PathBuf::from("lib/dpkg")];
        let run = |hash| boot(&[hash; 32], &image, &state, &left_out).unwrap();
        run(1);
        let passwd = state.join("etc/upper/passwd");
        let expected = "root:x:0:0::/root:/bin/ash\nnew:x:9:9::/:/bin/sh\n";
        assert_eq!(fs::read_to_string(&passwd).unwrap(), expected);
        assert_eq!(fs::metadata(&passwd).unwrap().mode() & 0o777, 0o604);
        assert_eq!(
            fs::read_to_string(state.join("var/lib/new")).unwrap(),
            "brought"
        );
        assert!(state.join("home/.keep").exists() && !state.join("var/lib/dpkg").exists());

        // What a person removes stays removed, until another image comes.
        fs::remove_file(state.join("var/lib/new")).unwrap();
        run(1);
        assert!(!state.join("var/lib/new").exists());
        run(2);
        assert!(state.join("var/lib/new").exists());
        let seen = fs::read_to_string(state.join("smv/seen")).unwrap();
        assert_eq!(seen, format!("{}\n{}\n", "01".repeat(32), "02".repeat(32)));
    }

    #[test]
    fn a_node_that_has_changed_no_file_of_users_sees_the_images() {
        let (_dir, image, state) = trees();
        boot(&[1; 32], &image, &state, &[]).unwrap();
        assert_eq!(fs::read_dir(state.join("etc/upper")).unwrap().count(), 0);
    }

    #[test]
    fn what_failed_is_done_again_by_the_next_boot() {
        let (_dir, image, state) = trees();
        fs::remove_dir(state.join("smv")).unwrap();
        let error = boot(&[1; 32], &image, &state, &[]).unwrap_err().to_string();
        assert!(
            error.contains("of the image to the state partition"),
            "{error}"
        );
        fs::create_dir(state.join("smv")).unwrap();
        boot(&[1; 32], &image, &state, &[]).unwrap();
        assert!(state.join("var/lib/new").exists());
    }

    #[test]
    fn only_the_newest_roots_are_remembered() {
        let mut seen = String::new();
        for number in 0..10 {
            seen = noted(&seen, &number.to_string());
        }
        assert_eq!(seen, "2\n3\n4\n5\n6\n7\n8\n9\n");
    }
}
