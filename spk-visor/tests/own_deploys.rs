//! The product against itself, over the kernel's own sockets: our donor as a program, our receiver
//! with an image file for a disk.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::fs;
use std::process::{Command, Output};

use bundle::trust::Trust;
use receiver::policy::Policy;
use session::PinnedKeys;
use world::World;

/// Our donor for a waiting target; `how` says what it knows.
fn donor(world: &World, how: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spk-visor"))
        .args(["deploy-system-img-copy", &world.code(0), "--to"])
        .arg(world.address.to_string())
        .arg("--packages")
        .arg(world.dir.path().join("packages"))
        .args(how)
        .output()
        .unwrap()
}

/// Its output, with its errors.
fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn our_donor_installs_our_target_with_the_secret_from_a_file() {
    let world = World::start("own-secret", Policy::Secret, Trust::default());
    world.packages(3_000_000);
    let file = world.dir.path().join("secret");
    fs::write(&file, world.secret(0)).unwrap();
    let output = donor(&world, &["--secret-file", file.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{} {:#?}",
        said(&output),
        world.screen()
    );
    assert!(world.root().join("var/ballast").exists());
    world.end().2.unwrap();
}

#[test]
fn our_donor_installs_our_target_with_pinned_keys() {
    let (donor_keys, target_keys) = PinnedKeys::draw().unwrap();
    let policy = Policy::Pinned(Box::new(target_keys));
    let world = World::start("own-pinned", policy, Trust::default());
    world.packages(100_000);
    let file = world.dir.path().join("a.donor");
    fs::write(&file, donor_keys.to_text().as_bytes()).unwrap();
    let output = donor(&world, &["--pinned", file.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{} {:#?}",
        said(&output),
        world.screen()
    );
    world.end().2.unwrap();
}

#[test]
fn our_donor_hears_why_a_target_refuses_an_unsigned_image() {
    // minisign's own example of a public key.
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let world = World::start("own-unsigned", Policy::Secret, Trust::parse(key).unwrap());
    world.packages(1000);
    let file = world.dir.path().join("secret");
    fs::write(&file, world.secret(0)).unwrap();
    let output = donor(&world, &["--secret-file", file.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(said(&output).contains("unsigned"), "{}", said(&output));
    let _ = world.lines.wait_for(0, "smv failed: ");
}
