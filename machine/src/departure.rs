//! The way out of a running system into a kernel that is loaded ([`kexec`](crate::kexec)).
//!
//! systemd can do that by itself. Other inits reboot through the firmware and nothing else, so what
//! they would do is done here: services are stopped where OpenRC can be asked to, every other
//! process is ended, and what was written is on the disk.

use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, mount_remount};
use rustix::process::{Pid, Signal, kill_process};
use rustix::system::RebootCommand;

use crate::children;

/// An init that has not stopped its services by then does not.
const PATIENCE: Duration = Duration::from_secs(90);
/// For processes that are asked to end.
const ENDING: Duration = Duration::from_secs(3);
/// Where systemd and OpenRC keep what they know.
const SYSTEMD: &str = "/run/systemd/system";
const OPENRC: &str = "/run/openrc/softlevel";
/// What is on the state partition.
const WRITTEN: [&str; 5] = ["/etc", "/var", "/home", "/root", "/srv"];

/// Leaves for the kernel that is loaded. Returns only when the kernel did not start.
///
/// # Errors
/// Nothing is loaded, or this program may not.
pub fn into_loaded_kernel() -> io::Result<()> {
    if Path::new(SYSTEMD).exists() {
        let mut kexec = Command::new("systemctl");
        kexec.arg("kexec");
        // It returns at once; what follows is for an init that has not left by then.
        let _ = children::run_group(&mut kexec, PATIENCE);
        thread::sleep(PATIENCE);
    } else if Path::new(OPENRC).exists() {
        let mut stop = Command::new("openrc");
        // Whatever it could not stop is ended below.
        let _ = children::run_group(stop.arg("shutdown"), PATIENCE);
    }
    // busybox init pauses until SIGCONT and starts nothing again; others ignore it.
    let _ = kill_process(Pid::INIT, Signal::TSTP);
    // One that stays finds its files as a power cut leaves them.
    let _ = sys::signals::end_everybody(ENDING);
    rustix::fs::sync();
    for path in WRITTEN {
        // Busy, or no mount point: the journal has what was just synchronised.
        let _ = mount_remount(path, MountFlags::RDONLY, c"");
    }
    Ok(rustix::system::reboot(RebootCommand::Kexec)?)
}
