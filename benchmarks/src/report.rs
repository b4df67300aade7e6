//! The rows of each part of `./bench`, out of what was printed while it was measured.
//!
//! [`programs`] reads what our own measuring programs print, [`deploys`] whole deploys and their
//! stages, [`machines`] machines in QEMU, [`sizes`] the sizes of files, [`updates`] what a node
//! with two slots costs.

pub mod deploys;
pub mod machines;
pub mod programs;
pub mod sizes;
pub mod updates;

use thiserror::Error;

use crate::line::LineError;
use crate::table::Row;

/// Why a part has no rows.
#[derive(Debug, Error)]
pub enum ReportError {
    /// It has another name, or none.
    #[error("no part of ./bench is called {0:?}")]
    UnknownPart(String),
    /// The text has no figures.
    #[error("{0}: nothing was measured")]
    Empty(String),
    /// The text lacks a figure.
    #[error("{part}")]
    Line {
        /// The part of the report.
        part: String,
        /// The line that is missing.
        source: LineError,
    },
}

type Reader = fn(&str) -> Result<Vec<Row>, LineError>;

/// The tables that the scripts ask for, and the function that reads each.
const READERS: &[(&str, Reader)] = &[
    ("netstack", programs::netstack),
    ("session", programs::session),
    ("swap", programs::swap),
    ("decode", programs::decode),
    ("cage", programs::cage),
    ("deploy", deploys::deploy),
    ("content", deploys::content),
    ("https", deploys::https),
    ("memory", deploys::memory),
    ("update", updates::update),
    ("sizes", sizes::sizes),
    ("boot", machines::boot),
    ("starts", updates::starts),
    ("ways", machines::ways),
    ("screens", machines::screens),
    ("drawing", deploys::drawing),
    ("smallest", machines::smallest),
];

/// The rows of a part, at least one.
///
/// # Errors
///
/// When there is no such part, or its text lacks figures.
pub fn rows(part: &str, text: &str) -> Result<Vec<Row>, ReportError> {
    let named = READERS.iter().find(|(name, _)| *name == part);
    let (_, read) = named.ok_or_else(|| ReportError::UnknownPart(part.to_owned()))?;
    let rows = read(text).map_err(|source| ReportError::Line {
        part: part.to_owned(),
        source,
    })?;
    match rows.len() {
        0 => Err(ReportError::Empty(part.to_owned())),
        _ => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::{READERS, ReportError, rows};
    use crate::line::LineError;
    use crate::table::Row;

    /// The rows as they are printed.
    pub(super) fn lines(rows: Result<Vec<Row>, LineError>) -> Vec<String> {
        rows.unwrap().iter().map(Row::to_string).collect()
    }

    #[test]
    fn a_part_without_figures_is_an_error() {
        for (part, _) in READERS {
            rows(part, "bench: progress\n").unwrap_err();
        }
        let error = rows("nothing", "").unwrap_err();
        assert!(matches!(error, ReportError::UnknownPart(_)));
    }
}
