//! Places on a real file system: applied, damaged, killed in the middle, recovered, opened.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use bundle::fakes::content::Content;
use bundle::fakes::image::{Signer, noise};
use bundle::trust::Trust;
use bundle::unpack_pipeline::Resources;
use bundle::worker::threads::Threads;
use store::directory::Directory;
use store::place::Place;
use store::recover::{Finding, recover};
use store::rollback::rollback;
use store::shelf::{Chunks, Offer, Shelf, Target};
use store::stage::{Again, Refusal, stage};
use store::{StoreError, activate, collect, open, trial};
use tempfile::TempDir;
use wire::ledger::Word;
use wire::manifest::Role;

const RESOURCES: Resources = Resources {
    memory_bytes: 64 << 20,
    threads: 1,
    workers: &Threads,
};

/// A node in a directory.
struct Node {
    dir: TempDir,
    signer: Signer,
    place: Place,
}

impl Node {
    fn new(place: &str) -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            signer: Signer::new(),
            place: place.parse().unwrap(),
        }
    }

    fn shelf(&self) -> Directory {
        shelf(self.dir.path(), &self.place, self.signer.trust())
    }

    /// With `counter` in its only file, or a daemon.
    fn content(&self, counter: u64) -> Content {
        let text = format!("version {counter}");
        let mut content = match self.place.role() {
            Role::Daemon => Content::daemon(),
            role => Content::of(role, &[("a/file", text.as_bytes())]),
        };
        content.counter = counter;
        content
    }

    fn with<T>(&self, content: &Content, work: impl FnOnce(&mut Offer<'_>) -> T) -> T {
        let image = content.image();
        let approved = content.approved(&image, &self.signer).unwrap();
        let mut chunks = image.feed();
        work(&mut Offer {
            approved: &approved,
            role: content.role,
            chunks: Chunks(&mut chunks),
            resources: &RESOURCES,
        })
    }

    fn apply(&self, counter: u64, again: bool) -> Result<(), StoreError> {
        let mut shelf = self.shelf();
        recover(&mut shelf)?;
        self.with(&self.content(counter), |offer| {
            let staged = stage(&mut shelf, offer, Again(again))?;
            activate::activate(&mut shelf, &staged)
        })
    }

    fn top(&self) -> PathBuf {
        self.place.below(&self.dir.path().join("state"))
    }

    /// What a web server would read.
    fn served(&self) -> String {
        fs::read_to_string(self.top().join("current/tree/a/file")).unwrap_or_default()
    }

    fn file(&self, counter: u64) -> PathBuf {
        self.top().join(format!("gen/{counter:010}/tree/a/file"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.top().join("gen")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

fn shelf(root: &Path, place: &Place, trust: Trust) -> Directory {
    let (state, seeds) = (root.join("state"), root.join("seed"));
    Directory::create(place, &state, &seeds, trust).unwrap()
}

#[test]
fn the_newest_is_served_and_the_one_before_it_is_kept() {
    let node = Node::new("site/www");
    for counter in 1..=4 {
        node.apply(counter, false).unwrap();
        assert_eq!(node.served(), format!("version {counter}"));
    }
    assert_eq!(node.names(), ["0000000003", "0000000004"]);
    let error = node.apply(4, false).unwrap_err();
    assert!(
        matches!(error, StoreError::Refused(Refusal::Current { .. })),
        "{error}"
    );
    let error = node.apply(3, false).unwrap_err();
    assert!(
        matches!(error, StoreError::Refused(Refusal::BelowFloor { .. })),
        "{error}"
    );
    let back = rollback(&mut node.shelf()).unwrap();
    assert_eq!(
        (back.target, node.served()),
        (Target::Generation(3), "version 3".into())
    );
    let error = node.apply(4, false).unwrap_err();
    assert!(
        matches!(error, StoreError::Refused(Refusal::Failed { .. })),
        "{error}"
    );
    node.apply(4, true).unwrap();
    assert_eq!(node.served(), "version 4");
    assert!(recover(&mut node.shelf()).unwrap().is_empty());
}

#[test]
fn a_pinned_generation_is_kept() {
    let node = Node::new("site/www");
    node.apply(1, false).unwrap();
    symlink("gen/0000000001", node.top().join("the-first")).unwrap();
    (2..=4).for_each(|counter| node.apply(counter, false).unwrap());
    assert_eq!(node.names(), ["0000000001", "0000000003", "0000000004"]);
    fs::remove_file(node.top().join("the-first")).unwrap();
    assert_eq!(collect::collect(&mut node.shelf()).unwrap(), [1]);
}

#[test]
fn a_bad_newest_generation_is_rejected_with_its_reason() {
    let node = Node::new("model/www");
    node.apply(1, false).unwrap();
    node.apply(2, false).unwrap();
    // It goes bad later.
    fs::write(node.file(2), "version 3").unwrap();
    let opened = open::open(&mut node.shelf()).unwrap();
    assert_eq!(opened.target, Target::Generation(1));
    let [(target, reject)] = &opened.rejected[..] else {
        panic!("{:?}", opened.rejected);
    };
    assert_eq!(
        format!("{target} rejected ({})", reject.word()),
        "generation 2 rejected (sha256)"
    );
    assert_eq!(
        node.names(),
        ["0000000001", "0000000002"],
        "looking changes nothing"
    );
    // Recovery serves the other one, and keeps the bad one for a person.
    let found = recover(&mut node.shelf()).unwrap();
    assert!(
        found.iter().any(|found| matches!(found, Finding::Bad(..))),
        "{found:?}"
    );
    assert_eq!(node.served(), "version 1");
    assert_eq!(node.names(), ["0000000001", "0000000002.bad"]);
    let why = node.top().join("gen/0000000002.bad/why");
    assert_eq!(
        fs::read_to_string(why).unwrap(),
        "a/file has another SHA-256\n"
    );
    assert!(recover(&mut node.shelf()).unwrap().is_empty());
    // The same bundle once more.
    node.apply(2, false).unwrap();
    assert_eq!(node.served(), "version 2");
    assert_eq!(collect::collect_bad(&mut node.shelf()).unwrap(), [2]);
}

#[test]
fn where_nothing_is_as_signed_nothing_is_served() {
    let node = Node::new("site/www");
    node.apply(1, false).unwrap();
    fs::write(node.file(1), "tampered").unwrap();
    recover(&mut node.shelf()).unwrap();
    assert!(!node.top().join("current").exists());
    assert!(open::open(&mut node.shelf()).is_err());
    assert!(recover(&mut node.shelf()).unwrap().is_empty());
    node.apply(1, false).unwrap();
    assert_eq!(node.served(), "version 1");
}

/// What is baked into a system is a generation like any other.
fn bake(node: &Node, counter: u64) {
    let maker = Node {
        dir: TempDir::new().unwrap(),
        signer: Signer::new(),
        place: node.place.clone(),
    };
    let mut shelf = shelf(maker.dir.path(), &node.place, node.signer.trust());
    node.with(&node.content(counter), |offer| {
        stage(&mut shelf, offer, Again(false))
    })
    .unwrap();
    let seed = node.place.below(&node.dir.path().join("seed"));
    let _ = fs::remove_dir_all(&seed);
    fs::create_dir_all(seed.parent().unwrap()).unwrap();
    fs::rename(shelf.path(Target::Generation(counter)), seed).unwrap();
}

#[test]
fn a_fresh_node_serves_what_its_system_has() {
    let node = Node::new("site/www");
    bake(&node, 3);
    recover(&mut node.shelf()).unwrap();
    assert_eq!(node.served(), "version 3");
    assert!(recover(&mut node.shelf()).unwrap().is_empty());
    let error = node.apply(2, false).unwrap_err();
    assert!(
        matches!(error, StoreError::Refused(Refusal::BelowFloor { .. })),
        "{error}"
    );
    node.apply(4, false).unwrap();
    assert_eq!(node.served(), "version 4");
    assert_eq!(rollback(&mut node.shelf()).unwrap().target, Target::Seed);
    assert_eq!(node.served(), "version 3");
    // A later system has a later one.
    bake(&node, 9);
    recover(&mut node.shelf()).unwrap();
    assert_eq!(node.served(), "version 9");
    let opened = open::open(&mut node.shelf()).unwrap();
    assert_eq!(opened.target, Target::Seed);
}

#[test]
fn what_does_not_unpack_changes_nothing() {
    let node = Node::new("site/www");
    node.apply(1, false).unwrap();
    let mut content = node.content(2);
    content.tar.truncate(600);
    let mut shelf = node.shelf();
    let staged = node.with(&content, |offer| stage(&mut shelf, offer, Again(false)));
    assert!(
        matches!(staged, Err(StoreError::Content { counter: 2, .. })),
        "{staged:?}"
    );
    assert_eq!(node.served(), "version 1");
    let found = recover(&mut node.shelf()).unwrap();
    assert!(matches!(found[..], [Finding::Left(2)]), "{found:?}");
    assert_eq!(node.names(), ["0000000001"]);
}

#[test]
fn a_daemon_is_tried_and_kept_or_taken_back() {
    let node = Node::new("daemon/www");
    let current = || fs::read_link(node.top().join("current")).unwrap();
    let staged = |counter| {
        let mut shelf = node.shelf();
        recover(&mut shelf).unwrap();
        node.with(&node.content(counter), |offer| {
            stage(&mut shelf, offer, Again(false))
        })
    };
    let tried = |counter| {
        let mut shelf = node.shelf();
        let trial = trial::begin(&mut shelf, staged(counter).unwrap()).unwrap();
        trial::switch(&mut shelf, &trial).unwrap();
        trial
    };
    trial::keep(&mut node.shelf(), &tried(1)).unwrap();
    assert_eq!(current(), Path::new("gen/0000000001"));
    let word = Word::new("not-ready").unwrap();
    trial::take_back(&mut node.shelf(), &tried(2), word).unwrap();
    assert_eq!(current(), Path::new("gen/0000000001"));
    let error = staged(2).unwrap_err();
    assert!(
        matches!(error, StoreError::Refused(Refusal::Failed { .. })),
        "{error}"
    );
    // The power goes while it is tried.
    tried(3);
    assert_eq!(current(), Path::new("gen/0000000003"));
    let found = recover(&mut node.shelf()).unwrap();
    assert!(
        found
            .iter()
            .any(|found| matches!(found, Finding::Interrupted(_))),
        "{found:?}"
    );
    assert_eq!(current(), Path::new("gen/0000000001"));
}

#[test]
fn a_generation_that_is_here_is_tried_only_if_it_may_be() {
    let node = Node::new("daemon/www");
    node.apply(1, false).unwrap();
    for counter in [2, 3] {
        let mut shelf = node.shelf();
        let staged = node.with(&node.content(counter), |offer| {
            stage(&mut shelf, offer, Again(false))
        });
        staged.unwrap();
    }
    let mut shelf = node.shelf();
    let word = Word::new("selftest").unwrap();
    let staged = trial::prepare(&mut shelf, 2, Again(false)).unwrap();
    trial::refuse(&mut shelf, &staged, word).unwrap();
    let program = node.top().join("gen/0000000003/tree/bin/x");
    fs::write(&program, "#?").unwrap();
    for (counter, expected) in [
        (1, "counter 1 is current already"),
        (
            2,
            "counter 2 failed here before (selftest); --again takes it all the same",
        ),
        (3, "generation 3 rejected (sha256)"),
        (4, "generation 4 is not here"),
    ] {
        let error = trial::prepare(&mut shelf, counter, Again(false)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // What nobody has judged may be tried again, and what failed when somebody says so.
    let staged = trial::prepare(&mut shelf, 2, Again(true)).unwrap();
    let tried = trial::begin(&mut shelf, staged).unwrap();
    trial::switch(&mut shelf, &tried).unwrap();
    trial::give_up(&mut shelf, &tried).unwrap();
    let current = fs::read_link(node.top().join("current")).unwrap();
    assert_eq!(current, Path::new("gen/0000000001"));
    assert!(
        recover(&mut shelf)
            .unwrap()
            .iter()
            .all(|found| matches!(found, Finding::Bad(..)))
    );
    trial::prepare(&mut shelf, 2, Again(true)).unwrap();
}

#[test]
fn a_daemon_that_is_staged_outlasts_collection_until_it_is_tried() {
    let node = Node::new("daemon/www");
    let stage = |counter| {
        let mut shelf = node.shelf();
        let staged = node.with(&node.content(counter), |offer| {
            stage(&mut shelf, offer, Again(false))
        });
        staged.unwrap()
    };
    node.apply(1, false).unwrap();
    stage(2);
    stage(4);
    let mut shelf = node.shelf();
    assert!(recover(&mut shelf).unwrap().is_empty());
    assert_eq!(collect::collect(&mut shelf).unwrap(), [2]);
    // Another one is kept meanwhile.
    let tried = trial::begin(&mut shelf, stage(3)).unwrap();
    trial::switch(&mut shelf, &tried).unwrap();
    trial::keep(&mut shelf, &tried).unwrap();
    assert_eq!(collect::collect(&mut shelf).unwrap(), []);
    assert_eq!(node.names(), ["0000000001", "0000000003", "0000000004"]);
    let staged = trial::prepare(&mut shelf, 4, Again(false)).unwrap();
    trial::refuse(&mut shelf, &staged, Word::new("user").unwrap()).unwrap();
    assert_eq!(collect::collect(&mut shelf).unwrap(), [4]);
}

const ROOT: &str = "STORE_TEST_ROOT";

/// Applies one bundle after the other until it is killed; not a test of its own.
#[test]
#[ignore = "the process that another test kills"]
fn applies_for_ever() {
    let Some(root) = env::var_os(ROOT) else {
        return;
    };
    let place: Place = "site/www".parse().unwrap();
    let mut shelf = shelf(Path::new(&root), &place, Trust::default());
    let first = shelf
        .look()
        .unwrap()
        .generations
        .last()
        .map_or(1, |last| last + 1);
    for counter in first.. {
        let files: Vec<_> = (0..20)
            .map(|at| (format!("{at}"), noise(9_000, at)))
            .collect();
        let mut files: Vec<_> = files.iter().map(|(at, bytes)| (&**at, &**bytes)).collect();
        let text = format!("version {counter}");
        files.push(("a/file", text.as_bytes()));
        files.sort_by(|a, b| wire::files::order(a.0, b.0));
        let mut content = Content::site(&files);
        content.counter = counter;
        let image = content.image();
        let approved = content.approved_by(&image, &[], &Trust::default()).unwrap();
        let mut chunks = image.feed();
        let mut offer = Offer {
            approved: &approved,
            role: content.role,
            chunks: Chunks(&mut chunks),
            resources: &RESOURCES,
        };
        let staged = stage(&mut shelf, &mut offer, Again(false)).unwrap();
        activate::activate(&mut shelf, &staged).unwrap();
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_what_recovery_puts_right() {
    let dir = TempDir::new().unwrap();
    let place: Place = "site/www".parse().unwrap();
    let mut last = 0;
    for round in 0..200_u64 {
        // A busy machine has nothing to show after so many.
        if round >= 15 && last > 0 {
            break;
        }
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "applies_for_ever", "--include-ignored"])
            .env(ROOT, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(
            40 + round * 37 % 400 + round / 15 * 200,
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut shelf = shelf(dir.path(), &place, Trust::default());
        recover(&mut shelf).unwrap();
        assert!(recover(&mut shelf).unwrap().is_empty());
        let Some(Target::Generation(current)) = shelf.look().unwrap().current else {
            assert_eq!(last, 0, "something was served before");
            continue;
        };
        assert!(current >= last, "{current} after {last}");
        shelf.verify(Target::Generation(current)).unwrap();
        let file = shelf.tree(Target::Generation(current)).join("a/file");
        assert_eq!(
            fs::read_to_string(file).unwrap(),
            format!("version {current}")
        );
        last = current;
    }
    assert!(last > 0);
}
