//! An overlay over the `/usr` of a directory, in a mount namespace of the test's own.

use super::{Usr, hidden};
use crate::children::awaited::Awaited;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use wire::files::Files;

/// Set in the run inside.
const INSIDE: &str = "SPK_VISOR_TEST_INSIDE";

/// Runs this test again in a mount namespace; returns true there, and false when that has been
/// done.
fn inside(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .env(INSIDE, "1");
    // A plain wait would lose its status to another test, which reaps everybody.
    let ran = Awaited::start(&mut command).unwrap().wait().unwrap();
    assert!(ran.success());
    false
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

struct System(TempDir);

impl System {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir.path().join("usr/bin/own"), "own");
        write(&dir.path().join("usr/bin/both"), "old");
        Self(dir)
    }

    fn usr(&self) -> Usr {
        Usr::of(self.0.path())
    }

    fn tree(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let tree = self.0.path().join(format!("var/{name}/tree"));
        for (path, text) in files {
            write(&tree.join(path), text);
        }
        tree
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.0.path().join("usr").join(path)).ok()
    }
}

#[test]
#[ignore = "needs root"]
fn packages_lie_over_usr_and_are_changed_and_taken_off() {
    if !inside("overlay::tests::packages_lie_over_usr_and_are_changed_and_taken_off") {
        return;
    }
    let system = System::new();
    let usr = system.usr();
    assert_eq!((usr.laid(), usr.own()), (None, system.0.path().join("usr")));
    let a = system.tree("a", &[("bin/a", "a"), ("bin/both", "new")]);
    let b = system.tree("b", &[("share/b/x", "b")]);
    usr.lay(&[a.clone(), b.clone()]).unwrap();
    let read = |path| system.read(path).unwrap_or_default();
    assert_eq!(
        ["bin/own", "bin/a", "share/b/x", "bin/both"].map(read),
        ["own", "a", "b", "new"]
    );
    assert!(fs::write(system.0.path().join("usr/bin/own"), "x").is_err());
    assert!(usr.own().join("bin/own").exists() && !usr.own().join("bin/a").exists());
    // Open files outlive a change.
    let open = fs::File::open(system.0.path().join("usr/bin/a")).unwrap();
    usr.lay(std::slice::from_ref(&b)).unwrap();
    assert_eq!(
        ["bin/own", "bin/a", "share/b/x", "bin/both"].map(read),
        ["own", "", "b", "old"]
    );
    assert_eq!(std::io::read_to_string(open).unwrap(), "a");
    // As many as a set may have.
    let trees: Vec<PathBuf> = (0..wire::set::MEMBERS_MAX)
        .map(|number| system.tree(&format!("n{number}"), &[(&*format!("n/{number}"), "n")]))
        .collect();
    usr.lay(&trees).unwrap();
    assert_eq!(
        [read("n/0"), read("n/127"), read("bin/own")],
        ["n", "n", "own"]
    );
    usr.lay(&[]).unwrap();
    assert_eq!([read("n/0"), read("bin/own")], ["", "own"]);
    usr.lay(&[]).unwrap();
    usr.lay(&[a]).unwrap();
    assert_eq!(read("bin/a"), "a");
    usr.lay(&[]).unwrap();
    let inner = system.0.path().join("usr/local");
    fs::create_dir(&inner).unwrap();
    rustix::mount::mount(
        "x",
        &inner,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .unwrap();
    let error = usr.lay(&[b]).unwrap_err().to_string();
    assert!(
        error.contains("usr/local is a file system of its own"),
        "{error}"
    );
}

#[test]
fn what_was_laid_is_remembered() {
    let system = System::new();
    system.usr().note_laid("set 7").unwrap();
    assert_eq!(system.usr().laid().as_deref(), Some("set 7"));
}

#[test]
fn nothing_but_a_file_may_be_hidden() {
    let system = System::new();
    let usr = system.0.path().join("usr");
    symlink("bin", usr.join("sbin")).unwrap();
    write(&usr.join("share/doc/x/y"), "");
    for (path, found) in [
        ("bin/own", None),
        ("bin/new", None),
        ("new/a/b", None),
        ("bin", Some("bin")),
        ("share/doc/x", Some("share/doc/x")),
        ("sbin/new", Some("sbin")),
        ("bin/own/a/b", Some("bin/own")),
        ("sbin", None),
    ] {
        let line = format!("{} 0 644 {path}\n", "0".repeat(64));
        let text = format!("smechvisor-files 1\n{line}end 1\n");
        let files = Files::parse(text.as_bytes()).unwrap();
        assert_eq!(hidden(&files, &usr).as_deref(), found, "{path}");
    }
}
