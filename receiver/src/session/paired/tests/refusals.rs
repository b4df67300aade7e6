//! What is refused, what fails, and what its donor hears of that.

use super::{AT_ONCE, START, Target, assert_installed, assert_untouched, finish, image, pair};
use crate::fakes;
use crate::fakes::donor::{END, FakeDonor, Image, read_screen};
use crate::{Policy, SessionError};
use bundle::trust::Trust;
use session::{Credential, PinnedKeys};
use std::fs;
use std::io::Write;
use std::time::Instant;
use wire::code::Code;
use wire::message::{After, Message, Next, RejectCode};
use wire::secret::Secret;

#[test]
fn an_unpacking_error_reaches_the_donor_with_its_causes() {
    let target = Target::new("corrupt");
    let mut packages = fakes::system(100_000);
    let len = packages[0].1.len();
    packages[0].1.truncate(len / 2);
    let corrupt = Image::new(&packages, "1");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, skip) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&corrupt);
        let _ = donor.send(&corrupt, START, END); // it may hear of it before it has sent all
        let (_, word) = donor.last_word().unwrap();
        let reason = word.unwrap_err();
        for part in ["which does not boot now", "smechvisor-base", "decoding"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        let (at, line) = lines.wait_for(skip, "smv failed: ");
        assert!(line.contains(&reason), "{line}");
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn a_deploy_that_fails_while_its_donor_is_away_does_not_wait_for_it() {
    let target = Target::new("abandoned");
    let mut packages = fakes::system(900_000);
    packages[0].1[200_000..].fill(0xFF); // a kind of block that zstd has not
    let corrupt = Image::new(&packages, "1");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, skip) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&corrupt);
        donor
            .send(&corrupt, START, Next { file: 0, chunk: 8 })
            .unwrap();
        drop(donor);
        let gone = Instant::now();
        let (at, line) = lines.wait_for(skip, "smv failed: ");
        assert!(line.contains("decoding"), "{line}");
        assert!(gone.elapsed() < AT_ONCE, "after {:?}", gone.elapsed());
        finish(plug, lines, at);
    });
    assert_installed(&target, &deployed.unwrap());
}

#[test]
fn an_unsigned_image_is_refused_where_a_signature_is_demanded() {
    let (mut target, image) = (Target::new("unsigned"), image());
    // minisign's own example of a public key.
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    target.options.trust = Trust::parse(key).unwrap();
    let (error, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.show(&image).unwrap();
        let Message::Reject { code: reason, text } = donor.hear().unwrap() else {
            panic!("not rejected");
        };
        assert_eq!(reason, RejectCode::Manifest);
        assert!(text.to_string().contains("unsigned"), "{text}");
        lines.wait_for(0, "smv failed: ");
    });
    assert!(matches!(error, Err(SessionError::Network(_))));
    assert_untouched(&target);
}

#[test]
fn the_donor_hears_that_the_disk_was_taken_meanwhile() {
    let (target, image) = (Target::new("occupied"), image());
    let (error, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let path = target.dir.path().join("disk.img");
        let mut disk = fs::File::options().write(true).open(path).unwrap();
        disk.write_all(b"precious").unwrap();
        let mut donor = pair(plug, (&code, &secret));
        donor.show(&image).unwrap();
        let Message::Reject { code: reason, text } = donor.hear().unwrap() else {
            panic!("not rejected");
        };
        assert_eq!(reason, RejectCode::NoDisk);
        assert!(text.to_string().contains("wipe="), "{text}");
    });
    assert!(matches!(error, Err(SessionError::Gate(_))));
}

/// The screen and every donor learn the plan; nothing is written, and the next donor is welcome.
#[test]
fn a_dry_run_shows_its_plan_and_writes_nothing() {
    let (mut target, image) = (Target::new("dry-run"), image());
    target.options.dry_run = true;
    let (error, ()) = target.serve(|plug, lines| {
        let mut skip = 0;
        for _ in 0..2 {
            let (at, planned) = lines.wait_for(skip, "smv planned: dry-run disk=");
            for word in [" size=2048MiB ", " esp=512MiB ", "contents=\"blank\""] {
                assert!(planned.contains(word), "{planned}");
            }
            let (code, secret, _) = read_screen(lines, at);
            let mut donor = pair(plug, (&code, &secret));
            donor.show(&image).unwrap();
            let Message::Reject { code: reason, text } = donor.hear().unwrap() else {
                panic!("not rejected");
            };
            assert_eq!(reason, RejectCode::DryRun);
            let text = text.to_string();
            assert!(text.contains("nothing was written"), "{text}");
            assert!(text.contains("root=1534MiB"), "{text}");
            skip = lines.wait_for(at, "smv failed: ").0;
        }
    });
    assert!(matches!(error, Err(SessionError::Network(_))));
    assert_untouched(&target);
}

#[test]
fn pinned_keys_let_their_donor_in_and_nobody_else() {
    let (mut target, image) = (Target::new("pinned"), image());
    let (donor_keys, target_keys) = PinnedKeys::draw().unwrap();
    let (stranger, _) = PinnedKeys::draw().unwrap();
    target.options.policy = Policy::Pinned(Box::new(target_keys));
    let (deployed, ()) = target.serve(|plug, lines| {
        let (_, line) = lines.wait_for(0, "smv waiting: ");
        assert!(line.contains(" policy=pinned "), "{line}");
        let code = line.split_once("code=").unwrap().1.get(..7).unwrap();
        let code = Code::parse(code).unwrap();
        for wrong in [
            Credential::Pinned(stranger),
            Credential::Secret(Secret::draw([0; 5])),
        ] {
            assert!(FakeDonor::pair(plug, &wrong, &code).is_err());
        }
        let right = Credential::Pinned(donor_keys);
        let mut donor = FakeDonor::pair(plug, &right, &code).unwrap();
        donor.offer(&image);
        donor.send(&image, START, END).unwrap();
        donor.last_word().unwrap().1.unwrap();
        donor.order(Some(After::Reboot)).unwrap();
    });
    assert_installed(&target, &deployed.unwrap());
    assert!(
        target
            .lines
            .all()
            .iter()
            .all(|line| !line.contains("  secret "))
    );
}

#[test]
fn a_donor_that_never_listens_holds_nothing_up() {
    let target = Target::new("deaf");
    // So many files that what is said about them does not fit into a socket.
    let mut packages = fakes::system(900_000);
    let small = fakes::package(&[("var/small", b"x")]);
    packages.extend((0..1000).map(|number| (format!("small-{number}.tar.zst"), small.clone())));
    let image = Image::new(&packages, "1");
    let (deployed, ()) = target.serve(|plug, lines| {
        let (code, secret, _) = read_screen(lines, 0);
        let mut donor = pair(plug, (&code, &secret));
        donor.offer(&image);
        donor.send(&image, START, END).unwrap();
        lines.wait_for(0, "smv installed: ");
        drop(donor);
    });
    assert_installed(&target, &deployed.unwrap());
}
