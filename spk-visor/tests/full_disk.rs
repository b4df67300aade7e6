//! `bundle apply` on a disk that is full: too small by one file or one page more each time, from
//! nothing at all to enough. Each time it says so, and what was served is served.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bundle::fakes::content::Content;
use bundle::fakes::image::noise;
use content::Node;
use rustix::fs::statvfs;
use spk_visor::exit::Exit;
use wire::chain::chain;

const PAGE: u64 = 4096;

fn body(version: u64) -> Vec<u8> {
    noise(20_000, version)
}

fn site(version: u64) -> Content {
    let body = body(version);
    let mut site = Content::site(&[("a/b/c", b"c"), ("a/d", &body), ("e", &body)]);
    site.counter = version;
    site
}

/// The node's state on a memory file system of its own.
struct State(PathBuf);

impl State {
    fn of(node: &Node) -> Self {
        let at = node.dir.path().join("var/lib/smv");
        fs::create_dir_all(&at).unwrap();
        let mount = ["-t", "tmpfs", "smv"];
        let status = Command::new("mount").args(mount).arg(&at).status();
        assert!(status.unwrap().success());
        Self(at)
    }

    /// What is used of it, and no more than so many bytes and files.
    fn limit(&self, bytes: Option<u64>, files: Option<u64>) {
        let used = statvfs(&self.0).unwrap();
        let size = bytes.map_or(64 << 20, |bytes| {
            (used.f_blocks - used.f_bfree) * used.f_frsize + bytes
        });
        let inodes = files.map_or(10_000, |files| used.f_files - used.f_ffree + files);
        let options = format!("remount,size={size},nr_inodes={inodes}");
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success(), "{options}");
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Which of the two is short.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Short {
    Bytes,
    Files,
}

/// Applies version 2 with more and more room until it fits; the reasons that were given.
fn squeeze(short: Short, before: Option<u64>) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    for more in 0.. {
        let node = Node::new();
        let state = State::of(&node);
        before.inspect(|version| node.apply(&site(*version)).unwrap());
        match short {
            // None at all means no limit.
            Short::Bytes => state.limit(Some(more * PAGE + u64::from(before.is_none())), None),
            Short::Files => state.limit(None, Some(more)),
        }
        let Err(error) = node.apply(&site(2)) else {
            assert!(more > 3, "{short:?}");
            state.limit(None, None);
            assert_eq!(served(&node), Some(2));
            return reasons;
        };
        let (exit, text) = (Exit::from(&error), chain(&error).to_string());
        let why = [
            "No space left on device",
            "the content needs 63041 bytes in 5 entries",
        ];
        let is_named = why.iter().any(|why| text.contains(why)) && text.contains("site/www");
        assert!(is_named, "{short:?} {more}: {text}");
        assert_eq!(exit, Exit::Receiver, "{text}");
        // Still full.
        assert_eq!(served(&node), before, "{short:?} {more}: {text}");
        state.limit(None, None);
        // Where only names were missing, recovery finds them, and nothing is left to do.
        match node.apply(&site(2)) {
            Ok(()) => {}
            Err(error) => assert_eq!(Exit::from(&error), Exit::Current, "{error}"),
        }
        assert_eq!(served(&node), Some(2));
        reasons.insert(text);
        assert!(more < 100, "{short:?}");
    }
    reasons
}

/// The version that is served, whole and as signed.
fn served(node: &Node) -> Option<u64> {
    let top = node.top("site/www");
    let found = fs::read(top.join("current/tree/e")).ok()?;
    // Nothing that was made is half of something.
    let (_, complaints) = node.open("site/www").unwrap();
    assert!(complaints.is_empty(), "{complaints:?}");
    (1..=2).find(|version| body(*version) == found)
}

#[test]
#[ignore = "needs root"] // to mount
fn a_disk_that_is_full_at_any_step_changes_nothing() {
    for before in [None, Some(1)] {
        for short in [Short::Bytes, Short::Files] {
            let reasons = squeeze(short, before);
            assert!(reasons.len() > 3, "{short:?}: {reasons:?}");
            let is_named = |text: &String| text.contains("generation 2 is not made: No space");
            assert!(reasons.iter().any(is_named), "{short:?}: {reasons:?}");
        }
    }
}
