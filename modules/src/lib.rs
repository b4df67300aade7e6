//! The modules of one kernel as depmod(8) describes them: text tables in, "which module answers
//! this device" and "what has to be loaded before it" out.
//!
//! [`index`] reads the tables; [`pattern`] matches a device's modalias against the patterns of
//! modules.alias. `media image` asks when it chooses the modules of an image, and PID 1 asks the same
//! tables when it meets a device, so that both always agree. No I/O; nothing of the tables is
//! copied.

pub mod index;
pub mod pattern;

pub use index::{Index, IndexError, Row, Tables, is_same_name, name};
