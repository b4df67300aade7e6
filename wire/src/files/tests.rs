//! Golden text both ways, every truncation, every changed byte, every rule of `bundles.md` 2 broken
//! once.

use super::{DEPTH_MAX, FIRST_LINE, Files, Kind, PATH_MAX, is_in, order, path};
use crate::chain::chain;
extern crate std;
use core::cmp::Ordering;
use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/files.txt");
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn written(files: &Files<'_>) -> String {
    let lines: String = files.lines().map(|line| format!("{line}\n")).collect();
    format!("{FIRST_LINE}\n{lines}end {}\n", files.count())
}

fn refused(text: &str) -> String {
    chain(&Files::parse(text.as_bytes()).expect_err(text)).to_string()
}

fn listing(paths: &[&str]) -> String {
    let lines: String = paths
        .iter()
        .map(|path| format!("{EMPTY} 0 644 {path}\n"))
        .collect();
    format!("{FIRST_LINE}\n{lines}end {}\n", paths.len())
}

#[test]
fn golden_list_is_read_and_written() {
    let files = Files::parse(GOLDEN.as_bytes()).unwrap();
    assert_eq!((files.count(), files.size_bytes()), (5, 4 + 9 + 3 + 3));
    assert!(files.has_links());
    let lines: Vec<_> = files.lines().collect();
    let paths: Vec<_> = lines.iter().map(|line| line.path).collect();
    assert_eq!(
        paths,
        [
            "a/b/index.html",
            "a/c",
            "a-b",
            "a.link",
            "ä name with blanks"
        ]
    );
    let kinds: Vec<_> = lines.iter().map(|line| line.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Plain,
            Kind::Plain,
            Kind::Program,
            Kind::Link,
            Kind::Plain
        ]
    );
    assert_eq!((lines[1].sha256[0], lines[1].sha256[31]), (0xe3, 0x55));
    assert_eq!(written(&files), GOLDEN);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        assert!(Files::parse(&GOLDEN.as_bytes()[..len]).is_err(), "{len}");
    }
}

/// What is taken all the same says something else, and is the one way to say it.
#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let golden = Files::parse(GOLDEN.as_bytes()).unwrap();
    for at in 0..GOLDEN.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = Vec::from(GOLDEN);
            bytes[at] = byte;
            if byte == GOLDEN.as_bytes()[at] {
                continue;
            }
            if let Ok(files) = Files::parse(&bytes) {
                assert!(!files.lines().eq(golden.lines()), "byte {at}: {byte}");
                assert_eq!(files.lines().count(), files.count());
                assert_eq!(written(&files).as_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wrong_line_says_what_is_wrong() {
    for (from, to, shown) in [
        ("files 1", "files 2", "reading line 1 of the list of files"),
        ("4 644 a/b", "04 644 a/b", "SHA256 SIZE"),
        ("4 644 a/b", "4 0644 a/b", "SHA256 SIZE"),
        ("4 644 a/b", "4 4755 a/b", "SHA256 SIZE"),
        ("4 644 a/b", "4 644 /a/b", "SHA256 SIZE"),
        ("4 644 a/b", "4 644 a/../b", "SHA256 SIZE"),
        ("4 644 a/b", "4 644 a/./b", "SHA256 SIZE"),
        ("4 644 a/b", "4 644 a//b", "SHA256 SIZE"),
        ("4 644 a/b", "1099511627777 644 a/b", "SHA256 SIZE"),
        ("a/b/index.html", "a/b/index\u{7f}html", "SHA256 SIZE"),
        ("a/b/index.html", "a/b/index\u{85}html", "SHA256 SIZE"),
        ("a/b/index.html", "a/d", "behind the path"),
        ("a/b/index.html", "a/c", "behind the path"),
        ("end 5", "end 4", "the number of the lines above"),
        ("end 5", "end 05", "the number of the lines above"),
        ("end 5\n", "end 5\n\n", "1 bytes follow its end"),
    ] {
        assert!(GOLDEN.contains(from), "{from}");
        let text = refused(&GOLDEN.replacen(from, to, 1));
        assert!(text.contains(shown), "{to}: {text}");
    }
    let none = format!("{FIRST_LINE}\nend 0\n");
    assert!(refused(&none).contains("at least 1"));
}

#[test]
fn no_file_lies_in_a_file() {
    let text = refused(&listing(&["a", "a/b"]));
    assert!(text.contains("beside the file"), "{text}");
    // Between them in the order of bytes; not in that of a walk.
    assert!(refused(&listing(&["a", "a-b", "a/b"])).contains("behind the path"));
    assert!(Files::parse(listing(&["a/b", "a-b"]).as_bytes()).is_ok());
    assert_eq!(order("a/b", "a-b"), Ordering::Less);
    assert!(is_in("a/b", "a") && !is_in("a-b", "a") && !is_in("a", "a"));
}

#[test]
fn limits_of_paths_are_exact() {
    let long = |len: usize| vec![b'x'; len];
    assert!(path(&long(255)).is_some() && path(&long(256)).is_none());
    let deep = |count: usize| vec!["d"; count].join("/");
    assert!(path(deep(DEPTH_MAX).as_bytes()).is_some());
    assert!(path(deep(DEPTH_MAX + 1).as_bytes()).is_none());
    let wide = |len: usize| -> Vec<u8> {
        let component = [long(200), b"/".to_vec()].concat();
        component.into_iter().cycle().take(len).collect()
    };
    assert!(path(&wide(PATH_MAX)).is_some() && path(&wide(PATH_MAX + 1)).is_none());
    for bad in [
        "", "/", "a/", "/a", ".", "..", "a/..", "a\nb", "a\0b", "a\tb",
    ] {
        assert_eq!(path(bad.as_bytes()), None, "{bad:?}");
    }
    assert_eq!(path(b"\xff"), None);
    assert_eq!(path("…/ü b".as_bytes()), Some("…/ü b"));
}
