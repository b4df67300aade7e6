//! Packages of a node in a directory: installed as sets, refused where they clash, laid over its
//! `/usr` in a mount namespace of the test's own, kept, lost and taken back.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bundle::fakes::content::Content;
use content::{Told, WORKERS};
use fetch::http::client::Access;
use fetch::source::Source;
use spk_visor::cli::sets::What;
use spk_visor::command::content::error::ContentError;
use spk_visor::command::content::event::Event;
use spk_visor::command::content::places::Places;
use spk_visor::command::content::sets::change::{Install, install, remove};
use spk_visor::command::content::sets::event::{Known, SetEvent};
use spk_visor::command::content::sets::{is_sealed, list, trial};
use spk_visor::exit::Exit;
use store::stage::Again;
use wire::chain::chain;

struct Node {
    inner: content::Node,
    places: Places,
}

impl Node {
    fn new() -> Self {
        let inner = content::Node::new();
        let root = inner.dir.path();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/own"), "own").unwrap();
        let places = Places::at(root);
        Self { inner, places }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.inner.dir.path().join(path)
    }

    /// What is at a path of its `/usr`.
    fn usr(&self, path: &str) -> String {
        fs::read_to_string(self.path("usr").join(path)).unwrap_or_default()
    }

    /// A bundle file of a package whose files say which version it is.
    fn bundle(&self, name: &'static str, counter: u64, files: &[&str], needs: &[&str]) -> What {
        let text = format!("{name} {counter}");
        let files: Vec<(&str, &[u8])> = files.iter().map(|path| (*path, text.as_bytes())).collect();
        let mut package = Content::package(&files, needs);
        package.product = name;
        package.counter = counter;
        let image = package.image();
        let signature = self.inner.signer.sign(&image.manifest);
        let path = self.path(&format!("{name}-{counter}.smv"));
        fs::write(&path, self.inner.bundle(&image, &signature)).unwrap();
        What::Source(Source::Path(path))
    }

    fn install(&self, what: &[What], again: bool) -> Result<Vec<SetEvent>, ContentError> {
        self.install_from(what, None, again)
    }

    fn install_from(
        &self,
        what: &[What],
        source: Option<&Source>,
        again: bool,
    ) -> Result<Vec<SetEvent>, ContentError> {
        let how = Install {
            what,
            source,
            access: &Access::default(),
            again: Again(again),
            workers: &WORKERS,
        };
        told(|tell| install(&self.places, &how, tell))
    }

    fn remove(&self, names: &[&str]) -> Result<Vec<SetEvent>, ContentError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        told(|tell| remove(&self.places, &names, Again(false), tell))
    }

    fn known(&self) -> Vec<Known> {
        let events = told(|tell| list::list(&self.places, None, tell)).unwrap();
        let known = events.into_iter().filter_map(|event| match event {
            SetEvent::Known(known) => Some(known),
            _ => None,
        });
        known.collect()
    }

    /// Name and counter of the packages on trial.
    fn tried(&self) -> Vec<(String, u64)> {
        let known = self.known().into_iter();
        let tried = known.filter_map(|known| Some((known.name, known.tried?)));
        tried.collect()
    }

    /// The machine boots: nothing is laid, and `recover` runs.
    fn boot(&self) -> Result<Vec<SetEvent>, ContentError> {
        machine::overlay::Usr::of(self.inner.dir.path())
            .lay(&[])
            .unwrap();
        let _ = fs::remove_file(self.path("run/smv/set/laid"));
        told(|tell| trial::recover(&self.places, &WORKERS, tell))
    }

    fn keep(&self) -> Result<Vec<SetEvent>, ContentError> {
        told(|tell| trial::keep(&self.places, tell))
    }

    fn now(&self) -> Result<Vec<SetEvent>, ContentError> {
        told(|tell| trial::activate(&self.places, true, Again(false), &WORKERS, tell))
    }
}

fn told(
    work: impl FnOnce(&mut Told) -> Result<(), ContentError>,
) -> Result<Vec<SetEvent>, ContentError> {
    let mut told = Told::default();
    work(&mut told)?;
    let events = told.0.into_iter().filter_map(|event| match event {
        Event::Set(event) => Some(event),
        _ => None,
    });
    Ok(events.collect())
}

fn refused(done: Result<Vec<SetEvent>, ContentError>, exit: Exit, words: &[&str]) {
    let error = done.unwrap_err();
    let text = chain(&error).to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} in {text}");
    }
    assert_eq!(Exit::from(&error), exit, "{text}");
}

#[test]
fn packages_are_installed_and_removed_as_sets() {
    let node = Node::new();
    let tool = node.bundle("tool", 7, &["bin/tool"], &["needs lib 2"]);
    let wanted = ["tool needs lib with counter 2 or higher, which is not there"];
    refused(
        node.install(std::slice::from_ref(&tool), false),
        Exit::Packages,
        &wanted,
    );
    let old = node.bundle("lib", 1, &["lib/lib"], &[]);
    let wanted = ["tool needs lib with counter 2 or higher; it has counter 1"];
    refused(
        node.install(&[tool.clone(), old], false),
        Exit::Packages,
        &wanted,
    );
    let lib = node.bundle("lib", 2, &["lib/lib"], &[]);
    let events = node.install(&[tool.clone(), lib.clone()], false).unwrap();
    let members = vec![("lib".to_owned(), 2), ("tool".to_owned(), 7)];
    let made = SetEvent::Made {
        number: 1,
        members: members.clone(),
    };
    assert_eq!(events, [made, SetEvent::Armed { number: 1 }]);
    assert_eq!(node.tried(), members);
    refused(
        node.install(&[lib], false),
        Exit::Current,
        &["set 1 has just these packages"],
    );
    refused(node.remove(&["lib"]), Exit::Packages, &["tool needs lib"]);
    refused(node.remove(&["none"]), Exit::Usage, &["no package none"]);
    node.remove(&["tool"]).unwrap();
    assert_eq!(node.tried(), [("lib".to_owned(), 2)]);
    // The package that no set names is gone, and the set before, too.
    let store = node.path("var/lib/smv");
    assert_eq!(
        fs::read_dir(store.join("store/tool/gen")).unwrap().count(),
        0
    );
    let sets = fs::read_dir(store.join("set/gen")).unwrap();
    let names: Vec<_> = sets.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["0000000002"]);
}

#[test]
fn what_cannot_be_together_is_refused_with_its_path() {
    let node = Node::new();
    let a = node.bundle("a", 1, &["bin/x", "share/a"], &[]);
    node.install(&[a], false).unwrap();
    let b = node.bundle("b", 1, &["bin/x"], &[]);
    let wanted = ["the packages a and b both have bin/x"];
    refused(node.install(&[b], false), Exit::Packages, &wanted);
    let c = node.bundle("c", 1, &["share/a/b"], &[]);
    let wanted = ["the package a has a file share/a, where c has a directory"];
    refused(node.install(&[c], false), Exit::Packages, &wanted);
    // Nothing of the system but files is hidden.
    let d = node.bundle("d", 1, &["bin"], &[]);
    refused(
        node.install(&[d], false),
        Exit::Packages,
        &["hide /usr/bin"],
    );
    let e = node.bundle("e", 1, &["bin/own/e"], &[]);
    refused(
        node.install(&[e], false),
        Exit::Packages,
        &["hide /usr/bin/own"],
    );
    let f = node.bundle("f", 1, &["bin/own"], &[]);
    node.install(&[f], false).unwrap();
    let site = Content::site(&[("a", b"a")]);
    let image = site.image();
    let signature = node.inner.signer.sign(&image.manifest);
    let path = node.path("site.smv");
    fs::write(&path, node.inner.bundle(&image, &signature)).unwrap();
    let site = What::Source(Source::Path(path));
    refused(
        node.install(&[site], false),
        Exit::Packages,
        &["role site for \"www\""],
    );
}

#[test]
fn a_package_that_nobody_trusted_has_signed_is_not_taken() {
    let node = Node::new();
    let other = content::Node::new();
    let mut package = Content::package(&[("bin/x", b"x")], &[]);
    package.product = "x";
    let image = package.image();
    let path = node.path("x.smv");
    let what = [What::Source(Source::Path(path.clone()))];
    for signature in [other.signer.sign(&image.manifest), Vec::new()] {
        fs::write(&path, node.inner.bundle(&image, &signature)).unwrap();
        refused(node.install(&what, false), Exit::Packages, &["not taken"]);
    }
    assert_eq!(node.known(), []);
}

#[test]
fn a_node_with_slots_is_sealed() {
    let node = Node::new();
    assert!(!is_sealed(&node.places));
    fs::create_dir_all(node.path("run/smv")).unwrap();
    fs::write(node.path("run/smv/boot"), "").unwrap();
    assert!(is_sealed(&node.places));
    let words = ["package install", "entire-system-upgrade"];
    refused(Err(ContentError::Sealed), Exit::Unavailable, &words);
}

#[test]
fn names_are_looked_up_where_the_node_has_its_packages() {
    let node = Node::new();
    let name = [What::Name("tool".into())];
    refused(node.install(&name, false), Exit::Usage, &["store"]);
    node.bundle("tool", 7, &["bin/tool"], &[]);
    let dir = node.path("published");
    fs::create_dir(&dir).unwrap();
    fs::rename(node.path("tool-7.smv"), dir.join("tool.smv")).unwrap();
    let channel = "smechvisor-channel 1\nsite www 3 www.smv\nstore tool 7 tool.smv\nend\n";
    fs::write(
        dir.join("CHANNEL"),
        channel.replace("site www 3 www.smv\n", ""),
    )
    .unwrap();
    fs::create_dir_all(node.path("etc/smechvisor")).unwrap();
    let line = format!("store {}\n", dir.display());
    fs::write(node.path("etc/smechvisor/source"), line).unwrap();
    let access = Access::default();
    let nothing = told(|tell| list::list(&node.places, None, tell)).unwrap();
    assert_eq!(nothing, [SetEvent::NoneKnown]);
    let events = told(|tell| list::list(&node.places, Some((None, &access)), tell)).unwrap();
    let known = Known {
        name: "tool".into(),
        available: Some(7),
        ..Known::default()
    };
    assert_eq!(events, [SetEvent::Known(known)]);
    node.install(&name, false).unwrap();
    assert_eq!(node.tried(), [("tool".to_owned(), 7)]);
    let source = Source::Path(dir);
    let other = [What::Name("other".into())];
    refused(
        node.install_from(&other, Some(&source), false),
        Exit::Packages,
        &["other"],
    );
}

/// Runs this test again in a mount namespace; returns true there, and false when that is done.
fn inside(test: &str) -> bool {
    const INSIDE: &str = "SPK_VISOR_TEST_INSIDE";
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let ran = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(ran.success());
    false
}

#[test]
#[ignore = "needs root"]
fn a_set_is_tried_by_three_boots_and_kept_by_a_healthy_one() {
    if !inside("a_set_is_tried_by_three_boots_and_kept_by_a_healthy_one") {
        return;
    }
    let node = Node::new();
    let one = node.bundle("tool", 1, &["bin/tool"], &[]);
    node.install(&[one], false).unwrap();
    assert_eq!(node.usr("bin/tool"), "");
    let events = node.boot().unwrap();
    assert_eq!(events[0], SetEvent::Tried { number: 1, left: 2 });
    assert_eq!(
        (node.usr("bin/tool"), node.usr("bin/own")),
        ("tool 1".into(), "own".into())
    );
    // A second recover in the same boot counts nothing.
    assert_eq!(
        told(|tell| trial::recover(&node.places, &WORKERS, tell)).unwrap(),
        []
    );
    let two = node.bundle("tool", 2, &["bin/tool"], &[]);
    let busy = node.install(std::slice::from_ref(&two), false);
    refused(busy, Exit::NotNow, &["counter 1 is being tried"]);
    assert_eq!(node.keep().unwrap(), [SetEvent::Kept { number: 1 }]);
    assert_eq!(trial::tried(&node.places).unwrap(), None);
    // The next one is never kept.
    node.install(std::slice::from_ref(&two), false).unwrap();
    for left in [2, 1, 0] {
        let events = node.boot().unwrap();
        assert_eq!(events[0], SetEvent::Tried { number: 2, left });
        assert_eq!(node.usr("bin/tool"), "tool 2");
    }
    let events = node.boot().unwrap();
    let word = "not-kept".to_owned();
    assert_eq!(events[0], SetEvent::TakenBack { number: 2, word });
    assert_eq!(node.usr("bin/tool"), "tool 1");
    refused(
        node.install(std::slice::from_ref(&two), false),
        Exit::NotNow,
        &["failed here before"],
    );
    // A person wants it at once.
    node.install(&[two], true).unwrap();
    node.now().unwrap();
    // A boot counts itself once, however often it is asked.
    let again = node.now().unwrap();
    assert!(
        matches!(again[..], [SetEvent::Tried { left: 2, .. }]),
        "{again:?}"
    );
    assert_eq!(node.usr("bin/tool"), "tool 2");
    node.keep().unwrap();
    // Older ones are not taken any more.
    let one = node.bundle("tool", 1, &["bin/tool"], &[]);
    refused(
        node.install(&[one], false),
        Exit::Packages,
        &["takes none below 2"],
    );
    // Back to what was kept before.
    told(|tell| trial::rollback(&node.places, tell)).unwrap();
    assert_eq!(node.usr("bin/tool"), "tool 2");
    node.now().unwrap();
    assert_eq!(node.usr("bin/tool"), "tool 1");
    // Without packages there is nothing over /usr.
    node.remove(&["tool"]).unwrap();
    node.now().unwrap();
    assert_eq!(
        (node.usr("bin/tool"), node.usr("bin/own")),
        (String::new(), "own".into())
    );
    node.keep().unwrap();
}

#[test]
#[ignore = "needs root"]
fn a_damaged_package_takes_its_set_back() {
    if !inside("a_damaged_package_takes_its_set_back") {
        return;
    }
    let node = Node::new();
    for counter in [1, 2] {
        let what = node.bundle("tool", counter, &["bin/tool"], &[]);
        node.install(&[what], false).unwrap();
        node.now().unwrap();
        node.keep().unwrap();
    }
    let file = "var/lib/smv/store/tool/gen/0000000002/tree/bin/tool";
    fs::write(node.path(file), "tool 3").unwrap();
    let events = node.boot().unwrap();
    let is_rejected = |event: &SetEvent| {
        matches!(event, SetEvent::Rejected { number: 2, word: "sha256", reason }
            if reason.contains("the package tool, counter 2"))
    };
    assert!(events.iter().any(is_rejected), "{events:?}");
    assert_eq!(node.usr("bin/tool"), "tool 1");
    // The same on trial: the boot that finds it takes it back.
    let what = node.bundle("tool", 4, &["bin/tool"], &[]);
    node.install(&[what], false).unwrap();
    let file = "var/lib/smv/store/tool/gen/0000000004/tree/bin/tool";
    fs::write(node.path(file), "tool 5").unwrap();
    let events = node.boot().unwrap();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, SetEvent::TakenBack { word, .. }
        if word == "sha256")),
        "{events:?}"
    );
    assert_eq!(node.usr("bin/tool"), "tool 1");
}

#[test]
#[ignore = "needs root"]
fn a_package_on_a_disk_of_its_own_is_found_at_boot() {
    if !inside("a_package_on_a_disk_of_its_own_is_found_at_boot") {
        return;
    }
    let node = Node::new();
    let attach = |name: &str, what: &What| {
        let What::Source(Source::Path(path)) = what else {
            panic!("not a file");
        };
        fs::create_dir_all(node.path("sys/class/block").join(name)).unwrap();
        fs::create_dir_all(node.path("dev")).unwrap();
        fs::copy(path, node.path("dev").join(name)).unwrap();
    };
    assert_eq!(node.boot().unwrap(), []);
    assert!(!node.path("var/lib/smv/set").exists());
    attach("vdb", &node.bundle("tool", 1, &["bin/tool"], &[]));
    // A disk with something else, and one whose package nobody trusted has signed.
    fs::create_dir_all(node.path("sys/class/block/vdc")).unwrap();
    fs::write(node.path("dev/vdc"), vec![7; 1 << 16]).unwrap();
    let other = Node::new();
    attach("vdd", &other.bundle("other", 1, &["bin/other"], &[]));
    let events = node.boot().unwrap();
    let is_said = |event: &SetEvent| matches!(event, SetEvent::Recovered { what: "disk-not-taken", text } if text.contains("vdd"));
    assert!(events.iter().any(is_said), "{events:?}");
    assert_eq!(node.usr("bin/tool"), "tool 1");
    node.keep().unwrap();
    // It stays when the disk is gone, and an older one changes nothing.
    fs::remove_file(node.path("dev/vdb")).unwrap();
    node.boot().unwrap();
    assert_eq!(node.usr("bin/tool"), "tool 1");
    attach("vdb", &node.bundle("tool", 2, &["bin/tool"], &[]));
    node.boot().unwrap();
    assert_eq!(node.usr("bin/tool"), "tool 2");
    // What no boot keeps is not taken from the disk again.
    for _ in 0..3 {
        node.boot().unwrap();
    }
    assert_eq!(node.usr("bin/tool"), "tool 1");
    node.boot().unwrap();
    assert_eq!(node.usr("bin/tool"), "tool 1");
    told(|tell| trial::recover(&node.places, &WORKERS, tell)).unwrap();
}
