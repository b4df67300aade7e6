//! The option `--timeout`: how long a boot menu waits for a key.

use lexopt::{Parser, ValueExt};

/// How the option is explained.
macro_rules! timeout_help {
    () => {
        "  --timeout SECONDS how long the menu waits for a key (default 3); with 0 there is no menu
"
    };
}
pub(super) use timeout_help;

/// Unless something else is said.
pub const SECONDS: u32 = 3;
/// A day, in which somebody surely comes by.
const MAX_SECONDS: u32 = 86_400;

/// Reads the option's value.
///
/// # Errors
/// It is missing, no number, or more than a day.
pub fn option(parser: &mut Parser) -> Result<u32, lexopt::Error> {
    let seconds = parser.value()?.parse()?;
    if seconds > MAX_SECONDS {
        return Err(format!("--timeout {seconds} is more than {MAX_SECONDS}").into());
    }
    Ok(seconds)
}
