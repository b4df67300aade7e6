//! What a person at the machine sees and decides. Facts and keys in; pictures, and orders to the machine, out.
//!
//! One state machine ([`Wizard`]) without I/O and without a clock of its own, drawn by ratatui on every terminal there is.

pub mod fact;
pub mod figures;
pub mod key;
pub mod order;

pub use fact::Fact;
pub use key::Key;
pub use order::Order;
