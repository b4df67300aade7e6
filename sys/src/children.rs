//! Children that have ended (`waitid(2)`): the next one, without taking the status away from the
//! thread that waits for it.

use std::io;
use std::mem::MaybeUninit;

/// The process id of a child that has ended and was not waited for yet; `None` if no child has
/// ended. Its status stays where it is: asked again, this names the same one.
///
/// # Errors
/// `ECHILD`: there are no children.
pub fn next_ended() -> io::Result<Option<i32>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid(2) writes one siginfo_t through its third argument, which is valid for that.
    let status = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all bits zero is a valid siginfo_t, and waitid wrote over it or left it (waitid(2):
    // si_pid is then 0).
    let info = unsafe { info.assume_init() };
    // SAFETY: with WEXITED the record is of the SIGCHLD kind, which has si_pid, or all zeros.
    let pid = unsafe { info.si_pid() };
    Ok((pid != 0).then_some(pid))
}

#[cfg(test)]
mod tests {
    use super::next_ended;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn who_has_ended_is_named_and_keeps_the_status() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exit 5"])
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        // Other tests of this program have children as well, each for a moment.
        while next_ended().ok().flatten() != i32::try_from(child.id()).ok() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }
}
