//! Starting the installed kernel without the firmware (`boot.md` 5): whether this machine allows
//! it, and how the kernel is loaded.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use disk::contents::PartitionRef;
use disk::disk::Disk;
use disk::entry::BootEntry;
use disk::esp::{EspError, EspReader};
use receiver::Deployed;
use rustix::fs::MemfdFlags;
use thiserror::Error;
use wire::outcome::Outcome;

use crate::firmware;
use crate::memory::Memory;

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

/// The installed kernel cannot be started from here; the firmware can still do it.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum KexecError {
    /// Built without.
    #[error("this kernel does not support it")]
    Unsupported,
    /// `kernel.kexec_load_disabled`, which no program can take back.
    #[error("it is disabled until the next boot (kernel.kexec_load_disabled)")]
    Disabled,
    /// A slot is started by its own script, which counts its boots.
    #[error("the disk has two slots, of which GRUB chooses one")]
    Slots,
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
    /// The ESP.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// The installed system has no ESP.
    #[error("the installed disk has no ESP")]
    NoEsp,
    /// It cannot be read in a reasonable time.
    #[error("the disk did not answer within {} s", limit.as_secs())]
    Late {
        /// How long it was waited for.
        limit: Duration,
    },
    /// No room for a copy.
    #[error("creating a file in memory")]
    Memory(#[source] io::Error),
    /// A NUL in the options.
    #[error("passing the options of the boot entry")]
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
            is_secure: firmware::is_secure(),
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

/// Has the kernel copy the kernel that was just installed, its ramdisk and options into memory.
///
/// # Errors
/// It makes no sense here, or it failed.
pub fn load(deployed: Deployed) -> Result<(), KexecError> {
    let Deployed {
        installed,
        mut disk,
        ..
    } = deployed;
    let esp = installed.esp().ok_or(KexecError::NoEsp)?;
    let entry = installed.entry().ok_or(KexecError::Slots)?;
    load_installed(&mut disk, &esp, entry)
}

/// The same for a system that was installed earlier: the disk's own commit is the proof, found by
/// looking.
///
/// # Errors
/// As [`load`].
pub fn load_installed(
    disk: &mut dyn Disk,
    esp: &PartitionRef,
    entry: &BootEntry,
) -> Result<(), KexecError> {
    Machine::look().check()?;
    let mut esp = EspReader::open(disk, esp)?;
    let initrd = entry.initrd.as_deref().map(|path| fetch(&mut esp, path));
    let (initrd, kernel) = (initrd.transpose()?, fetch(&mut esp, &entry.linux)?);
    let options = CString::new(entry.options.as_str()).map_err(KexecError::Options)?;
    sys::kexec::load(kernel.as_fd(), initrd.as_ref().map(AsFd::as_fd), &options).map_err(|source| {
        KexecError::Load {
            path: entry.linux.clone(),
            source,
        }
    })
}

/// A file of the ESP as the descriptor that kexec_file_load(2) wants. It takes half of what memory
/// there is at most: the kernel makes a copy.
fn fetch(esp: &mut EspReader<'_>, path: &str) -> Result<File, KexecError> {
    let memory = rustix::fs::memfd_create(c"kexec", MemfdFlags::CLOEXEC)
        .map_err(|errno| KexecError::Memory(errno.into()))?;
    let mut memory = File::from(memory);
    esp.read(path, &mut memory, Memory::read().available_bytes / 2)?;
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
