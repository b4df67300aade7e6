//! What every boot medium is made of: kernel, initramfs and command line; and for UEFI the stub
//! that starts what is added to it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pack::secure_boot::{Chain, ChainError, Purpose};
use session::keys::holds_private_key;

use crate::output::Readers;
use crate::packed;
use crate::shim::{Shim, ShimError};

/// Limit for a file that is read into memory: a kernel, or all its drivers and firmware.
const FILE_MAX_BYTES: u64 = 2 << 30;

/// The parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// `--kernel`: a bzImage.
    pub kernel: PathBuf,
    /// `--initramfs`: what `image` made.
    pub initramfs: PathBuf,
    /// `--cmdline`: words for the kernel.
    pub cmdline: String,
    /// `--secure-boot`: by programs that are signed.
    pub is_secure: bool,
}

/// The files cannot be booted.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum PartsError {
    /// One of the files.
    #[error("reading {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A file of another kind altogether.
    #[error("{} has {len} bytes, the limit is {FILE_MAX_BYTES}", path.display())]
    Large { path: PathBuf, len: u64 },
    /// They do not fit together.
    #[error("combining {} and {}", kernel.display(), initramfs.display())]
    Shim {
        kernel: PathBuf,
        initramfs: PathBuf,
        source: ShimError,
    },
}

/// There is no stub.
#[derive(Debug, thiserror::Error)]
#[error("reading {} (Debian: systemd-boot-efi)", path.display())]
#[allow(missing_docs)] // the fields name themselves
pub struct StubError {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// The stub's bytes.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_stub(path: &Path) -> Result<Vec<u8>, StubError> {
    std::fs::read(path).map_err(|source| StubError {
        path: path.to_owned(),
        source,
    })
}

impl Parts {
    /// The programs that start the kernel with Secure Boot, when that is asked for.
    ///
    /// # Errors
    /// This machine has none.
    pub fn chain(&self, purpose: Purpose) -> Result<Option<Chain>, ChainError> {
        let chain = self.is_secure.then(|| Chain::read(purpose));
        chain.transpose()
    }

    /// Reads and checks them. What is made of an initramfs with a private key in it, or of one that
    /// not everybody may read, is for its owner only.
    ///
    /// # Errors
    /// See [`PartsError`].
    pub fn read(&self) -> Result<(Shim, Readers), PartsError> {
        let (kernel, _) = read(&self.kernel)?;
        let (initramfs, mut readers) = read(&self.initramfs)?;
        if is_pinned(&initramfs) {
            readers = Readers::Owner;
        }
        let shim = Shim::new(kernel, initramfs, &self.cmdline);
        let shim = shim.and_then(|shim| match self.is_secure && !shim.is_signed() {
            true => Err(ShimError::NotSigned),
            false => Ok(shim),
        });
        let shim = shim.map_err(|source| PartsError::Shim {
            kernel: self.kernel.clone(),
            initramfs: self.initramfs.clone(),
            source,
        })?;
        Ok((shim, readers))
    }
}

pub(super) fn read(path: &Path) -> Result<(Vec<u8>, Readers), PartsError> {
    let failed = |source| PartsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    // Of the file that is read, whatever its name leads to by then.
    let metadata = file.metadata().map_err(failed)?;
    if metadata.len() > FILE_MAX_BYTES {
        return Err(PartsError::Large {
            path: path.to_owned(),
            len: metadata.len(),
        });
    }
    let readers = if metadata.permissions().mode() & 0o004 == 0 {
        Readers::Owner
    } else {
        Readers::Everybody
    };
    let mut bytes = Vec::new();
    file.by_ref()
        .take(FILE_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok((bytes, readers))
}

/// Whether `image --pinned` made it. One that is packed in another way than ours is
/// known by its mode only.
fn is_pinned(initramfs: &[u8]) -> bool {
    packed::unpack(initramfs.to_vec()).is_ok_and(|inside| holds_private_key(&inside))
}

#[cfg(test)]
mod tests {
    use super::Parts;
    use crate::output::Readers;
    use crate::test_dir::TestDir;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_not_everybody_may_read_or_holds_a_key_is_for_its_owner_only() {
        let dir = TestDir::new("parts");
        let (kernel, initramfs) = (dir.path().join("kernel"), dir.path().join("initramfs"));
        fs::write(&kernel, crate::shim::tests::kernel()).unwrap();
        let (_, target) = session::keys::PinnedKeys::draw().unwrap();
        let plain = zstd::encode_all(&b"070701"[..], 1).unwrap();
        let pinned = zstd::encode_all(target.to_text().as_bytes(), 1).unwrap();
        let pinned = [plain.clone(), pinned].concat();
        let parts = Parts {
            kernel,
            initramfs: initramfs.clone(),
            cmdline: String::new(),
            is_secure: false,
        };
        for (bytes, mode, expected) in [
            (&plain, 0o644, Readers::Everybody),
            (&plain, 0o604, Readers::Everybody),
            (&plain, 0o640, Readers::Owner),
            (&plain, 0o660, Readers::Owner),
            (&plain, 0o600, Readers::Owner),
            (&pinned, 0o644, Readers::Owner),
        ] {
            fs::write(&initramfs, bytes).unwrap();
            fs::set_permissions(&initramfs, fs::Permissions::from_mode(mode)).unwrap();
            let (_, readers) = parts.read().unwrap();
            assert!(readers == expected, "{mode:o}");
        }
    }

    #[test]
    fn secure_boot_takes_no_kernel_without_a_signature() {
        let dir = TestDir::new("parts-unsigned");
        let (kernel, initramfs) = (dir.path().join("kernel"), dir.path().join("initramfs"));
        fs::write(&kernel, crate::shim::tests::kernel()).unwrap();
        fs::write(&initramfs, b"070701").unwrap();
        let parts = |is_secure| Parts {
            kernel: kernel.clone(),
            initramfs: initramfs.clone(),
            cmdline: String::new(),
            is_secure,
        };
        parts(false).read().unwrap();
        let error = parts(true).read().unwrap_err();
        let error = wire::chain::chain(&error).to_string();
        assert!(error.contains("the kernel is not signed"), "{error}");
    }
}
