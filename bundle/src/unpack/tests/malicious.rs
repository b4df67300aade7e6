//! Archives that must be refused, each with the reason and the entry it must name; the tables stand
//! in `malicious/`, by kind.
//!
//! Every one is unpacked for real, beside a tree that must stay as it is. What is hostile but not
//! refused, because real systems contain the like, is in [`inside`]: it must stay beneath the root.

/// Rows of a table:
/// `what: [parts of the archive] => the entry that the refusal names, part of the reason;`.
/// Packages that were unpacked before stand in braces in front: `what: { parts } [parts] => …`.
macro_rules! refused {
    ($($what:literal: $({ $($before:expr),* })* [$($part:expr),* $(,)?] => $names:literal, $reason:literal;)*) => {
        vec![$($crate::unpack::tests::malicious::Case {
            what: $what,
            before: vec![$($crate::fakes::archive::tar(&[$($before),*])),*],
            tar: $crate::fakes::archive::tar(&[$($part),*]),
            names: $names,
            reason: $reason,
        }),*]
    };
}

/// Likewise for archives that are not parts and an end marker: `what: bytes => …`.
macro_rules! refused_bytes {
    ($($what:literal: $tar:expr => $names:literal, $reason:literal;)*) => {
        vec![$($crate::unpack::tests::malicious::Case::bytes($what, $tar, $names, $reason)),*]
    };
}

mod bombs;
mod ends;
mod headers;
mod inside;
mod layers;
mod links;
mod numbers;
mod paths;
mod records;
mod sizes;
mod sweeps;
mod xattrs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Write, stderr};

use wire::chain::chain;
use wire::outcome::Outcome;

use super::super::{UnpackError, check};
use super::{Fenced, OneByte, limits};

/// Issue and advisory texts promise at least so many.
const CASES_MIN: usize = 200;
/// The files that the absolute names in the tables would have made.
const ESCAPES: [&str; 3] = ["/smv-escape", "/tmp/smv-escape", "/etc/smv-escape"];

/// An archive that must be refused.
struct Case {
    what: &'static str,
    /// Packages unpacked before it, which are fine.
    before: Vec<Vec<u8>>,
    tar: Vec<u8>,
    /// Part of the path in the error.
    names: &'static str,
    /// Part of the error and its causes.
    reason: &'static str,
}

impl Case {
    /// Bytes that are not parts and an end marker.
    fn bytes(what: &'static str, tar: Vec<u8>, names: &'static str, reason: &'static str) -> Self {
        Case {
            what,
            before: Vec::new(),
            tar,
            names,
            reason,
        }
    }
}

/// By kind.
fn kinds() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("paths", paths::cases()),
        ("links", links::cases()),
        ("layers", layers::cases()),
        ("sizes", sizes::cases()),
        ("records", records::cases()),
        ("xattrs", xattrs::cases()),
        ("numbers", numbers::cases()),
        ("headers", headers::cases()),
        ("ends", ends::cases()),
        ("bombs", bombs::cases()),
    ]
}

fn all() -> impl Iterator<Item = Case> {
    kinds().into_iter().flat_map(|(_, cases)| cases)
}

/// The entry that the error names.
fn entry(error: &UnpackError) -> String {
    let (UnpackError::Refused { path, .. }
    | UnpackError::Target { path, .. }
    | UnpackError::NoSpace { path, .. }
    | UnpackError::Input { path, .. }) = error;
    path.to_string()
}

#[track_caller]
fn assert_nothing_escaped(what: &str) {
    for escape in ESCAPES {
        assert!(fs::symlink_metadata(escape).is_err(), "{what}: {escape}");
    }
}

/// The difference between the expected refusal of a case and the actual one.
fn fault(case: &Case, error: &UnpackError) -> Option<String> {
    let (entry, told) = (entry(error), chain(error).to_string());
    let would_write_to_the_terminal = !entry.chars().all(|c| c == '…' || matches!(c, ' '..='~'));
    let is_wrong = !entry.contains(case.names)
        || !told.contains(case.reason)
        || would_write_to_the_terminal
        || error.outcome() != Outcome::Refuse;
    is_wrong.then(|| {
        format!(
            "{}: {told:?} ({:?}), expected {} and {}",
            case.what,
            error.outcome(),
            case.names,
            case.reason
        )
    })
}

#[test]
fn every_case_is_refused_by_name_and_stays_inside() {
    let (mut counts, mut faults) = (Vec::new(), Vec::new());
    for (kind, cases) in kinds() {
        counts.push(format!("{} {kind}", cases.len()));
        for case in cases {
            let fenced = Fenced::new();
            for before in &case.before {
                fenced.unpack(&before[..]).expect(case.what);
            }
            let error = fenced.unpack(&case.tar[..]).expect_err(case.what);
            fenced.assert_fence_holds();
            assert_nothing_escaped(case.what);
            faults.extend(fault(&case, &error));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let total = all().count();
    assert!(total >= CASES_MIN, "{total}");
    // Not with a macro: the test runner hides what those print while a test passes.
    let line = format!(
        "malicious archives: {total} refused by name ({}), 0 files outside the root\n",
        counts.join(", ")
    );
    stderr().write_all(line.as_bytes()).unwrap();
}

#[test]
fn no_case_stands_there_twice() {
    let (mut names, mut archives, mut twins) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for case in all() {
        if !names.insert(case.what) {
            twins.push((case.what, case.what));
        }
        let other = archives.insert((case.before, case.tar), case.what);
        twins.extend(other.map(|other| (other, case.what)));
    }
    assert!(twins.is_empty(), "{twins:?}");
}

#[test]
fn cases_are_refused_alike_byte_by_byte() {
    // Where bombs stand, one byte at a time adds nothing but time.
    for case in all().filter(|case| case.tar.len() < 100_000) {
        let fences = [Fenced::new(), Fenced::new()];
        for before in &case.before {
            for fenced in &fences {
                fenced.unpack(&before[..]).expect(case.what);
            }
        }
        let [whole, bytes] = fences;
        let whole = whole.unpack(&case.tar[..]).expect_err(case.what);
        let bytes = bytes.unpack(OneByte(&case.tar)).expect_err(case.what);
        assert_eq!(
            chain(&whole).to_string(),
            chain(&bytes).to_string(),
            "{}",
            case.what
        );
    }
}

#[test]
fn checking_without_a_root_finds_what_the_archive_alone_shows() {
    for case in all() {
        let error = Fenced::new().unpack(&case.tar[..]).err();
        let needs_a_tree = !case.before.is_empty()
            || matches!(error, Some(UnpackError::Target { .. }))
            || case.reason == "directory of this name";
        if !needs_a_tree {
            assert!(check(&case.tar[..], &limits()).is_err(), "{}", case.what);
        }
    }
}
