//! The files that this process can reach (`landlock(7)`): here always none.
//!
//! A rule set that handles a kind of access and allows it nowhere forbids it everywhere. What an
//! older kernel does not know it cannot handle; each version of the interface says how many kinds
//! it has.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// `LANDLOCK_CREATE_RULESET_VERSION` (linux/landlock.h).
const ASK_VERSION: libc::c_uint = 1;
/// How many kinds of access to files (`LANDLOCK_ACCESS_FS_*`) there are in versions 1, 2 and so on.
const FILE_KINDS: [u32; 5] = [13, 14, 15, 15, 16];
/// TCP: binding and connecting, since version 4.
const NETWORK_KINDS: u64 = 0b11;
/// Abstract Unix sockets of others and signals to others, since version 6.
const SCOPES: u64 = 0b11;

/// `struct landlock_ruleset_attr` as of version 6; an older kernel takes a longer one whose end is
/// zero.
#[repr(C)]
struct Attributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

const _: () = assert!(size_of::<Attributes>() == 24);

impl Attributes {
    /// Everything that this version can forbid.
    fn all_of(version: usize) -> Self {
        let newest = FILE_KINDS.len();
        let kinds = FILE_KINDS.get(version.clamp(1, newest).saturating_sub(1));
        Attributes {
            handled_access_fs: kinds.map_or(0, |kinds| (1 << kinds) - 1),
            handled_access_net: if version >= 4 { NETWORK_KINDS } else { 0 },
            scoped: if version >= 6 { SCOPES } else { 0 },
        }
    }
}

/// Forbids this thread, and every one that it starts, to open, make, change or run any file, for
/// good; where the kernel can, also TCP and signals to other processes. Open descriptors stay
/// usable. Needs [`crate::cage::give_up_privileges`] before.
///
/// # Errors
/// `ENOSYS` or `EOPNOTSUPP`: this kernel has no Landlock, or it was not started.
pub fn reach_no_file() -> io::Result<()> {
    // SAFETY: with this flag landlock_create_ruleset(2) takes no attributes and returns a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<Attributes>(),
            0_usize,
            ASK_VERSION,
        )
    };
    let version = usize::try_from(version).map_err(|_| io::Error::last_os_error())?;
    let attributes = Attributes::all_of(version);
    // SAFETY: landlock_create_ruleset(2) reads as many bytes of the attributes as its second
    // argument says, which is their size.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const attributes,
            size_of::<Attributes>(),
            0 as libc::c_uint,
        )
    };
    let fd = i32::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: landlock_create_ruleset(2) just returned this descriptor and nobody else has it.
    let rules = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: landlock_restrict_self(2) takes a descriptor, which is open, and flags.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_restrict_self,
            rules.as_raw_fd(),
            0 as libc::c_uint,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::Attributes;

    #[test]
    fn each_version_is_asked_for_what_it_knows() {
        let asked = |version| {
            let all = Attributes::all_of(version);
            (all.handled_access_fs, all.handled_access_net, all.scoped)
        };
        assert_eq!(asked(1), (0x1fff, 0, 0));
        assert_eq!(asked(2), (0x3fff, 0, 0));
        assert_eq!(asked(3), (0x7fff, 0, 0));
        assert_eq!(asked(4), (0x7fff, 3, 0));
        assert_eq!(asked(5), (0xffff, 3, 0));
        assert_eq!(asked(9), (0xffff, 3, 3));
    }
}
