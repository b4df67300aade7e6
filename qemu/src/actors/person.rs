//! Somebody at a machine, as scenarios tell of it: looks for a text, presses keys, takes the code
//! down.

use wire::code::Code;

use crate::actors::keys::Key;
use crate::actors::policy::{Shown, is_secret};
use crate::actors::seat::Seat;
use crate::error::Result;
use crate::eyes::screen::ScreenText;
use crate::lab::STEP;
use crate::machine::running::Running;

/// On the screen that shows the code.
const WAITING: &str = "Waiting for a donor";

/// Somebody at one of the machine's two places.
#[derive(Debug)]
pub struct Person<'a> {
    /// The keyboard and screen.
    pub seat: Seat,
    /// The machine.
    pub target: &'a mut Running,
}

impl Person<'_> {
    /// Waits until this text is on the screen.
    ///
    /// # Errors
    /// It is not in time.
    pub fn sees(&mut self, text: &str) -> Result<ScreenText> {
        self.seat.await_text(self.target, text, STEP)
    }

    /// Presses one key after the other.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn presses(&mut self, keys: &[Key]) -> Result<()> {
        keys.iter()
            .try_for_each(|key| self.seat.press(self.target, *key))
    }

    /// Types characters.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn types(&mut self, text: &str) -> Result<()> {
        self.seat.type_text(self.target, text)
    }

    /// Goes to the entry of a list that is so many below the first.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn selects(&mut self, lines: usize) -> Result<()> {
        self.presses(&[Key::Home])?;
        self.presses(&vec![Key::Down; lines])
    }

    /// Code and secret, off the screen that shows them; not this code, which was shown before.
    ///
    /// # Errors
    /// They are not there in time.
    pub fn takes_down(&mut self, not: Option<&Shown>) -> Result<Shown> {
        self.seat
            .await_screen(self.target, "a code and a secret", STEP, |screen| {
                let shown = shown(screen)?;
                let is_new = not.is_none_or(|old| old.code != shown.code);
                (screen.has(WAITING) && is_new).then_some(shown)
            })
    }
}

/// Both stand on the screen as words, to their ends: the screen may be half drawn.
fn shown(screen: &ScreenText) -> Option<Shown> {
    let code = screen.word_behind("deploy-system-img-copy ")?;
    let code = Code::parse(code).ok()?;
    let mut words = screen.lines().iter().flat_map(|line| line.split(' '));
    let secret = words.find(|word| is_secret(word))?;
    Some(Shown {
        code: code.to_string(),
        secret: Some(secret.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::shown;
    use crate::eyes::screen::ScreenText;

    #[test]
    fn code_and_secret_are_found_wherever_they_stand() {
        let lines = [
            "  ## #  big letters    secret   9D4T-X2WM-7",
            "  on the donor: spk-visor deploy-system-img-copy e13gts2",
        ];
        let found = shown(&ScreenText::new(lines.map(str::to_owned))).unwrap();
        assert_eq!(found.code, "e13gts2");
        assert_eq!(found.secret.as_deref(), Some("9D4T-X2WM-7"));
        assert_eq!(shown(&ScreenText::new([lines[0].to_owned()])), None);
        let half = |line: &str| line[..line.len() - 1].to_owned();
        for half_drawn in [
            [lines[0].to_owned(), half(lines[1])],
            [half(lines[0]), lines[1].to_owned()],
        ] {
            assert_eq!(shown(&ScreenText::new(half_drawn)), None);
        }
    }
}
