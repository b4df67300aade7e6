//! What a person at the machine sees and decides. Facts and keys in; pictures, and orders to the machine, out.
//!
//! One state machine ([`Wizard`]) without I/O and without a clock of its own, drawn by ratatui on every terminal there is.

pub mod fact;
pub mod field;
pub mod focus;
pub mod history;
pub mod host;
pub mod key;
pub mod letters;
pub mod look;
pub mod model;
pub mod order;
mod overlay;
pub mod page;
pub mod pane;
pub mod plain;
pub mod rates;
pub mod screens;
pub mod state;
pub mod terminal;
pub mod unattended;

pub use fact::Fact;
pub use key::Key;
pub use look::Look;
pub use order::Order;
pub use plain::Plain;
pub use state::{Screen, Wizard};
