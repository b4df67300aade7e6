//! The directories of the root that a node can write (`slot.md 6.2`): `/etc` as the image's with
//! the node's changes above, the others out of the state partition.

use std::fs;
use std::io;
use std::os::unix::fs::{self as unix, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use thiserror::Error;
use wire::state::{DIRECTORIES, ETC_UPPER, ETC_WORK, OWN};

use crate::state;

/// Where the image's `/var` stays reachable until what remains the image's was put back.
const IMAGE_VAR: &str = "/run/smv/var";
/// `/etc` while only the image's is seen.
const ETC: &str = "/etc";
/// Only with these may the lower layer change between two mounts
/// (`Documentation/filesystems/overlayfs.rst`, "Changes to underlying filesystems").
const OVERLAY_RULES: &str = "index=off,metacopy=off,xino=off,redirect_dir=off";

/// A directory cannot be put in place.
#[derive(Debug, Error)]
#[error("{action} {}", path.display())]
pub struct WritableError {
    /// What was being done.
    pub action: &'static str,
    /// To which directory.
    pub path: PathBuf,
    /// The kernel's reason.
    #[source]
    pub source: io::Error,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WritableError {
    let path = path.to_owned();
    move |source| WritableError {
        action,
        path,
        source,
    }
}

/// Makes the directories of the state partition that are not there yet: with owner and permissions
/// of the image's.
///
/// # Errors
/// The state partition is full or damaged.
pub fn prepare() -> Result<(), WritableError> {
    let top = Path::new(state::DIRECTORY);
    for name in ["etc", ETC_UPPER, ETC_WORK, OWN] {
        let like = (name == ETC_UPPER).then_some(Path::new(ETC));
        make(&top.join(name), like)?;
    }
    for name in DIRECTORIES {
        let image = Path::new("/").join(name);
        if image.is_dir() {
            make(&top.join(name), Some(&image))?;
        }
    }
    Ok(())
}

/// One that is there stays as it is.
fn make(path: &Path, like: Option<&Path>) -> Result<(), WritableError> {
    let make = || {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        }
        let Some(like) = like else {
            return fs::set_permissions(path, fs::Permissions::from_mode(0o700));
        };
        let like = fs::metadata(like)?;
        unix::chown(path, Some(like.uid()), Some(like.gid()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(like.mode()))
    };
    make().map_err(failed("making", path))
}

/// Puts all of them in place. What stays the image's below `/var` is at `left_out`.
///
/// # Errors
/// The kernel refuses one of them.
pub fn attach(left_out: &[PathBuf]) -> Result<(), WritableError> {
    let top = Path::new(state::DIRECTORY);
    let (upper, work) = (top.join(ETC_UPPER), top.join(ETC_WORK));
    let options = format!(
        "lowerdir={ETC},upperdir={},workdir={},{OVERLAY_RULES}\0",
        upper.display(),
        work.display()
    );
    let options = std::ffi::CStr::from_bytes_until_nul(options.as_bytes()).unwrap_or_default();
    mount("overlay", ETC, "overlay", MountFlags::empty(), options)
        .map_err(|errno| failed("mounting the overlay", Path::new(ETC))(errno.into()))?;
    let var = Path::new("/var");
    let kept = Path::new(IMAGE_VAR);
    if !left_out.is_empty() {
        fs::create_dir_all(kept).map_err(failed("making", kept))?;
        bind(var, kept)?;
    }
    for name in DIRECTORIES {
        let (own, path) = (top.join(name), Path::new("/").join(name));
        if own.is_dir() && path.is_dir() {
            bind(&own, &path)?;
        }
    }
    for path in left_out {
        put_back(&kept.join(path), &var.join(path))?;
    }
    if !left_out.is_empty() {
        // Not reached by anybody any more.
        let _ = unmount(kept, UnmountFlags::DETACH);
        let _ = fs::remove_dir(kept);
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<(), WritableError> {
    mount_bind(from, to).map_err(|errno| failed("binding", to)(errno.into()))
}

/// What the image has at `from` is seen at `to`; what it has not is nobody's.
fn put_back(from: &Path, to: &Path) -> Result<(), WritableError> {
    let Ok(what) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    let place = || {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        match fs::symlink_metadata(to) {
            Ok(there) if there.is_dir() == what.is_dir() && !there.is_symlink() => Ok(()),
            Ok(there) if there.is_dir() => {
                fs::remove_dir_all(to).and_then(|()| made(what.is_dir(), to))
            }
            Ok(_) => fs::remove_file(to).and_then(|()| made(what.is_dir(), to)),
            Err(_) => made(what.is_dir(), to),
        }
    };
    place().map_err(failed("making a place for", to))?;
    bind(from, to)
}

fn made(is_dir: bool, path: &Path) -> io::Result<()> {
    match is_dir {
        true => fs::create_dir(path),
        false => fs::File::create_new(path).map(drop),
    }
}

/// Paths below `/var` out of the text of `var.image`: one a line, without a leading slash, none
/// that leads elsewhere; `#` begins a comment.
#[must_use]
pub fn left_out(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().map(str::trim);
    let paths = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    paths
        .filter(|path| path.split('/').all(|part| !matches!(part, "" | "." | "..")))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::left_out;
    use std::path::PathBuf;

    #[test]
    fn only_paths_below_var_stay_the_images() {
        let text = "# packages\nlib/dpkg\n\n  lib/rpm \n/lib/apt\nlib//x\n../etc\nlib/./y\n";
        assert_eq!(left_out(text), ["lib/dpkg", "lib/rpm"].map(PathBuf::from));
    }
}
