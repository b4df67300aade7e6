//! The printer of error chains: an error and its causes on one line.
//!
//! In: an error, whose text names the attempt and whose `source()` is the cause. Out: `Display`,
//! the texts joined with `: `. Both ends and every host tool print errors with it.

use core::error::Error;
use core::fmt::{self, Display, Formatter};

/// An error and its causes, joined with `: `.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a>(&'a (dyn Error + 'a));

/// Prints `error` and its causes.
#[must_use]
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> Chain<'a> {
    Chain(error)
}

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::chain;
    use std::io;
    use std::string::ToString;

    #[derive(Debug, thiserror::Error)]
    #[error("reading x")]
    struct Outer(#[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("byte 7")]
    struct Middle(#[source] io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(Middle(io::Error::other("broken")));
        assert_eq!(chain(&error).to_string(), "reading x: byte 7: broken");
        assert_eq!(chain(&io::Error::other("alone")).to_string(), "alone");
    }
}
