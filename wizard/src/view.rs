//! The screens, and the interface of each: it shows the model, and answers keys with [`Act`]s.

use std::time::Instant;

use crate::canvas::Canvas;
use crate::command::Command;
use crate::key::Key;
use crate::model::Model;

/// The screens, in the order in which they are walked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// The machine.
    #[default]
    Welcome,
    /// The choice of a disk.
    Disk,
    /// The plan of its partitions.
    Plan,
    /// Addresses.
    Network,
    /// Wireless networks.
    Wifi,
    /// Donors are invited.
    Code,
    /// A donor sends.
    Receiving,
    /// The disk is complete.
    Done,
    /// The deploy came to nothing.
    Failed,
}

impl Screen {
    /// Every screen.
    pub const ALL: [Screen; 9] = [
        Screen::Welcome,
        Screen::Disk,
        Screen::Plan,
        Screen::Network,
        Screen::Wifi,
        Screen::Code,
        Screen::Receiving,
        Screen::Done,
        Screen::Failed,
    ];

    /// Its name at the top.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Screen::Welcome => "Welcome",
            Screen::Disk => "Disk",
            Screen::Plan => "Plan",
            Screen::Network => "Network",
            Screen::Wifi => "Wi-Fi",
            Screen::Code => "Code",
            Screen::Receiving => "Receiving",
            Screen::Done => "Done",
            Screen::Failed => "Failed",
        }
    }
}

/// The consequence of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// The machine is to do this.
    Command(Command),
    /// Another screen.
    Go(Screen),
    /// The screen before this one. The wizard knows which.
    Back,
    /// A person is done choosing: the machine invites donors.
    Invite,
    /// A person has to agree first.
    Ask(Question),
}

/// Something to agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Restart?
    Reboot,
    /// Switch off?
    PowerOff,
    /// Give the deploy up?
    Cancel,
}

impl Question {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Question::Reboot => "Restart the machine?",
            Question::PowerOff => "Switch the machine off?",
            Question::Cancel => "Give up this deploy?",
        }
    }

    /// Follows from yes.
    #[must_use]
    pub const fn command(self) -> Command {
        match self {
            Question::Reboot => Command::Reboot,
            Question::PowerOff => Command::PowerOff,
            Question::Cancel => Command::Cancel,
        }
    }
}

/// A key and what it does here.
pub type Hint = (&'static str, &'static str);

/// A screen. It keeps what is typed on it while others are shown.
pub trait ScreenView {
    /// Its heading.
    fn title(&self, model: &Model) -> String;

    /// The help text of the screen; paragraphs end with a line feed.
    fn help(&self) -> &'static str;

    /// The keys that do something now, besides those that work everywhere.
    fn keys(&self, model: &Model) -> Vec<Hint>;

    /// It comes to be shown.
    fn enter(&mut self, _model: &Model) {}

    /// A key. F1, F2, F9, F11, F12 and what overlays take never get here. Only [`Model::choices`]
    /// may be changed.
    fn press(&mut self, key: Key, model: &mut Model, now: Instant) -> Vec<Act>;

    /// Draws it below its heading. 78 columns and 20 rows are enough.
    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model);
}
