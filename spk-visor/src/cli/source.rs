//! The operand and options of a command that say where releases come from.

use std::ffi::OsString;

use clap::{Arg, ArgMatches};
use fetch::http::client::Access;
use fetch::http::roots::Roots;
use fetch::source::Source;

use super::argument::{operand, option, os, path, switch};
use super::usage::UsageError;

/// SOURCE, and how a server is reached.
pub(super) fn arguments() -> [Arg; 3] {
    [
        operand("SOURCE").value_parser(os()),
        option("ca", "FILE").value_parser(os()),
        switch("allow-http"),
    ]
}

/// Where to look; `None` for what the node has in its settings.
pub(super) fn read(matches: &mut ArgMatches) -> Result<Option<Source>, UsageError> {
    let text: Option<OsString> = matches.remove_one("SOURCE");
    Ok(text.map(|text| Source::parse(&text)).transpose()?)
}

/// How a server is reached.
pub(super) fn access(matches: &mut ArgMatches) -> Access {
    Access {
        roots: path(matches, "ca").map_or(Roots::System, Roots::File),
        is_plain_allowed: matches.get_flag("allow-http"),
        ..Access::default()
    }
}
