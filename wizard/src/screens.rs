//! The screens, one file each.

pub mod code;
pub mod disk;
pub mod done;
pub mod failed;
pub mod logs;
pub mod network;
pub mod plan;
pub mod receiving;
pub mod welcome;
pub mod wifi;
