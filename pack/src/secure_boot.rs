//! The programs that a machine with Secure Boot starts with the keys that it is sold with: a first
//! stage that Microsoft has signed (rhboot's shim), and GRUB, signed by Debian, which the first
//! stage trusts.
//!
//! Debian's packages shim-signed and grub-efi-amd64-signed bring them. A signed GRUB is as it is:
//! which modules it has and where it looks for its configuration was decided when it was signed.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where Debian's packages have the first stage, and GRUB.
const FIRST_STAGE: &str = "usr/lib/shim";
const GRUB: &str = "usr/lib/grub/x86_64-efi-signed";

/// The first stage, beside what it starts.
pub const FIRST_STAGE_NAME: &str = "shimx64.efi";
/// The name by which the first stage starts GRUB, out of its own directory.
pub const GRUB_NAME: &str = "grubx64.efi";
/// Likewise MokManager, which asks a person whether to trust another key.
pub const MOK_MANAGER_NAME: &str = "mmx64.efi";

/// Which of the GRUBs that Debian signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// For a CD or a stick; reads `/boot/grub/grub.cfg`.
    Medium,
    /// For the network; reads `/grub/grub.cfg` on the server that it came from.
    Network,
    /// For an installed disk; reads `/EFI/debian/grub.cfg` on the ESP.
    Disk,
}

impl Purpose {
    const fn file(self) -> &'static str {
        match self {
            Purpose::Medium => "gcdx64.efi.signed",
            Purpose::Network => "grubnetx64.efi.signed",
            Purpose::Disk => "grubx64.efi.signed",
        }
    }

    /// Where this GRUB reads its configuration, from the root of what it was started from.
    #[must_use]
    pub const fn config(self) -> &'static str {
        match self {
            Purpose::Medium => "boot/grub/grub.cfg",
            Purpose::Network => "grub/grub.cfg",
            Purpose::Disk => "EFI/debian/grub.cfg",
        }
    }
}

/// The programs, each signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The program that firmware starts.
    pub first_stage: Vec<u8>,
    /// The program that the first stage starts.
    pub grub: Vec<u8>,
    /// The program that it starts when a person wants another key to be trusted.
    pub mok_manager: Vec<u8>,
}

/// One of them is not to be had.
#[derive(Debug, Error)]
#[error("reading {} (Debian: {package})", path.display())]
#[allow(missing_docs)] // the fields name themselves
pub struct ChainError {
    pub path: PathBuf,
    /// The package that has it.
    pub package: &'static str,
    /// The kernel's reason.
    pub source: io::Error,
}

impl Chain {
    /// The programs of this machine.
    ///
    /// # Errors
    /// A package is not installed.
    pub fn read(purpose: Purpose) -> Result<Self, ChainError> {
        Self::read_beneath(Path::new("/"), purpose)
    }

    /// Those beneath another root.
    fn read_beneath(root: &Path, purpose: Purpose) -> Result<Self, ChainError> {
        let read = |directory: &str, name: &str, package| {
            let path = root.join(directory).join(name);
            std::fs::read(&path).map_err(|source| ChainError {
                path,
                package,
                source,
            })
        };
        Ok(Self {
            first_stage: read(FIRST_STAGE, "shimx64.efi.signed", "shim-signed")?,
            mok_manager: read(FIRST_STAGE, "mmx64.efi.signed", "shim-helpers-amd64-signed")?,
            grub: read(GRUB, purpose.file(), "grub-efi-amd64-signed")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, Purpose};
    use std::fs;
    use tempfile::TempDir;

    #[test]
    fn each_purpose_has_its_grub_and_what_is_missing_is_named_with_its_package() {
        let root = TempDir::new().unwrap();
        let put = |path: &str| {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, path).unwrap();
        };
        let read = |purpose| Chain::read_beneath(root.path(), purpose);
        for (file, package) in [
            ("usr/lib/shim/shimx64.efi.signed", "shim-signed"),
            ("usr/lib/shim/mmx64.efi.signed", "shim-helpers-amd64-signed"),
            (
                "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed",
                "grub-efi-amd64-signed",
            ),
        ] {
            let error = read(Purpose::Medium).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(package), "{error}");
            put(file);
        }
        let chain = read(Purpose::Medium).unwrap();
        assert!(chain.grub.ends_with(b"gcdx64.efi.signed"));
        for (purpose, name) in [
            (Purpose::Network, "grubnetx64.efi.signed"),
            (Purpose::Disk, "grubx64.efi.signed"),
        ] {
            read(purpose).unwrap_err();
            put(&format!("usr/lib/grub/x86_64-efi-signed/{name}"));
            let other = read(purpose).unwrap();
            assert!(other.grub.ends_with(name.as_bytes()));
            assert_eq!(other.first_stage, chain.first_stage);
        }
    }
}
