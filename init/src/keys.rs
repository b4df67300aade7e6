//! One key, pressed by a person at this machine: what an unattended peer cannot do.

use std::fs::{File, OpenOptions};
use std::io::Read;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

/// Where somebody may sit: the screen, the first serial line, and what the kernel takes for its console.
const TERMINALS: [&str; 3] = ["/dev/tty0", "/dev/ttyS0", "/dev/console"];

/// Waits until `key` is pressed at any terminal; other keys are ignored. False when no terminal is left to wait at.
#[must_use]
pub fn wait_for(key: u8) -> bool {
    let mut terminals: Vec<File> = TERMINALS.into_iter().filter_map(open).collect();
    while !terminals.is_empty() {
        let mut waiting: Vec<PollFd<'_>> = terminals
            .iter()
            .map(|terminal| PollFd::new(terminal, PollFlags::IN))
            .collect();
        match poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return false,
        }
        let ready: Vec<bool> = waiting
            .iter()
            .map(|terminal| !terminal.revents().is_empty())
            .collect();
        let mut is_pressed = false;
        let mut ready = ready.into_iter();
        terminals.retain_mut(|terminal| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            let mut keys = [0; 64];
            match terminal.read(&mut keys) {
                Ok(0) | Err(_) => false, // hung up
                Ok(len) => {
                    is_pressed |= keys.get(..len).is_some_and(|keys| keys.contains(&key));
                    true
                }
            }
        });
        if is_pressed {
            return true;
        }
    }
    false
}

/// Opens a terminal and has it hand over each key at once, unseen.
fn open(path: &str) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let no_tty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).ok()?;
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(no_tty)
        .open(path)
        .ok()?;
    let mut modes = tcgetattr(&terminal).ok()?;
    modes
        .local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(&terminal, OptionalActions::Now, &modes).ok()?;
    Some(terminal)
}
