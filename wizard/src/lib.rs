//! What a person at the machine sees and decides. Facts and keys in; pictures, and commands to the machine, out.
//!
//! One state machine ([`Wizard`]) without I/O and without a clock of its own, drawn by ratatui on every terminal there is.

pub mod big_font;
pub mod canvas;
pub mod command;
pub mod event;
pub mod fact;
pub mod field;
pub mod figures;
pub mod focus;
pub mod history;
pub mod host;
pub mod input_line;
pub mod key;
pub mod model;
mod overlay;
pub mod plain;
pub mod rates;
pub mod screen_trait;
pub mod screens;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod unattended;

pub use command::Command;
pub use event::MachineEvent;
pub use key::Key;
pub use plain::Plain;
pub use state::{Screen, Wizard};
pub use theme::Theme;
