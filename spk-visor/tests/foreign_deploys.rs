//! Whole deploys by donors in Python that share no code with the product: our receiver from its
//! first beacon to the installed disk, over the session and over the original stream; and what it
//! makes of donors that do something wrong.
//!
//! Python 3 is needed: without it these tests fail, they are not skipped.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod peer;
mod world;

use bundle::trust::Trust;
use peer::Peer;
use receiver::policy::Policy;
use world::World;

/// Runs a Python donor of the session against a waiting target; its output.
fn smv2(world: &World, skip: usize, bad: &str, packages: &[String]) -> String {
    let secret = world.secret(skip).replace('-', "");
    let policy = format!("secret={}", &secret[..8]);
    let (port, code) = (world.address.port().to_string(), world.code(skip));
    let mut words = vec!["donor", "127.0.0.1", &port, &code, &policy];
    words.extend(Some(bad).filter(|bad| !bad.is_empty()));
    words.extend(packages.iter().map(String::as_str));
    Peer::start("smv2.py", &words).rest()
}

/// The same of the original stream.
fn original(world: &World, skip: usize, words: &[String]) -> String {
    let (beacon, port) = (
        world.beacon_port.to_string(),
        world.address.port().to_string(),
    );
    let code = world.code(skip);
    let mut arguments = vec![beacon.as_str(), &port, &code];
    arguments.extend(words.iter().map(String::as_str));
    let mut donor = Peer::start("donor.py", &arguments);
    assert_eq!(donor.line(), "listening");
    donor.finish()
}

fn words(world: &World, ballast: usize) -> Vec<String> {
    let packages = world.packages(ballast);
    packages
        .iter()
        .map(|(name, path)| format!("{name}@{}", path.display()))
        .collect()
}

/// Asserts that the peer has printed these words; a failure prints the target's screen.
#[track_caller]
fn assert_said(world: &World, text: &str, words: &str) {
    assert!(text.contains(words), "{text} {:#?}", world.screen());
}

#[test]
fn a_foreign_donor_installs_over_the_session_even_after_a_break() {
    let world = World::start("smv2", Policy::Secret, Trust::default());
    let packages = words(&world, 200_000);
    // Closed in the middle, it goes on where it was: code and secret still hold.
    let text = smv2(&world, 0, "--stop=0,2", &packages);
    assert_said(&world, &text, "\naccept 0 0 ");
    assert!(
        text.ends_with("broken as asked\n"),
        "{text} {:#?}",
        world.screen()
    );
    // A changed chunk is not taken, and costs the connection alone.
    let text = smv2(&world, 0, "--flip=0,3", &packages);
    assert_said(&world, &text, "\naccept 0 2 ");
    assert_said(&world, &text, "broken");
    let text = smv2(&world, 0, "", &packages);
    assert_said(&world, &text, "\naccept 0 3 ");
    assert_said(&world, &text, "\ninstalled ");
    let root = world.root();
    let (_dir, lines, result) = world.end();
    result.unwrap_or_else(|error| panic!("{error}: {:#?}", lines.all()));
    assert_eq!(world::ballast(&root).len(), 200_000);
}

#[test]
fn a_foreign_donor_that_breaks_the_order_is_closed_and_nothing_is_lost() {
    let world = World::start("smv2-order", Policy::Secret, Trust::default());
    let packages = words(&world, 200_000);
    for bad in ["--skip=0,1", "--early=0,1", "--flip=0,1"] {
        let text = smv2(&world, 0, bad, &packages);
        assert!(text.contains("broken"), "{bad}: {text}");
    }
    let text = smv2(&world, 0, "", &packages);
    assert_said(&world, &text, "\naccept 0 1 ");
    assert_said(&world, &text, "\ninstalled ");
    world.end().2.unwrap();
}

#[test]
fn a_foreign_donor_is_shown_the_disk_and_nothing_is_written_before_its_yes() {
    let world = World::start("smv2-consent", Policy::Secret, Trust::default());
    let packages = words(&world, 1000);
    let text = smv2(&world, 0, "--hasty", &packages);
    assert_said(&world, &text, " blank\nbroken ");
    let (_, line) = world.lines.wait_for(0, "where its consent belongs");
    assert!(line.contains("Data"), "{line}");
    // The same secret still holds; who gives up ends the deploy, and with it the secret.
    let text = smv2(&world, 0, "--no", &packages);
    let shown = format!("\ndisk {} 3 ", 2u64 << 30);
    assert_said(&world, &text, &shown);
    let (failed, line) = world.lines.wait_for(0, "smv failed: ");
    assert!(
        line.ends_with("gives up: python does not want to"),
        "{line}"
    );
    let text = smv2(&world, failed, "--think", &packages);
    assert_said(&world, &text, "\ninstalled ");
    world.lines.wait_for(failed, "asks=person");
    world.end().2.unwrap();
}

#[test]
fn a_foreign_manifest_that_does_not_fit_its_chunk_lists_is_rejected() {
    let world = World::start("smv2-list", Policy::Secret, Trust::default());
    let packages = words(&world, 1000);
    let text = smv2(&world, 0, "--list", &packages);
    assert_said(&world, &text, "\nreject 1 ");
    // That deploy has ended, and with it the secret.
    let (failed, _) = world.lines.wait_for(0, "smv failed: ");
    let text = smv2(&world, failed, "", &packages);
    assert_said(&world, &text, "\ninstalled ");
    world.end().2.unwrap();
}

#[test]
fn a_wrong_secret_is_shown_and_installs_nothing() {
    let world = World::start("smv2-guess", Policy::Secret, Trust::default());
    let packages = words(&world, 1000);
    let (port, code) = (world.address.port().to_string(), world.code(0));
    let donor = ["donor", "127.0.0.1", &port, &code, "secret=00000000"];
    let text = Peer::start("smv2.py", &[&donor[..], &[packages[0].as_str()]].concat()).rest();
    assert!(text.starts_with("broken "), "{text} {:#?}", world.screen());
    let text = smv2(&world, 0, "", &packages);
    assert_said(&world, &text, "\ninstalled ");
    let (_dir, lines, result) = world.end();
    result.unwrap();
    let lines = lines.all();
    assert!(
        lines.iter().any(|line| line.contains("does not prove")),
        "{lines:#?}"
    );
}

#[test]
fn a_foreign_donor_installs_over_the_original_stream() {
    let world = World::start("original", Policy::Legacy, Trust::default());
    let packages = words(&world, 200_000);
    assert_eq!(
        original(&world, 0, &packages),
        "FIN\n",
        "{:#?}",
        world.screen()
    );
    let root = world.root();
    let (_dir, _, result) = world.end();
    result.unwrap();
    assert_eq!(world::ballast(&root).len(), 200_000);
}

#[test]
fn a_foreign_donor_sends_a_manifest_over_the_original_stream() {
    let world = World::start("original-manifest", Policy::Legacy, Trust::default());
    let mut packages = words(&world, 200_000);
    packages.insert(0, "--manifest".to_owned());
    assert_eq!(
        original(&world, 0, &packages),
        "FIN\n",
        "{:#?}",
        world.screen()
    );
    world.end().2.unwrap();
}

#[test]
fn what_the_original_stream_forbids_is_reset_and_the_next_donor_is_taken() {
    let world = World::start("original-bad", Policy::Legacy, Trust::default());
    let packages = words(&world, 1000);
    let bad =
        |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let twice = [packages.clone(), packages.clone()].concat();
    let endless = [bad(&["--no-end"]), packages.clone()].concat();
    let longer = [packages.clone(), bad(&["raw:00000000", "raw:21"])].concat();
    let cases = [
        // A name of 256 bytes, one with a slash, one of no data, no packages at all.
        ("long name", bad(&["raw:00000100"])),
        (
            "path",
            bad(&["raw:00000003612f62", "raw:000000000000000161"]),
        ),
        ("no data", bad(&["raw:0000000161", "raw:0000000000000000"])),
        ("too long", bad(&["raw:0000000161", "raw:0000010000000001"])),
        ("session", bad(&["raw:534d5632"])),
        ("not packed", bad(&["smechvisor-base=1000"])),
        ("nothing", bad(&[])),
        ("repeated", twice),
        ("no terminator", endless),
        ("behind the terminator", longer),
    ];
    let mut skip = 0;
    for (name, words) in cases {
        assert_eq!(original(&world, skip, &words), "RST\n", "{name}");
        skip = world.lines.wait_for(skip, "smv failed: ").0 + 1;
    }
    assert_eq!(original(&world, skip, &packages), "FIN\n");
    world.end().2.unwrap();
}

#[test]
fn a_target_with_a_key_takes_nothing_unsigned_from_a_foreign_donor() {
    // A public key of minisign that nobody here has the secret half of.
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    for policy in [Policy::Legacy, Policy::Secret] {
        let is_legacy = matches!(policy, Policy::Legacy);
        let name = if is_legacy { "signed-legacy" } else { "signed" };
        let world = World::start(name, policy, Trust::parse(key).unwrap());
        let packages = words(&world, 1000);
        if is_legacy {
            assert_eq!(original(&world, 0, &packages), "RST\n");
            let skip = world.lines.wait_for(0, "smv failed: ").0;
            let with_manifest = [vec!["--manifest".to_owned()], packages].concat();
            assert_eq!(original(&world, skip, &with_manifest), "RST\n");
            let _ = world.lines.wait_for(skip + 1, "smv failed: ");
        } else {
            let text = smv2(&world, 0, "", &packages);
            assert_said(&world, &text, "\nreject 1 ");
        }
        assert!(!world.root().exists(), "something was written");
        // The target waits on; it ends with this process.
    }
}
