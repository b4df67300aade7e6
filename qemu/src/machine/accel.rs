//! KVM or TCG. A `/dev/kvm` that opens proves nothing: on some hosts a guest hangs in its first
//! instruction, on others it dies at the first vector instruction. So the kernel itself must come
//! to its end under KVM first.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::error::{HarnessError, Result};
use crate::process::Process;

/// The one that is installed.
pub const QEMU: &str = "qemu-system-x86_64";

/// How guests are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Translated code: slow, works everywhere.
    Tcg,
}

/// Under a KVM that works the probe takes about a second.
const PROBE_PATIENCE: Duration = Duration::from_secs(8);
/// Without a root file system every kernel ends with these words, after all its drivers have
/// started.
const PROBE_END: &str = "Unable to mount root fs";

impl Accel {
    /// QEMU's arguments for a kernel that patches its own code while it runs, or for one that does
    /// not.
    #[must_use]
    pub const fn arguments(self, patches_itself: bool) -> &'static [&'static str] {
        // TCG's plainest 64-bit CPU: richer ones cost time at every page walk and bring nothing
        // here. With a thread for each processor, one of them may still run the translation of a
        // breakpoint that another one has replaced already: `Oops: int3` as the kernel starts.
        match (self, patches_itself) {
            (Accel::Kvm, _) => &["-accel", "kvm", "-cpu", "host"],
            (Accel::Tcg, false) => &["-accel", "tcg,thread=multi", "-cpu", "qemu64"],
            (Accel::Tcg, true) => &["-accel", "tcg,thread=single", "-cpu", "qemu64"],
        }
    }

    /// The word for it on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }

    /// # Errors
    /// It is neither `kvm` nor `tcg`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "kvm" => Ok(Accel::Kvm),
            "tcg" => Ok(Accel::Tcg),
            other => Err(HarnessError::unexpected(
                "the accelerator",
                "kvm or tcg",
                other,
            )),
        }
    }

    /// KVM when `kernel` really runs with it, otherwise TCG. The kernel's words are kept in `dir`.
    ///
    /// # Errors
    /// QEMU is not there.
    pub fn probe(kernel: &Path, dir: &Path) -> Result<Self> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(Accel::Tcg);
        }
        let log = dir.join("kvm-probe.log");
        let ended = Process::spawn(
            "the KVM probe",
            &mut probe_command(Accel::Kvm, kernel),
            &log,
        )?
        .wait(PROBE_PATIENCE);
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        match ended {
            Ok(_) if said.contains(PROBE_END) => Ok(Accel::Kvm),
            _ => Ok(Accel::Tcg),
        }
    }
}

fn probe_command(accel: Accel, kernel: &Path) -> Command {
    let mut command = Command::new(QEMU);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "q35",
        "-m",
        "128",
        "-smp",
        "2",
    ]);
    command
        .args(accel.arguments(false))
        .args(["-serial", "stdio", "-no-reboot"]);
    command
        .arg("-kernel")
        .arg(kernel)
        .args(["-append", "console=ttyS0 panic=-1"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for accel in [Accel::Kvm, Accel::Tcg] {
            assert_eq!(Accel::parse(accel.name()).unwrap(), accel);
        }
        assert!(Accel::parse("hvf").is_err());
    }
}
