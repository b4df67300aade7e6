//! Connections break, donors start again, and targets come back or do not.

use super::{Donor, FILES, MIB, assert_whole, code, one, secret};
use crate::command::deploy::fake::{Act, FakeTarget};
use crate::exit::Exit;
use receiver::fakes::ports;
use std::time::Duration;

#[test]
fn cut_anywhere_it_goes_on_where_it_was() {
    let mut donor = Donor::new("cuts", FILES, &[("e13gts2", 1)]);
    let mut acts = vec![Act::CutBeforeAccept];
    // Seven chunks in all; each connection takes some and breaks.
    for chunks in [0, 1, 3, 1, 1] {
        acts.push(Act::CutAfter(chunks));
        acts.push(Act::CutBeforeProof);
    }
    acts.extend([Act::CutBeforeInstalled, Act::Install]);
    let (ended, taken) = one(&mut donor, secret(1), acts);
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&taken, FILES);
    assert_eq!(taken.paired, 8);
    assert!(
        ended
            .out
            .contains(r#""resumed":true,"package":"smechvisor-base.tar.xz","chunk":1}"#),
        "{}",
        ended.out
    );
    assert!(
        ended
            .out
            .contains(r#""resumed":true,"package":"the end","chunk":0}"#),
        "{}",
        ended.out
    );
}

#[test]
fn a_donor_that_is_started_again_offers_the_same_manifest() {
    let mut donor = Donor::new("again", FILES, &[("e13gts2", 1)]);
    donor.options.retry = Duration::from_secs(1);
    let cut = || vec![Act::CutAfter(2)];
    let (_, first) = one(&mut donor, secret(1), cut());
    // A second later the clock shows another time.
    std::thread::sleep(Duration::from_millis(1100));
    let (_, second) = one(&mut donor, secret(1), cut());
    assert_eq!(first.manifest, second.manifest);
}

#[test]
fn a_target_that_does_not_come_back_is_given_up_in_time() {
    let mut donor = Donor::new("gone", FILES, &[("e13gts2", 1)]);
    donor.options.retry = Duration::from_secs(1);
    let (ended, taken) = one(&mut donor, secret(1), vec![Act::CutAfter(2)]);
    assert_eq!(ended.exit, Exit::Transfer, "{}", ended.out);
    assert_eq!(taken.files["smechvisor-base.tar.xz"].len(), 2 * MIB);
    assert!(
        ended
            .out
            .contains("gave up after 1 s without a connection that works"),
        "{}",
        ended.out
    );
}

#[test]
fn a_target_with_another_secret_afterwards_is_not_tried_for_ever() {
    let mut donor = Donor::new("restarted", FILES, &[("e13gts2", 1)]);
    donor.options.retry = Duration::from_secs(4);
    let first = FakeTarget::start(
        1,
        ports::free(),
        code("e13gts2"),
        secret(1),
        vec![Act::CutAfter(2)],
    );
    let at = first.at;
    donor.options.to = Some(at);
    let second = std::thread::spawn(move || {
        first.finish();
        let acts = vec![Act::Install, Act::Install, Act::Install];
        FakeTarget::start(1, at.port(), code("e13gts2"), secret(2), acts).finish()
    });
    let ended = donor.deploy();
    // The peer there may be another one now, and the target may come back.
    assert_eq!(ended.exit, Exit::Transfer, "{}", ended.out);
    let taken = second.join().unwrap();
    assert_eq!((taken.unpaired, taken.manifest.len()), (3, 0));
}
