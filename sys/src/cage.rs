//! A process shuts itself in: from then on it reads the pipe that it has, computes, and writes the
//! other one.
//!
//! Several walls, because each of them may be missing in a kernel: limits that every kernel has, no
//! file by Landlock, no system call but those of computing by seccomp. Only for a process of one
//! thread, before it has looked at what it must not trust.

use std::fs;
use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use crate::{landlock, seccomp};

/// Standard input, output and error; everything else is closed.
const DESCRIPTORS: u32 = 3;

/// The walls that the kernel put around this process, beside the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walls {
    /// It can reach no file: Landlock.
    pub no_files: bool,
    /// It can make no system call but those of computing: seccomp.
    pub only_computing: bool,
}

impl Walls {
    /// One byte, for the pipe.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.no_files as u8 | (self.only_computing as u8) << 1
    }

    /// The walls that [`Walls::to_byte`] encoded.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        if byte > 0b11 {
            return None;
        }
        Some(Walls {
            no_files: byte & 1 != 0,
            only_computing: byte & 2 != 0,
        })
    }
}

/// Shuts this process in, for good: private memory of at most `data_bytes`, address space of at
/// most these and `reserved_bytes` more than now, no descriptor but the first three and no way to a
/// fourth, no capability, nothing written to a file, no core dump, death with its parent; and the
/// [`Walls`] that this kernel has.
///
/// The limit of private memory alone would not do: it counts what can be written now
/// (`setrlimit(2)`), neither pages that were filled and then protected, nor a stack, which
/// `mremap(2)` makes longer than its own limit. The limit of address space bounds both.
///
/// # Errors
/// One of the limits that every kernel has was not taken, or `/proc` is not there.
pub fn enter(data_bytes: u64, reserved_bytes: u64) -> io::Result<Walls> {
    let address_bytes = address_bytes()?
        .saturating_add(data_bytes)
        .saturating_add(reserved_bytes);
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The first to go when memory is short; without it the kernel may choose a better process.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    close_beyond(DESCRIPTORS)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    give_up_privileges()?;
    // Before the limit of descriptors: a rule set is one for a moment.
    let no_files = landlock::reach_no_file().is_ok();
    for (resource, most) in [
        (Resource::Data, data_bytes),
        (Resource::As, address_bytes),
        (Resource::Nofile, DESCRIPTORS.into()),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Memlock, 0),
    ] {
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )?;
    }
    // Last: it leaves no call to any of the above.
    let only_computing = seccomp::only_compute().is_ok();
    Ok(Walls {
        no_files,
        only_computing,
    })
}

/// This thread has no capability of root's any more, and no program that it starts gains anything
/// by being root's, by set-id bits or by file capabilities (`PR_SET_NO_NEW_PRIVS`): the kernel's
/// condition for both walls.
///
/// # Errors
/// The kernel is older than both.
pub fn give_up_privileges() -> io::Result<()> {
    set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    // The ambient set is never more than the last two have in common (capabilities(7)).
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    Ok(set_capabilities(None, sets)?)
}

/// How much address space this process has in use.
fn address_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').next().and_then(|word| word.parse().ok());
    let pages: u64 = pages.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn close_beyond(first: u32) -> io::Result<()> {
    // SAFETY: closing them takes no descriptor from an owner: this process has one thread,
    // has opened nothing itself, and what it inherited beyond standard error has no owner here
    // (close_range(2)).
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0 as libc::c_uint) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
