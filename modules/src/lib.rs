//! The modules of one kernel as depmod(8) describes them: text tables in, "what answers this device" and "what has to be loaded
//! before it" out.
//!
//! mkinitramfs asks when it chooses what an image carries, PID 1 asks the same tables when it meets a device, so that both always
//! agree. No I/O, nothing of the tables is copied.

pub mod index;
pub mod pattern;

pub use index::{Index, IndexError, Row, Tables, is_same_name, name};
