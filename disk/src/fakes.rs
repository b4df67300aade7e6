//! Stand-ins for a disk and for GRUB's images.

// Only tests see this.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

pub mod grub_images;
pub mod memory_disk;
