//! Honest bundles are taken whole, and every kind of dishonest one is refused with nothing made
//! outside: the corpus is in [`malicious`].

mod malicious;
mod trees;

use std::fs::{self, DirBuilder, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wire::chain::chain;
use wire::manifest::Role;

use super::{ContentError, Taken, take};
use crate::fakes::archive::{dir, symlink, tar};
use crate::fakes::content::{Content, line, list, member};
use crate::fakes::image::Signer;
use crate::trust::Trust;
use crate::unpack_pipeline::Resources;
use crate::worker::threads::Threads;

const RESOURCES: Resources = Resources {
    memory_bytes: 64 << 20,
    threads: 1,
    workers: &Threads,
};

/// An empty tree, with something beside it that must stay as it is.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("victim"), "as it was").unwrap();
        let tree = dir.path().join("tree");
        DirBuilder::new().mode(0o755).create(&tree).unwrap();
        fs::set_permissions(&tree, PermissionsExt::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    /// Nothing but what was there.
    fn is_untouched(&self) -> bool {
        let names = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let victim = self.dir.path().join("victim");
        names == ["tree", "victim"]
            && fs::symlink_metadata(&victim).unwrap().is_file()
            && fs::read_to_string(victim).unwrap() == "as it was"
    }
}

/// Into this place, unsigned as far as nothing else is said.
fn taken(content: &Content, place: &Place) -> Result<Taken, ContentError> {
    let image = content.image();
    let approved = content.approved_by(&image, &[], &Trust::default()).unwrap();
    let tree = File::open(place.tree()).unwrap();
    take(
        &approved,
        content.role,
        image.feed(),
        tree.as_fd(),
        &RESOURCES,
    )
}

fn read(place: &Place, path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(place.tree().join(path)).unwrap()
}

#[test]
fn a_site_is_taken_whole() {
    let large = crate::fakes::image::noise(300_000, 7);
    let content = Content::site(&[
        ("a/b/page.html", b"<p>"),
        ("a/empty", b""),
        ("large", &large),
        ("ü with blanks", b"x"),
    ]);
    let place = Place::new();
    let found = taken(&content, &place).unwrap();
    assert_eq!((&found.files, found.service), (&content.texts[0].1, None));
    assert_eq!(read(&place, "a/b/page.html"), b"<p>");
    assert_eq!(read(&place, "a/empty"), b"");
    assert_eq!(read(&place, "large"), large);
    assert_eq!(read(&place, "ü with blanks"), b"x");
    assert!(place.is_untouched());
}

#[test]
fn a_signed_daemon_has_its_service() {
    let content = Content::daemon();
    let (place, signer) = (Place::new(), Signer::new());
    let image = content.image();
    let approved = content.approved(&image, &signer).unwrap();
    let tree = File::open(place.tree()).unwrap();
    let found = take(
        &approved,
        Role::Daemon,
        image.feed(),
        tree.as_fd(),
        &RESOURCES,
    )
    .unwrap();
    assert_eq!(found.service, Some(content.texts[1].1.clone()));
    let mode = fs::metadata(place.tree().join("bin/x"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o7777, 0o755);
}

#[test]
fn a_package_may_have_links_that_stay_inside() {
    let mut content = Content::package(&[("lib/a", b"a")], &[]);
    content.texts[0].1 = list(&[
        line("bin/a", "link", b"../lib/a"),
        line("lib/a", "644", b"a"),
        line("lib/b", "link", b"a"),
    ]);
    content.tar = tar(&[
        dir("./"),
        dir("bin/"),
        symlink("bin/a", "../lib/a"),
        dir("lib/"),
        member("lib/a", b"a"),
        symlink("lib/b", "a"),
    ]);
    let place = Place::new();
    taken(&content, &place).unwrap();
    assert_eq!(read(&place, "bin/a"), b"a");
    // The same bundle as a site.
    content.role = Role::Site;
    let error = taken(&content, &Place::new()).unwrap_err();
    let text = chain(&error).to_string();
    assert!(text.contains("which only packages may have"), "{text}");
}

#[test]
fn directories_may_come_late_or_not_at_all() {
    let mut content = Content::site(&[("a/b/c", b"x")]);
    content.tar = tar(&[member("a/b/c", b"x"), dir("a/"), dir("a/b/")]);
    taken(&content, &Place::new()).unwrap();
    content.tar = tar(&[member("a/b/c", b"x")]);
    taken(&content, &Place::new()).unwrap();
}

#[test]
fn a_system_is_no_content() {
    let mut content = Content::site(&[("a", b"a")]);
    content.role = Role::Os;
    let error = taken(&content, &Place::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a bundle of role os has no content to unpack"
    );
}
