//! What `./bench` makes of measurements: text of our own tools in, rows of a table out.
//!
//! The scripts start programs and machines and keep what those print, one measurement a line.
//! [`report`] has a reader for each part of `./bench`: it finds the figures ([`mod@line`]), takes
//! medians and ratios ([`figure`]) and says which goals are met ([`table`]). The programs that are
//! measured are in `src/bin/`; so is `report`, by which the scripts reach all this.

#![forbid(unsafe_code)]

pub mod figure;
pub mod line;
pub mod report;
pub mod table;
