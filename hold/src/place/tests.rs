//! A directory with three generations, and what is left of it after a trial. What a cut of the
//! power leaves is `store`'s to prove.

use super::{Place, PlaceError};
use crate::event::Why;
use bundle::trust::Trust;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use store::place::Place as Name;
use store::stage::Again;
use wire::ledger::{Ledger, Word};
use wire::manifest::Role;

#[path = "../../tests/world/generation.rs"]
mod generation;

const SERVICE: &str = "smechvisor-service 1\nprogram bin/d\nuser root\n\
                       listen http tcp 127.0.0.1:1\nready notify\nhealth -\n\
                       selftest -\nmode queue\nend\n";

fn make(directory: &Path, counter: u64) {
    generation::make(directory, ("d", counter), SERVICE, ("bin/d", b"#!")).unwrap();
}

fn place(directory: &Path) -> Place {
    for counter in 1..=3 {
        make(directory, counter);
    }
    symlink("gen/0000000001", directory.join("current")).unwrap();
    let name = Name::new(Role::Daemon, "d").unwrap();
    let seed = directory.join("seed");
    let place = Place::signed(directory.to_owned(), name, seed, Trust::default());
    place.recover().unwrap();
    place
}

fn links(directory: &Path) -> [Option<u64>; 2] {
    ["current", "previous"].map(|name| {
        let target = fs::read_link(directory.join(name)).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    })
}

fn why(place: &Place, counter: u64) -> Option<Why> {
    let prepared = place.prepare(counter, Again(false));
    prepared.err().map(|error| error.why())
}

#[test]
fn a_version_that_is_kept_is_current_and_the_one_before_is_previous() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    assert_eq!(place.current().unwrap().counter, 1);
    for counter in [2, 3] {
        let candidate = place.prepare(counter, Again(false)).unwrap();
        assert_eq!(candidate.generation.counter, counter);
        let trial = place.begin(candidate.staged).unwrap();
        assert_eq!(place.current().unwrap(), candidate.generation);
        place.keep(&trial).unwrap();
        assert_eq!(links(dir.path()), [Some(counter), Some(counter - 1)]);
        assert_eq!(why(&place, counter), Some(Why::Current));
        assert!(place.recover().unwrap().is_empty());
    }
    place.collect().unwrap();
    assert!(!dir.path().join("gen/0000000001").exists());
    let ledger = Ledger::parse(&fs::read(dir.path().join("ledger")).unwrap()).unwrap();
    assert_eq!(ledger.current.unwrap().counter, 3);
    assert_eq!(ledger.previous.unwrap().counter, 2);
    assert_eq!(ledger.trial, None);
    let program = place.current().unwrap().plan.program;
    assert_eq!(program, dir.path().join("gen/0000000003/tree/bin/d"));
}

#[test]
fn a_version_that_is_taken_back_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    let begin = |counter, again| {
        let candidate = place.prepare(counter, Again(again)).unwrap();
        place.begin(candidate.staged).unwrap()
    };
    let trial = begin(2, false);
    place.take_back(&trial, Word::new("exit-1")).unwrap();
    assert_eq!(links(dir.path()), [Some(1), None]);
    assert_eq!(why(&place, 2), Some(Why::FailedBefore));
    let candidate = place.prepare(3, Again(false)).unwrap();
    let word = Word::new("selftest").unwrap();
    place.refuse(&candidate.staged, word).unwrap();
    assert_eq!(why(&place, 3), Some(Why::FailedBefore));
    // Again, because somebody wants it; and nobody has judged it.
    place.take_back(&begin(3, true), None).unwrap();
    place
        .take_back(&begin(2, true), Word::new("exit-1"))
        .unwrap();
    assert_eq!(why(&place, 2), Some(Why::Stopped));
}

#[test]
fn a_plain_directory_has_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let seed = dir.path().join("seed");
    let is_plain = || Place::is_plain(dir.path(), &seed);
    assert!(!is_plain());
    fs::create_dir(dir.path().join("current")).unwrap();
    fs::write(dir.path().join("current/SERVICE"), SERVICE).unwrap();
    let place = Place::plain(dir.path().to_owned());
    assert!(is_plain());
    assert_eq!(place.current().unwrap().counter, 0);
    assert!(place.recover().unwrap().is_empty());
    assert!(matches!(
        place.prepare(2, Again(false)),
        Err(PlaceError::Plain { .. })
    ));
    let system = dir.path().join("system");
    fs::rename(dir.path().join("current"), &system).unwrap();
    symlink(&system, dir.path().join("current")).unwrap();
    assert!(is_plain());
    assert_eq!(place.current().unwrap().counter, 0);
    for target in [seed.as_path(), Path::new("gen/0000000001")] {
        fs::remove_file(dir.path().join("current")).unwrap();
        symlink(target, dir.path().join("current")).unwrap();
        assert!(!is_plain(), "{}", target.display());
    }
}

#[test]
fn the_systems_own_version_is_tried_against() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    let seed = dir.path().join("seed");
    make(&seed, 9);
    fs::rename(seed.join("gen/0000000009"), dir.path().join("own")).unwrap();
    fs::remove_dir_all(&seed).unwrap();
    fs::rename(dir.path().join("own"), &seed).unwrap();
    place.recover().unwrap();
    assert_eq!(place.current().unwrap().counter, 9);
    assert_eq!(why(&place, 2), Some(Why::BelowFloor));
    make(dir.path(), 10);
    let candidate = place.prepare(10, Again(false)).unwrap();
    let trial = place.begin(candidate.staged).unwrap();
    assert_eq!(place.current().unwrap().counter, 10);
    place.take_back(&trial, Word::new("exit-1")).unwrap();
    assert_eq!(place.current().unwrap().counter, 9);
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    fs::write(dir.path().join("gen/0000000002/SERVICE"), "no").unwrap();
    for (counter, expected) in [(2, Why::Rejected), (9, Why::NoGeneration)] {
        assert_eq!(why(&place, counter), Some(expected));
    }
    fs::remove_file(dir.path().join("ledger")).unwrap();
    fs::create_dir(dir.path().join("ledger")).unwrap();
    assert_eq!(why(&place, 3), Some(Why::Ledger));
}
