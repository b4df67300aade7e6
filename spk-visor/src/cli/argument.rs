//! The kinds of arguments that the commands take, and the values that clap has found of them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches};
use store::place::{Place, PlaceError};

/// An option without a value.
pub(super) fn switch(name: &'static str) -> Arg {
    let switch = Arg::new(name).long(name).action(ArgAction::SetTrue);
    switch.overrides_with(name)
}

/// An option with a value, which may begin with a hyphen. Of several the last one counts.
pub(super) fn option(name: &'static str, value: &'static str) -> Arg {
    once(name, value).overrides_with(name)
}

/// Likewise, but it cannot be given twice.
pub(super) fn once(name: &'static str, value: &'static str) -> Arg {
    let option = Arg::new(name).long(name).value_name(value);
    option.allow_hyphen_values(true)
}

/// Likewise, but each of several counts.
pub(super) fn repeated(name: &'static str, value: &'static str) -> Arg {
    once(name, value).action(ArgAction::Append)
}

/// A value without an option before it.
pub(super) fn operand(value: &'static str) -> Arg {
    Arg::new(value).value_name(value)
}

/// Bytes, not only UTF-8; for paths.
pub(super) fn os() -> ValueParser {
    ValueParser::os_string()
}

/// One of these words, each of which means something.
pub(super) fn words<T, const N: usize>(
    words: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let known = PossibleValuesParser::new(words.map(|(word, _)| word));
    known.try_map(move |typed| {
        let found = words.iter().find(|(word, _)| *word == typed);
        found
            .map(|(_, meaning)| *meaning)
            .ok_or("not one of the words")
    })
}

pub(super) fn path(matches: &mut ArgMatches, name: &str) -> Option<PathBuf> {
    matches.remove_one::<OsString>(name).map(PathBuf::from)
}

pub(super) fn all<T>(matches: &mut ArgMatches, name: &str) -> Vec<T>
where
    T: Clone + Send + Sync + 'static,
{
    matches.remove_many(name).into_iter().flatten().collect()
}

pub(super) fn read_number(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "expected a number below 2^64")
}

pub(super) fn read_keyset(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "expected a number below 2^32")
}

/// `NAME:COUNTER` of a package that another one needs.
pub(super) fn read_need(text: &str) -> Result<(String, u64), &'static str> {
    let need = text.rsplit_once(':').and_then(|(name, counter)| {
        let name = wire::package::name(name.as_bytes())?;
        Some((name.to_owned(), counter.parse().ok()?))
    });
    need.ok_or("expected NAME:COUNTER, the name of a package and a number below 2^64")
}

pub(super) fn read_place(text: &str) -> Result<Place, PlaceError> {
    text.parse()
}
