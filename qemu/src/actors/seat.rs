//! Where a person sits: at the machine's own screen and keyboard, or at a terminal on its serial
//! line. Keys in, what the screen shows out; a scenario is the same for both.

use std::time::{Duration, Instant};

use crate::actors::keys::Key;
use crate::error::{HarnessError, Result};
use crate::eyes::screen::ScreenText;
use crate::machine::running::Running;

/// How often the card's memory is looked at: nothing tells when it has changed.
const GLANCE: Duration = Duration::from_millis(250);

/// One of a machine's two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Screen and keyboard of the machine itself: in the VGA card's text mode, or on a frame buffer
    /// ([`Running::read_frame_buffer`]).
    Monitor,
    /// A terminal on the serial line, which must have been switched on
    /// ([`crate::eyes::console::Console::switch_on`]).
    Serial,
}

impl Seat {
    /// Waits until `find` finds something on the screen.
    ///
    /// # Errors
    /// It did not in time: with the screen.
    pub fn await_screen<T>(
        self,
        target: &mut Running,
        what: &str,
        patience: Duration,
        find: impl Fn(&ScreenText) -> Option<T>,
    ) -> Result<T> {
        if self == Seat::Serial {
            return target.console.await_screen(what, patience, find);
        }
        let end = Instant::now() + patience;
        loop {
            let screen = target.screen_text()?;
            if let Some(found) = find(&screen) {
                return Ok(found);
            }
            if Instant::now() >= end {
                return Err(HarnessError::Deadline {
                    what: what.to_owned(),
                    patience,
                    tail: screen.to_string(),
                });
            }
            target.rest(GLANCE)?;
        }
    }

    /// Waits until `text` stands in some line, and returns the whole screen.
    ///
    /// # Errors
    /// It did not in time: with the screen.
    pub fn await_text(
        self,
        target: &mut Running,
        text: &str,
        patience: Duration,
    ) -> Result<ScreenText> {
        let what = format!("{text:?} on the screen ({self:?})");
        self.await_screen(target, &what, patience, |screen| {
            screen.has(text).then(|| screen.clone())
        })
    }

    /// Presses a key, and lets it go.
    ///
    /// # Errors
    /// QEMU is gone, or there is no such key.
    pub fn press(self, target: &mut Running, key: Key) -> Result<()> {
        match self {
            Seat::Monitor => target.send_keys(&key.codes()),
            Seat::Serial => target.console.send_bytes(&key.bytes()),
        }
    }

    /// Presses one after the other.
    ///
    /// # Errors
    /// See [`Seat::press`].
    pub fn type_text(self, target: &mut Running, text: &str) -> Result<()> {
        text.chars()
            .try_for_each(|char| self.press(target, Key::Char(char)))
    }
}
