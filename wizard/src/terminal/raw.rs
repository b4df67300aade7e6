//! A terminal in raw mode, restored when the guard is dropped, and when the program ends by a panic
//! or a signal, where nothing is dropped.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr,
};

/// Plain characters, a cursor, lines that wrap, the screen that was there before.
const LEAVE: &[u8] = b"\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l\r";

/// The kernel's terminal has no screen from before: an empty one.
const LEAVE_VIRTUAL: &[u8] = b"\x1b[m\x1b[?7h\x1b[?25h\x1b[H\x1b[2J";

/// The kernel lets one at a time write to a terminal, and turns others away that do not want to
/// wait (`tty_write_lock`): the other writer is soon done. There is no event to await.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// Every terminal that is not as it was.
static CHANGED: Mutex<Vec<Changed>> = Mutex::new(Vec::new());

/// No number is given twice: a guard may live longer than what it stands for.
static NEXT: AtomicUsize = AtomicUsize::new(0);

struct Changed {
    number: usize,
    terminal: File,
    before: Termios,
    leave: &'static [u8],
}

/// A terminal in raw mode, for as long as this lives.
#[derive(Debug)]
pub struct Raw {
    number: usize,
}

impl Raw {
    /// Changes it. `is_virtual`: it is one of the kernel's own.
    ///
    /// # Errors
    /// It is no terminal, or gone.
    pub fn enter(terminal: &File, is_virtual: bool) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        // A serial line without modem signals is one too.
        raw.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        let kept = terminal.try_clone()?;
        let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
        tcsetattr(terminal, OptionalActions::Now, &raw)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        changed.push(Changed {
            number,
            terminal: kept,
            before,
            leave: if is_virtual { LEAVE_VIRTUAL } else { LEAVE },
        });
        Ok(Self { number })
    }

    /// Draws while the terminal cannot be restored; `None`, and nothing is drawn, once it has been
    /// restored.
    pub fn while_held<T>(&self, draw: impl FnOnce() -> T) -> Option<T> {
        let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = changed.iter().any(|one| one.number == self.number);
        is_held.then(draw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = changed.iter().position(|one| one.number == self.number) {
            changed.swap_remove(index).restore();
        }
    }
}

impl Changed {
    /// A terminal that is gone is not waited for, one that takes nothing not for long.
    fn restore(self) {
        if let Ok(flags) = fcntl_getfl(&self.terminal) {
            let _ = fcntl_setfl(&self.terminal, flags | OFlags::NONBLOCK);
            self.say_farewell();
            let _ = fcntl_setfl(&self.terminal, flags);
        }
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }

    fn say_farewell(&self) {
        let mut left = self.leave;
        for _ in 0..TRIES {
            // Unsent bytes are of no use any more, and would keep it from coming to the
            // rest.
            if left.len() == self.leave.len() {
                let _ = tcflush(&self.terminal, QueueSelector::OFlush);
            }
            match (&self.terminal).write(left) {
                Ok(len) => left = left.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(_) => return,
            }
            if left.is_empty() {
                return;
            }
        }
    }
}

/// Every terminal is as it was. For the end of a program that drops nothing; a guard that is
/// dropped afterwards does nothing.
pub fn restore_all() {
    let attempt = || match CHANGED.try_lock() {
        Ok(changed) => Some(changed),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => {
            thread::sleep(PAUSE);
            None
        }
    };
    // The holder is soon done, unless it is the thread that panics.
    let Some(mut changed) = (0..TRIES).find_map(|_| attempt()) else {
        return;
    };
    for one in changed.drain(..) {
        one.restore();
    }
}
