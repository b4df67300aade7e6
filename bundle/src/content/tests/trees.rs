//! Trees that are not as signed: each difference is found, and named in one word.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use wire::files::Files;

use super::{Place, taken};
use crate::content::tree::{TreeFault, compare};
use crate::fakes::content::Content;

type Change = fn(&Path);

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn every_difference_has_its_word() {
    let content = Content::site(&[("a/b", b"b"), ("a/c", b"c"), ("d", b"longer")]);
    let rows: &[(&str, &str, Change)] = &[
        ("sha256", "d has another SHA-256", |tree| {
            fs::write(tree.join("d"), "Longer").unwrap();
        }),
        ("size", "d has 7 bytes; expected 6", |tree| {
            fs::write(tree.join("d"), "longer!").unwrap();
        }),
        ("missing", "a/b is missing", |tree| {
            fs::remove_file(tree.join("a/b")).unwrap()
        }),
        ("missing", "d is missing", |tree| {
            fs::remove_file(tree.join("d")).unwrap()
        }),
        ("missing", "a/b is missing", |tree| {
            fs::remove_dir_all(tree.join("a")).unwrap()
        }),
        ("extra", "a/bb is not", |tree| {
            fs::write(tree.join("a/bb"), "").unwrap()
        }),
        ("extra", "e is not", |tree| {
            fs::write(tree.join("e"), "").unwrap()
        }),
        ("extra", "a/e is not", |tree| {
            fs::create_dir(tree.join("a/e")).unwrap()
        }),
        ("extra", "\\n is not", |tree| {
            fs::write(tree.join("\n"), "").unwrap()
        }),
        ("mode", "d has mode 0600", |tree| {
            mode(&tree.join("d"), 0o600)
        }),
        ("mode", "d has mode 4644", |tree| {
            mode(&tree.join("d"), 0o4644)
        }),
        ("mode", "a has mode 0777", |tree| {
            mode(&tree.join("a"), 0o777)
        }),
        ("mode", ". has mode 0700", |tree| mode(tree, 0o700)),
        ("linked", "d has 2 names", |tree| {
            fs::hard_link(tree.join("d"), tree.with_file_name("other")).unwrap();
        }),
        ("kind", "d is no regular file", |tree| {
            fs::remove_file(tree.join("d")).unwrap();
            symlink("a/b", tree.join("d")).unwrap();
        }),
        ("kind", "d is no regular file", |tree| {
            fs::remove_file(tree.join("d")).unwrap();
            fs::create_dir(tree.join("d")).unwrap();
        }),
        ("extra", "a is not in the list", |tree| {
            fs::rename(tree.join("a"), tree.with_file_name("moved")).unwrap();
            symlink("../moved", tree.join("a")).unwrap();
        }),
    ];
    for (word, shown, change) in rows {
        let place = Place::new();
        let list = taken(&content, &place).unwrap().files;
        let list = Files::parse(&list).unwrap();
        let tree = File::open(place.tree()).unwrap();
        compare(tree.as_fd(), &list).unwrap();
        change(&place.tree());
        let fault: TreeFault = compare(tree.as_fd(), &list).unwrap_err();
        let text = fault.to_string();
        assert!(text.contains(shown), "{shown}: {text}");
        assert_eq!(fault.word(), *word, "{text}");
    }
}

/// What a tree is compared with is its own list, and not that of another one.
#[test]
fn another_list_is_another_tree() {
    let (one, place) = (Content::site(&[("a", b"1"), ("b", b"2")]), Place::new());
    taken(&one, &place).unwrap();
    let tree = File::open(place.tree()).unwrap();
    for other in [
        Content::site(&[("a", b"1")]),
        Content::site(&[("a", b"2"), ("b", b"1")]),
        Content::site(&[("a", b"1"), ("b", b"2"), ("c", b"3")]),
        Content::site(&[("a", b"1"), ("b/c", b"2")]),
    ] {
        let list = Files::parse(&other.texts[0].1).unwrap();
        assert!(compare(tree.as_fd(), &list).is_err());
    }
}
