//! Ingredients of test bundles: archives byte by byte, and images with their manifest and
//! signature.

// Only tests see this.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default
)]

pub mod archive;
pub mod content;
pub mod image;
