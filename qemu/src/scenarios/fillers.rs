//! Packages with more in them than a system needs, for deploys that shall last or not fit.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::actors::stranger::{self, Noise};
use crate::error::{Doing, Result};
use crate::process::run;

/// More than all buffers between donor and disk hold, so that a donor killed early has not sent
/// everything.
const FILLER_MIB: usize = 48;
/// A disk with room for an ESP and for as much root again.
pub(super) const SMALL_MIB: u64 = 1024;

/// The packages of `from` and one more, last by name, that does not compress.
pub(crate) fn with_filler(from: &Path, to: &Path) -> Result<PathBuf> {
    let mut noise = Noise(2);
    let bytes: Vec<u8> = (0..FILLER_MIB << 17)
        .flat_map(|_| noise.word().to_le_bytes())
        .collect();
    with_one_more(from, to, |mut file| file.write_all(&bytes))
}

/// The same, of nothing but zeros: little on the wire, and unpacked more than the root of a disk of
/// [`SMALL_MIB`].
pub(super) fn with_zeros(from: &Path, to: &Path) -> Result<PathBuf> {
    with_one_more(from, to, |file| file.set_len(640 << 20))
}

fn with_one_more(
    from: &Path,
    to: &Path,
    fill: impl FnOnce(File) -> std::io::Result<()>,
) -> Result<PathBuf> {
    with_files(from, to, &["zz-filler"], |to| {
        File::create(to.join("zz-filler")).and_then(fill)
    })
}

/// The packages of `from` and one more, last by name, with these files or directories that `make`
/// puts into its directory.
pub(super) fn with_files(
    from: &Path,
    to: &Path,
    names: &[&str],
    make: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<PathBuf> {
    std::fs::create_dir_all(to).doing("making", to.display())?;
    for (name, data) in stranger::packages(from)? {
        let path = to.join(name);
        std::fs::write(&path, data).doing("writing", path.display())?;
    }
    make(to).doing("filling", to.display())?;
    // The systems come as xz; and this one is ready at once.
    let package = to.join("zz-filler.tar.zst");
    run(Command::new("tar")
        .args(["--owner=0", "--group=0", "-C"])
        .arg(to)
        .args(["-I", "zstd -1", "--remove-files", "-cf"])
        .arg(&package)
        .args(names))?;
    to.canonicalize().doing("resolving", to.display())
}
