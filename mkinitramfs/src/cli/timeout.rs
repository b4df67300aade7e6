//! The option `--timeout`: how long a boot menu waits for a key.

use lexopt::{Parser, ValueExt};

/// Help text of the option.
macro_rules! timeout_help {
    () => {
        "  --timeout SECONDS how long the menu waits for a key (default 3); 0 skips the menu
"
    };
}
pub(super) use timeout_help;

/// The default.
pub const SECONDS: u32 = 3;
/// One day.
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
