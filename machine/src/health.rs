//! Whether a system that runs on trial may be kept (`update.md` 3): what is asked of it.

pub mod answer;
pub mod network;
pub mod programs;
pub mod started;
pub mod state;
