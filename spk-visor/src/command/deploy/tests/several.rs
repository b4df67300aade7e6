//! Several targets, several addresses of one, and the ones that a pinned key lets in.

use super::{Donor, FILES, assert_whole, code, secret};
use crate::command::deploy::fake::{Act, FakeTarget, Taken};
use crate::exit::Exit;
use donor::options::Trust;
use receiver::fakes::ports;
use session::Credential;
use session::keys::PinnedKeys;
use std::fs;
use std::time::Duration;

#[test]
fn of_several_targets_each_is_asked_about_by_its_code() {
    let port = ports::free();
    let targets = [("aaaaaaa", 1), ("bbbbbbb", 2)];
    let mut donor = Donor::new("asked", FILES, &targets);
    // Whichever is asked about first: one of these lines is its code, for the other it is not.
    donor.typed = Some("aaaaaaa\naaaaaaa");
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let fleet: Vec<FakeTarget> = targets
        .iter()
        .map(|(name, seed)| {
            let acts = vec![Act::InstallOverOld];
            FakeTarget::start(20 + seed, port, code(name), secret(*seed), acts)
                .beacon(code(name), beacons)
        })
        .collect();
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Partly, "{}", ended.out);
    let taken: Vec<Taken> = fleet.into_iter().map(FakeTarget::finish).collect();
    assert_whole(&taken[0], FILES);
    assert!(taken[1].gave_up.is_some() && taken[1].files.is_empty());
}

#[test]
fn one_code_from_two_addresses_is_tried_at_both() {
    let port = ports::free();
    let mut donor = Donor::new("several", FILES, &[("e13gts2", 1)]);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let pose = FakeTarget::start(2, port, code("e13gts2"), secret(2), vec![Act::Pose])
        .beacon(code("e13gts2"), beacons);
    let real = FakeTarget::start(3, port, code("e13gts2"), secret(1), vec![Act::Install])
        .beacon(code("e13gts2"), beacons);
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(
        ended
            .out
            .contains(r#""addresses":["127.0.0.2","127.0.0.3"]"#),
        "{}",
        ended.out
    );
    assert!(ended.out.contains(r#""event":"unpaired""#), "{}", ended.out);
    assert_eq!(pose.finish().early_bytes, 0);
    assert_whole(&real.finish(), FILES);
}

#[test]
fn a_target_under_a_new_address_is_found_again() {
    let port = ports::free();
    let mut donor = Donor::new("moved", FILES, &[("e13gts2", 1)]);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let here = FakeTarget::start(
        2,
        port,
        code("e13gts2"),
        secret(1),
        vec![Act::CutBeforeAccept],
    )
    .beacon(code("e13gts2"), beacons);
    let there = std::thread::spawn(move || {
        here.finish();
        FakeTarget::start(4, port, code("e13gts2"), secret(1), vec![Act::Install])
            .beacon(code("e13gts2"), beacons)
            .finish()
    });
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert_whole(&there.join().unwrap(), FILES);
}

#[test]
fn one_of_several_fails_alone() {
    let port = ports::free();
    let targets = [("aaaaaaa", 1), ("bbbbbbb", 2), ("ccccccc", 3)];
    let mut donor = Donor::new("fleet", FILES, &targets);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let acts = [
        vec![Act::Install],
        vec![Act::Fail(3, "no swap", "disk full")],
        vec![Act::CutAfter(4), Act::Install],
    ];
    let fleet: Vec<FakeTarget> = targets
        .iter()
        .zip(acts)
        .map(|((name, seed), acts)| {
            FakeTarget::start(10 + seed, port, code(name), secret(*seed), acts)
                .beacon(code(name), beacons)
        })
        .collect();
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Partly, "{}", ended.out);
    let taken: Vec<Taken> = fleet.into_iter().map(FakeTarget::finish).collect();
    assert_whole(&taken[0], FILES);
    assert_whole(&taken[2], FILES);
    assert_eq!(taken[0].manifest, taken[1].manifest);
    for end in [
        r#""target":"aaaaaaa","address":"127.0.0.11:"#,
        r#""target":"bbbbbbb","exit":5,"reason":"the target failed: disk full"}"#,
        r#""exit":10,"installed":2,"failed":1}"#,
    ] {
        assert!(ended.out.contains(end), "{end} in {}", ended.out);
    }
    for line in ended.out.lines() {
        assert!(
            line.starts_with(r#"{"event":""#) && line.ends_with('}'),
            "{line}"
        );
    }
}

#[test]
fn everybody_with_the_pinned_key_is_deployed() {
    let port = ports::free();
    let (ours, theirs) = PinnedKeys::draw().unwrap();
    let mut donor = Donor::new("all", FILES, &[]);
    let keys = donor.dir.join("rack.donor");
    fs::write(&keys, ours.to_text().as_bytes()).unwrap();
    donor.options.trust = Trust::Pinned(keys);
    donor.options.is_sure = true;
    donor.options.timeout = Duration::from_millis(500);
    donor.options.beacon_port = ports::free();
    donor.options.stream_port = port;
    let beacons = donor.options.beacon_port;
    let fleet: Vec<FakeTarget> = [("aaaaaaa", 5), ("bbbbbbb", 6)]
        .into_iter()
        .map(|(name, host)| {
            let knows = Credential::Pinned(theirs.clone());
            FakeTarget::start(host, port, code(name), knows, vec![Act::Install])
                .beacon(code(name), beacons)
        })
        .collect();
    let ended = donor.deploy();
    assert_eq!(ended.exit, Exit::Installed, "{}", ended.out);
    assert!(
        ended.out.contains(r#""targets":["aaaaaaa","bbbbbbb"]"#),
        "{}",
        ended.out
    );
    for target in fleet {
        assert_whole(&target.finish(), FILES);
    }
    for (may_erase, exit) in [(false, Exit::Declined), (true, Exit::Installed)] {
        donor.options.may_erase = may_erase;
        let knows = Credential::Pinned(theirs.clone());
        let acts = vec![Act::InstallOverOld];
        let used = FakeTarget::start(8, port, code("ccccccc"), knows, acts)
            .beacon(code("ccccccc"), beacons);
        let ended = donor.deploy();
        assert_eq!(ended.exit, exit, "{}", ended.out);
        assert_eq!(used.finish().gave_up.is_some(), !may_erase);
    }
    donor.options.is_sure = false;
    let somebody = FakeTarget::start(7, port, code("aaaaaaa"), secret(1), vec![])
        .beacon(code("aaaaaaa"), beacons);
    let ended = donor.deploy();
    assert_eq!(
        ended.exit,
        Exit::Declined,
        "nobody is here to say yes: {}",
        ended.out
    );
    somebody.finish();
}
