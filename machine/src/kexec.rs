//! Starting a kernel without the firmware (`boot.md` 5): whether this machine allows it, and how
//! the kernel is loaded.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use disk::esp::{EspError, EspReader};
use rustix::fs::MemfdFlags;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::efivars;

/// Vendor and product as the firmware tells them (`/sys/class/dmi/id`), and why not there. An empty
/// product is any.
const DENIED: [(&str, &str, &str); 2] = [
    // coreos/scripts#186, SUSE/suse-migration-services#126.
    (
        "Xen",
        "",
        "a new kernel finds the hypervisor's pages where the old one had put them, and hangs",
    ),
    // systemd/systemd#20072.
    (
        "Microsoft Corporation",
        "Virtual Machine",
        "the hypervisor's devices do not come back",
    ),
];

/// A kernel cannot be started from here; the firmware can still do it.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum KexecError {
    /// Built without.
    #[error("this kernel does not support it")]
    Unsupported,
    /// `kernel.kexec_load_disabled`, which no program can take back.
    #[error("it is disabled until the next boot (kernel.kexec_load_disabled)")]
    Disabled,
    /// Nothing would check what the firmware checks.
    #[error("Secure Boot is on, and kexec would bypass the firmware's check")]
    SecureBoot,
    /// `kernel_lockdown(7)`.
    #[error("this kernel is locked down ({mode})")]
    LockedDown {
        /// `integrity` or `confidentiality`.
        mode: String,
    },
    /// It is known to hang.
    #[error("not on a machine '{product}' of '{vendor}': {reason}")]
    Denied {
        /// From the firmware.
        vendor: String,
        /// From the firmware.
        product: String,
        /// The fault.
        reason: &'static str,
    },
    /// Its files.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// No room for a copy.
    #[error("creating a file in memory")]
    Memory(#[source] io::Error),
    /// A NUL in the options.
    #[error("passing the kernel's options")]
    Options(#[source] std::ffi::NulError),
    /// The kernel refuses.
    #[error("loading {path} for kexec")]
    Load {
        /// The kernel image.
        path: String,
        #[source]
        source: io::Error,
    },
}

impl KexecError {
    /// Nothing is lost: we go through the firmware instead.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Fatal
    }
}

/// What is started, by paths on the volume that it lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields name themselves
pub struct Files<'a> {
    pub kernel: &'a str,
    pub initrd: Option<&'a str>,
    pub options: &'a str,
}

/// The facts that decide whether kexec makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Machine {
    is_supported: bool,
    is_disabled: bool,
    is_secure: bool,
    /// `none [integrity] confidentiality`: the mode in brackets.
    lockdown: String,
    vendor: String,
    product: String,
}

impl Machine {
    fn look() -> Self {
        // An unreadable fact does not speak against it; the load itself has the last word.
        let read = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        Self {
            is_supported: Path::new("/sys/kernel/kexec_loaded").exists(),
            is_disabled: read("/proc/sys/kernel/kexec_load_disabled") == "1",
            is_secure: efivars::is_secure(),
            lockdown: read("/sys/kernel/security/lockdown"),
            vendor: read("/sys/class/dmi/id/sys_vendor"),
            product: read("/sys/class/dmi/id/product_name"),
        }
    }

    fn check(&self) -> Result<(), KexecError> {
        let mode = self
            .lockdown
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        let denied = DENIED.iter().find(|(vendor, product, _)| {
            self.vendor == *vendor && (product.is_empty() || self.product == *product)
        });
        match (mode, denied) {
            _ if !self.is_supported => Err(KexecError::Unsupported),
            _ if self.is_disabled => Err(KexecError::Disabled),
            _ if self.is_secure => Err(KexecError::SecureBoot),
            (Some((mode, _)), _) if mode != "none" => Err(KexecError::LockedDown {
                mode: mode.to_owned(),
            }),
            (_, Some((_, _, reason))) => Err(KexecError::Denied {
                vendor: self.vendor.clone(),
                product: self.product.clone(),
                reason,
            }),
            _ => Ok(()),
        }
    }
}

/// Has the kernel copy a kernel, its ramdisk and options into memory. A file of more than
/// `most_bytes` is refused.
///
/// # Errors
/// It makes no sense here, or it failed.
pub fn load(
    volume: &mut EspReader<'_>,
    files: Files<'_>,
    most_bytes: u64,
) -> Result<(), KexecError> {
    Machine::look().check()?;
    let initrd = files.initrd.map(|path| fetch(volume, path, most_bytes));
    let (initrd, kernel) = (
        initrd.transpose()?,
        fetch(volume, files.kernel, most_bytes)?,
    );
    let options = CString::new(files.options).map_err(KexecError::Options)?;
    sys::kexec::load(kernel.as_fd(), initrd.as_ref().map(AsFd::as_fd), &options).map_err(|source| {
        KexecError::Load {
            path: files.kernel.to_owned(),
            source,
        }
    })
}

/// A file of the volume as the descriptor that kexec_file_load(2) wants.
fn fetch(volume: &mut EspReader<'_>, path: &str, most_bytes: u64) -> Result<File, KexecError> {
    let memory = rustix::fs::memfd_create(c"kexec", MemfdFlags::CLOEXEC)
        .map_err(|errno| KexecError::Memory(errno.into()))?;
    let mut memory = File::from(memory);
    volume.read(path, &mut memory, most_bytes)?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::{KexecError, Machine};

    fn machine() -> Machine {
        Machine {
            is_supported: true,
            vendor: "QEMU".to_owned(),
            product: "Standard PC (Q35 + ICH9, 2009)".to_owned(),
            lockdown: "[none] integrity confidentiality".to_owned(),
            ..Machine::default()
        }
    }

    #[test]
    fn an_ordinary_machine_may() {
        assert!(machine().check().is_ok());
        let silent = Machine {
            is_supported: true,
            ..Machine::default()
        };
        assert!(silent.check().is_ok());
        let laptop = Machine {
            vendor: "Microsoft Corporation".to_owned(),
            product: "Surface Laptop".to_owned(),
            ..machine()
        };
        assert!(laptop.check().is_ok());
    }

    #[test]
    fn every_reason_against_kexec_is_reported() {
        let told = |machine: Machine| machine.check().unwrap_err().to_string();
        let unsupported = Machine::default().check().unwrap_err();
        assert!(matches!(unsupported, KexecError::Unsupported));
        let machine = machine();
        let disabled = Machine {
            is_disabled: true,
            ..machine.clone()
        };
        assert!(told(disabled).contains("kexec_load_disabled"));
        let secure = Machine {
            is_secure: true,
            ..machine.clone()
        };
        assert!(told(secure).contains("Secure Boot"));
        let lockdown = "none [integrity] confidentiality".to_owned();
        let locked = Machine {
            lockdown,
            ..machine.clone()
        };
        assert!(told(locked).contains("(integrity)"));
        for (vendor, product) in [
            ("Xen", "HVM domU"),
            ("Microsoft Corporation", "Virtual Machine"),
        ] {
            let denied = Machine {
                vendor: vendor.to_owned(),
                product: product.to_owned(),
                ..machine.clone()
            };
            assert!(told(denied).contains(&format!("'{product}' of '{vendor}'")));
        }
    }
}
