//! A node that takes a release from a staging directory on a real btrfs, in a file by way of a loop
//! device.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod node;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::fakes::image::CHUNK;
use node::{IMAGE, Node, Told};
use spk_visor::cli::Upgrade;
use spk_visor::command::node::confirm::Verdict;
use spk_visor::command::node::error::NodeError;
use spk_visor::command::node::event::{Event, Phase};
use spk_visor::command::node::upgrade::Standing;
use spk_visor::exit::Exit;
use wire::chain::chain;

fn run(program: &str, args: &[&dyn AsRef<std::ffi::OsStr>]) {
    let args = args.iter().map(AsRef::as_ref);
    let output = Command::new(program).args(args).output();
    let output = output.expect("./setup installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

/// A btrfs that is mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn on(node: &Node) -> Self {
        let (image, at) = (node.path("btrfs.img"), node.path("var/lib/smv"));
        File::create(&image).unwrap().set_len(128 << 20).unwrap();
        run("mkfs.btrfs", &[&"-q", &image]);
        fs::create_dir_all(&at).unwrap();
        run("mount", &[&"-o", &"loop", &image, &at]);
        Self(at)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A chunk of the image is changed by somebody else after the first chunk was written.
fn upgrade(node: &Node, staging: &Path) -> (Told, Result<Standing, NodeError>) {
    let image = File::options()
        .write(true)
        .open(staging.join(IMAGE))
        .unwrap();
    let mut is_changed = false;
    let told = Told {
        at_step: Some(Box::new(move |phase, _| {
            if phase == Phase::Write && !is_changed {
                image.write_all_at(b"changed", 9 * CHUNK as u64).unwrap();
                is_changed = true;
            }
        })),
        ..Told::default()
    };
    let offline = |options: &mut Upgrade| {
        options.is_offline = true;
        options.staging = staging.to_owned();
    };
    let (told, done) = node.upgrade_as(told, offline);
    (told, done.and_then(|done| done.system))
}

fn snapshot(told: &Told) -> Option<Option<String>> {
    told.events.iter().find_map(|event| match event {
        Event::Snapshot { missing, .. } => Some(missing.clone()),
        _ => None,
    })
}

fn copy(release: &Path, staging: &Path) {
    for entry in fs::read_dir(release).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, staging.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
#[ignore = "needs root"] // to mount
fn what_changes_meanwhile_does_not_reach_an_upgrade_from_a_snapshot() {
    let node = Node::deployed();
    let btrfs = Mounted::on(&node);
    let staging = btrfs.0.join("staging");
    run("btrfs", &[&"-q", &"subvolume", &"create", &staging]);
    copy(&node.release(2), &staging);
    let (told, done) = upgrade(&node, &staging);
    assert_eq!(done.unwrap(), Standing::Armed);
    assert_eq!(snapshot(&told), Some(None));
    assert_eq!(btrfs.names(), ["os", "staging"]);
    let (_, verdict) = node.boot_with_services();
    assert!(matches!(verdict.unwrap(), Verdict::Kept));
}

/// The same on btrfs without a subvolume, and where a snapshot fails.
#[test]
#[ignore = "needs root"] // to mount
fn without_a_snapshot_the_hashes_do_the_work() {
    for is_subvolume in [false, true] {
        let node = Node::deployed();
        let btrfs = Mounted::on(&node);
        let staging = btrfs.0.join("staging");
        match is_subvolume {
            true => {
                run("btrfs", &[&"-q", &"subvolume", &"create", &staging]);
                fs::write(btrfs.0.join(".staging.snapshot"), "").unwrap();
            }
            false => fs::create_dir(&staging).unwrap(),
        }
        copy(&node.release(2), &staging);
        let (told, done) = upgrade(&node, &staging);
        let error = done.unwrap_err();
        let text = chain(&error).to_string();
        assert!(text.contains(&format!("{IMAGE}, chunk 9")), "{text}");
        assert_eq!(Exit::from(&error), Exit::Packages);
        let said = snapshot(&told);
        match is_subvolume {
            false => assert_eq!(said, None),
            true => {
                let why = said.unwrap().unwrap();
                let expected = "/.staging.snapshot is there, and no read-only subvolume";
                assert!(why.ends_with(expected), "{why}");
            }
        }
        assert_eq!(node.record().trial, None);
        // Put right, it is taken.
        copy(&node.release(2), &staging);
        let (_, done) = node.upgrade(|options| {
            options.is_offline = true;
            options.staging.clone_from(&staging);
        });
        assert_eq!(done.unwrap(), Standing::Armed);
    }
}
