//! A directory with three generations, and what is left of it after every step of a trial.

use super::{Admission, Place, PlaceError};
use std::fs;
use std::path::Path;
use wire::ledger::{Ledger, Word};

const SERVICE: &str = "smechvisor-service 1\nprogram bin/d\nuser root\n\
                       listen http tcp 127.0.0.1:1\nready notify\nhealth -\n\
                       selftest -\nmode queue\nend\n";

fn place(directory: &Path) -> Place {
    for counter in 1..=3 {
        let generation = directory.join(format!("gen/{counter:010}"));
        fs::create_dir_all(generation.join("tree/bin")).unwrap();
        fs::write(generation.join("SERVICE"), SERVICE).unwrap();
        fs::write(generation.join("MANIFEST"), format!("manifest {counter}")).unwrap();
    }
    std::os::unix::fs::symlink("gen/0000000001", directory.join("current")).unwrap();
    Place::new(directory.to_owned())
}

fn word() -> Word {
    Word::new("exit-1").unwrap()
}

fn links(directory: &Path) -> [Option<u64>; 2] {
    ["current", "previous"].map(|name| {
        let target = fs::read_link(directory.join(name)).ok()?;
        target.file_name()?.to_str()?.parse().ok()
    })
}

fn ledger(directory: &Path) -> Ledger {
    Ledger::parse(&fs::read(directory.join("ledger")).unwrap()).unwrap()
}

#[test]
fn a_version_that_is_kept_is_current_and_the_one_before_is_previous() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    assert_eq!(place.current().unwrap().counter, 1);
    for counter in [2, 3] {
        assert_eq!(place.admit(counter).unwrap(), Admission::New);
        place.begin(counter).unwrap();
        assert_eq!(ledger(dir.path()).trial.unwrap().version.counter, counter);
        place.point(counter).unwrap();
        place.commit().unwrap();
        assert_eq!(links(dir.path()), [Some(counter), Some(counter - 1)]);
        assert_eq!(place.admit(counter).unwrap(), Admission::Current);
        assert_eq!(place.recover().unwrap(), None);
    }
    let ledger = ledger(dir.path());
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
    place.begin(2).unwrap();
    place.point(2).unwrap();
    place.take_back(Some(word())).unwrap();
    assert_eq!(links(dir.path()), [Some(1), None]);
    assert_eq!(place.admit(2).unwrap(), Admission::FailedBefore);
    // Again, because somebody wants it.
    place.begin(2).unwrap();
    place.take_back(None).unwrap();
    assert_eq!(place.admit(2).unwrap(), Admission::New);
    place.remember(3, word()).unwrap();
    assert_eq!(place.admit(3).unwrap(), Admission::FailedBefore);
}

#[test]
fn a_cut_of_the_power_at_any_step_comes_back_to_what_was_confirmed() {
    for steps in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        place.begin(2).unwrap();
        if steps > 1 {
            place.point(2).unwrap();
        }
        if steps > 2 {
            // Of a link that was being made.
            std::os::unix::fs::symlink("x", dir.path().join(".current.part")).unwrap();
        }
        assert_eq!(place.recover().unwrap(), Some(2), "{steps}");
        assert_eq!(place.recover().unwrap(), None, "{steps}");
        assert_eq!(place.current().unwrap().counter, 1, "{steps}");
        assert_eq!(place.admit(2).unwrap(), Admission::FailedBefore, "{steps}");
    }
}

#[test]
fn a_plain_directory_has_one_version() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("current")).unwrap();
    fs::write(dir.path().join("current/SERVICE"), SERVICE).unwrap();
    let place = Place::new(dir.path().to_owned());
    assert_eq!(place.current().unwrap().counter, 0);
    assert_eq!(place.recover().unwrap(), None);
    assert!(matches!(place.admit(2), Err(PlaceError::Plain { .. })));
    let system = dir.path().join("system");
    fs::rename(dir.path().join("current"), &system).unwrap();
    std::os::unix::fs::symlink(&system, dir.path().join("current")).unwrap();
    assert_eq!(place.current().unwrap().counter, 0);
    assert!(matches!(place.admit(2), Err(PlaceError::Plain { .. })));
}

#[test]
fn what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    fs::write(dir.path().join("gen/0000000002/SERVICE"), "no").unwrap();
    assert!(matches!(place.generation(2), Err(PlaceError::Plan { .. })));
    assert!(matches!(place.generation(9), Err(PlaceError::Read { .. })));
    fs::write(dir.path().join("ledger"), "no").unwrap();
    assert!(matches!(place.begin(2), Err(PlaceError::Ledger { .. })));
    for target in ["gen/1", "elsewhere", "../gen/0000000001"] {
        fs::remove_file(dir.path().join("current")).unwrap();
        std::os::unix::fs::symlink(target, dir.path().join("current")).unwrap();
        assert!(
            matches!(place.current(), Err(PlaceError::Plain { .. })),
            "{target}"
        );
    }
}
