//! The operator's screens and decisions: events of the machine and keys in, pictures and
//! commands to the machine out. One state machine without I/O and without a clock, drawn by ratatui
//! on every kind of terminal.
//!
//! The flow, from the machine to the person and back:
//!
//! 1. [`host`] runs the loop. Its `Inbox` collects events from the machine's threads ([`event`]),
//!    its terminals deliver bytes, and it passes commands to its `Machine`.
//! 2. [`terminal`] turns bytes into [`key`]s, and pictures into the bytes that change a screen.
//! 3. [`state`] is the state machine: [`Wizard`] learns events into the [`model`] (with
//!    [`history`] and [`rates`]) and passes keys to the screen that is shown. `overlay` shows
//!    help, log and questions above it.
//! 4. [`screens`] has one file per screen. Each implements [`view::ScreenView`], draws on a
//!    [`canvas`] in the tones of a [`theme`], and uses [`input_line`], [`focus`] and [`big_font`].
//! 5. Keys lead to [`command`]s, which the host hands to the machine. [`unattended`] writes the
//!    same decisions as words for the kernel command line.
//!
//! [`plain`] is the same wizard as lines of text, for screen readers and slow terminals.

pub mod big_font;
pub mod canvas;
pub mod command;
pub mod event;
pub mod focus;
pub mod history;
pub mod host;
pub mod input_line;
pub mod key;
pub mod model;
mod overlay;
pub mod plain;
pub mod rates;
pub mod screens;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod unattended;
pub mod view;

pub use command::Command;
pub use event::MachineEvent;
pub use key::Key;
pub use plain::Plain;
pub use state::Wizard;
pub use theme::Theme;
pub use view::Screen;
