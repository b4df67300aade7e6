//! A whole node on the host: two slots, an ESP and a ledger, all recorded. Its power is cut at
//! every write, mistakes are seeded into what it writes, and its images are tampered with.

// The lint knows test functions only; this whole program is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod cuts;
mod effort;
mod flows;
mod images;
mod judge;
mod life;
mod mistakes;
mod tamper;
mod witness;
mod world;
