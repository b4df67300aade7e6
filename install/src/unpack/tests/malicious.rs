//! Archives that must be refused, each with the reason and the entry it must name.

use std::fs;

use super::super::{Refusal, UnpackError, check};
use super::maker::{Head, dir, file, hard_link, long, pax, pax_global, record, symlink, tar};
use super::{Fenced, OneByte, limits};

struct Case {
    what: &'static str,
    tar: Vec<u8>,
    /// Part of the path in the error.
    names: &'static str,
    /// Part of the reason.
    reason: &'static str,
}

fn case(what: &'static str, parts: &[Vec<u8>], names: &'static str, reason: &'static str) -> Case {
    Case {
        what,
        tar: tar(parts),
        names,
        reason,
    }
}

fn cut(what: &'static str, tar: Vec<u8>, names: &'static str, reason: &'static str) -> Case {
    Case {
        what,
        tar,
        names,
        reason,
    }
}

fn paths() -> Vec<Case> {
    let deep = vec!["d"; 65].join("/");
    let wide = "w".repeat(256);
    let long_path = "p/".repeat(2048) + "end";
    vec![
        case(
            "absolute",
            &[file("/etc/passwd")],
            "/etc/passwd",
            "absolute",
        ),
        case(
            "absolute, two slashes",
            &[file("//etc/passwd")],
            "//etc/passwd",
            "absolute",
        ),
        case("absolute directory", &[dir("/tmp")], "/tmp", "absolute"),
        case(
            "absolute fifo",
            &[Head::new(b'6', "/f").bytes()],
            "/f",
            "absolute",
        ),
        case(
            "absolute by prefix",
            &[Head::new(b'0', "x").prefix("/etc").with(b"")],
            "/etc/x",
            "absolute",
        ),
        case(
            "absolute by pax",
            &[pax(&[record("path", "/etc/x")]), file("x")],
            "/etc/x",
            "absolute",
        ),
        case(
            "absolute by long name",
            &[long(b'L', "/etc/x"), file("x")],
            "/etc/x",
            "absolute",
        ),
        case("parent", &[file("../canary")], "../canary", ".."),
        case(
            "parent in the middle",
            &[file("a/../../canary")],
            "a/../../canary",
            "..",
        ),
        case("parent at the end", &[dir("a/..")], "a/..", ".."),
        case(
            "parent that stays inside",
            &[file("a/../b")],
            "a/../b",
            "..",
        ),
        case(
            "parent behind dot",
            &[file("./../canary")],
            "./../canary",
            "..",
        ),
        case(
            "parent by prefix",
            &[Head::new(b'0', "canary").prefix("..").with(b"")],
            "../canary",
            "..",
        ),
        case(
            "parent by pax",
            &[pax(&[record("path", "../canary")]), file("x")],
            "../canary",
            "..",
        ),
        case(
            "parent by long name",
            &[long(b'L', "../canary"), file("x")],
            "../canary",
            "..",
        ),
        case("parent as symlink", &[symlink("../l", "x")], "../l", ".."),
        case(
            "parent as directory",
            &[dir("../outside/d")],
            "../outside/d",
            "..",
        ),
        case("empty", &[file("")], "\"\"", "empty"),
        case(
            "empty by pax",
            &[pax(&[record("path", "")]), file("x")],
            "\"\"",
            "empty",
        ),
        case(
            "empty by long name",
            &[long(b'L', ""), file("x")],
            "\"\"",
            "empty",
        ),
        case(
            "nul by pax",
            &[pax(&[record("path", b"a\0b")]), file("x")],
            "a\\x00b",
            "NUL",
        ),
        case(
            "nul by long name",
            &[long(b'L', b"a\0b"), file("x")],
            "a\\x00b",
            "NUL",
        ),
        case(
            "nul in the header",
            &[Head::new(b'0', b"a\0b").with(b"")],
            "\"a\"",
            "NUL",
        ),
        case(
            "long component",
            &[pax(&[record("path", &wide)]), file("x")],
            "wwww",
            "256 bytes",
        ),
        case(
            "long component, GNU",
            &[long(b'L', &wide), file("x")],
            "wwww",
            "256 bytes",
        ),
        case(
            "long path",
            &[pax(&[record("path", &long_path)]), file("x")],
            "p/p/",
            "4099 bytes",
        ),
        case(
            "deep",
            &[pax(&[record("path", &deep)]), file("x")],
            "d/d/",
            "65 components",
        ),
        case("file with a slash", &[file("a/")], "a/", "named like one"),
        case("file as the root", &[file("./")], "./", "named like one"),
        case(
            "symlink as the root",
            &[symlink(".", "/")],
            ".",
            "named like one",
        ),
    ]
}

fn links() -> Vec<Case> {
    vec![
        case(
            "through own link out",
            &[symlink("l", "../outside"), file("l/canary")],
            "l/canary",
            "\"l\"",
        ),
        case(
            "through own absolute link",
            &[symlink("l", "/"), file("l/etc/x")],
            "l/etc/x",
            "\"l\"",
        ),
        case(
            "through own inner link",
            &[dir("d"), symlink("l", "d"), file("l/x")],
            "l/x",
            "\"l\"",
        ),
        case(
            "through own link, deep",
            &[symlink("a/l", ".."), file("a/l/l/x")],
            "a/l/l/x",
            "\"a/l\"",
        ),
        case(
            "directory through own link",
            &[symlink("l", "/tmp"), dir("l/d")],
            "l/d",
            "\"l\"",
        ),
        case(
            "link through own link",
            &[symlink("l", "/tmp"), symlink("l/m", "x")],
            "l/m",
            "\"l\"",
        ),
        case(
            "own link replaced by a directory",
            &[symlink("l", "/tmp"), dir("l/")],
            "l",
            "twice",
        ),
        case(
            "own link written through",
            &[symlink("l", "../canary"), file("l")],
            "l",
            "twice",
        ),
        case(
            "hard link written through",
            &[file("a"), hard_link("b", "a"), file("b")],
            "b",
            "twice",
        ),
        case(
            "hard link out",
            &[hard_link("h", "../canary")],
            "\"h\"",
            "..",
        ),
        case(
            "hard link to absolute",
            &[hard_link("h", "/etc/passwd")],
            "\"h\"",
            "absolute",
        ),
        case(
            "hard link to nothing",
            &[hard_link("h", "")],
            "\"h\"",
            "empty",
        ),
        case(
            "hard link to the root",
            &[hard_link("h", ".")],
            "\"h\"",
            "root directory",
        ),
        case(
            "hard link out by pax",
            &[pax(&[record("linkpath", "../canary")]), hard_link("h", "a")],
            "\"h\"",
            "..",
        ),
        case(
            "hard link out by long link",
            &[long(b'K', "../canary"), hard_link("h", "a")],
            "\"h\"",
            "..",
        ),
        case(
            "hard link with contents",
            &[file("a"), Head::new(b'1', "h").link("a").with(b"x")],
            "\"h\"",
            "contents",
        ),
        case("symlink to nothing", &[symlink("s", "")], "\"s\"", "empty"),
        case(
            "symlink with nul",
            &[pax(&[record("linkpath", b"a\0b")]), symlink("s", "a")],
            "\"s\"",
            "NUL",
        ),
        case(
            "symlink too long",
            &[
                pax(&[record("linkpath", "t".repeat(4096))]),
                symlink("s", "a"),
            ],
            "\"s\"",
            "4096",
        ),
        case(
            "symlink with contents",
            &[Head::new(b'2', "s").link("a").with(b"x")],
            "\"s\"",
            "contents",
        ),
        case("a file twice", &[file("a"), file("a")], "\"a\"", "twice"),
        case(
            "a file twice, spelt differently",
            &[file("a/b"), file("./a//b")],
            "./a//b",
            "twice",
        ),
        case(
            "a directory twice",
            &[dir("d/"), dir("d")],
            "\"d\"",
            "twice",
        ),
        case(
            "file over own directory",
            &[dir("d"), file("d")],
            "\"d\"",
            "twice",
        ),
        case(
            "file over implied directory",
            &[file("d/f"), file("d")],
            "\"d\"",
            "directory of this name",
        ),
        case(
            "symlink over implied directory",
            &[file("d/f"), symlink("d", "/")],
            "\"d\"",
            "directory of this name",
        ),
    ]
}

fn extensions() -> Vec<Case> {
    let size = |size: &str| pax(&[record("size", size)]);
    vec![
        case(
            "pax size larger",
            &[size("1024"), file("a")],
            "\"a\"",
            "says 7 bytes, its extended header 1024",
        ),
        case(
            "pax size smaller",
            &[size("0"), file("a")],
            "\"a\"",
            "says 7 bytes",
        ),
        case(
            "pax size over an empty file",
            &[size("512"), Head::new(b'0', "a").with(b"")],
            "\"a\"",
            "512",
        ),
        case(
            "pax size huge",
            &[
                size("18446744073709551615"),
                Head::new(b'0', "a").size(7).bytes(),
            ],
            "\"a\"",
            "says 7",
        ),
        case(
            "pax size no number",
            &[size("7x"), file("a")],
            "PaxHeaders",
            "size",
        ),
        case(
            "pax size negative",
            &[size("-7"), file("a")],
            "PaxHeaders",
            "size",
        ),
        case(
            "pax size before a long name",
            &[size("7"), long(b'L', "b"), file("a")],
            "PaxHeaders",
            "exclude",
        ),
        case(
            "long name before pax",
            &[long(b'L', "b"), size("7"), file("a")],
            "\"b\"",
            "exclude",
        ),
        case(
            "two pax headers",
            &[size("7"), size("7"), file("a")],
            "PaxHeaders",
            "exclude",
        ),
        case(
            "two long names",
            &[long(b'L', "b"), long(b'L', "c"), file("a")],
            "\"b\"",
            "exclude",
        ),
        case(
            "two long links",
            &[long(b'K', "b"), long(b'K', "c"), symlink("a", "b")],
            "LongLink",
            "exclude",
        ),
        case(
            "global inside",
            &[size("7"), pax_global(&[record("comment", "x")]), file("a")],
            "PaxHeaders",
            "exclude",
        ),
        case(
            "two paths",
            &[
                pax(&[record("path", "b"), record("path", "../c")]),
                file("a"),
            ],
            "PaxHeaders",
            "\"path\" twice",
        ),
        case(
            "global path",
            &[pax_global(&[record("path", "../c")]), file("a")],
            "PaxHeaders",
            "\"path\"",
        ),
        case(
            "global size",
            &[pax_global(&[record("size", "1")]), file("a")],
            "PaxHeaders",
            "\"size\"",
        ),
        case(
            "malformed record",
            &[Head::new(b'x', "x").with(b"99 path=a\n"), file("a")],
            "\"x\"",
            "malformed at byte 0",
        ),
        case(
            "record without newline",
            &[Head::new(b'x', "x").with(b"9 path=ab"), file("a")],
            "\"x\"",
            "malformed",
        ),
        case(
            "record of length 0",
            &[Head::new(b'x', "x").with(b"0 path=a\n"), file("a")],
            "\"x\"",
            "malformed",
        ),
        case(
            "record of huge length",
            &[
                Head::new(b'x', "x").with(b"99999999999999999999 a=\n"),
                file("a"),
            ],
            "\"x\"",
            "malformed",
        ),
        case(
            "unknown keyword",
            &[pax(&[record("SCHILY.acl.access", "u::rwx")]), file("a")],
            "PaxHeaders",
            "SCHILY.acl",
        ),
        case(
            "sparse by pax",
            &[pax(&[record("GNU.sparse.major", "1")]), file("a")],
            "PaxHeaders",
            "sparse",
        ),
        case(
            "sparse by GNU",
            &[Head::new(b'S', "a").gnu().bytes()],
            "\"a\"",
            "sparse",
        ),
        case(
            "pax header of 1 GiB",
            &[Head::new(b'x', "x").size(1 << 30).bytes()],
            "\"x\"",
            "too long",
        ),
        case(
            "long name of 1 GiB",
            &[Head::new(b'L', "x").gnu().size(1 << 30).bytes()],
            "\"x\"",
            "too long",
        ),
        case("nothing behind pax", &[size("7")], "PaxHeaders", "no entry"),
        case(
            "nothing behind a long name",
            &[long(b'L', "b")],
            "\"b\"",
            "no entry",
        ),
        case(
            "xattr twice",
            &[
                pax(&[
                    record("SCHILY.xattr.user.a", "1"),
                    record("SCHILY.xattr.user.a", "2"),
                ]),
                file("a"),
            ],
            "PaxHeaders",
            "twice",
        ),
        case(
            "xattr name with nul",
            &[pax(&[record("SCHILY.xattr.user.a\0b", "1")]), file("a")],
            "PaxHeaders",
            "user.a",
        ),
        case(
            "xattr under libarchive's name only",
            &[pax(&[record("LIBARCHIVE.xattr.user.a", "MQ")]), file("a")],
            "PaxHeaders",
            "LIBARCHIVE",
        ),
    ]
}

fn headers() -> Vec<Case> {
    let whole = [file("first"), file("second")].concat();
    let v7 = Head::new(b'0', "old").put(257, &[0; 8]);
    let base256 = |at: usize, len: usize| {
        Head::new(b'0', "a")
            .put(at, &[&[0x80][..], &vec![0xff; len - 1]].concat())
            .bytes()
    };
    let letters = Head::new(b'0', "a").put(124, b"0000000000z\0");
    vec![
        case(
            "wrong checksum",
            &[file("a"), Head::new(b'0', "b").wrong_checksum().with(b"")],
            "\"b\"",
            "checksum",
        ),
        case("v7 header", &[v7.with(b"")], "\"old\"", "neither"),
        case(
            "unknown type",
            &[Head::new(b'Z', "z").bytes()],
            "\"z\"",
            "0x5a",
        ),
        case(
            "contiguous file",
            &[Head::new(b'7', "z").bytes()],
            "\"z\"",
            "0x37",
        ),
        case(
            "GNU dump directory",
            &[Head::new(b'D', "z").gnu().bytes()],
            "\"z\"",
            "0x44",
        ),
        case(
            "GNU multi-volume",
            &[Head::new(b'M', "z").gnu().bytes()],
            "\"z\"",
            "0x4d",
        ),
        case(
            "GNU volume label",
            &[Head::new(b'V', "z").gnu().bytes()],
            "\"z\"",
            "0x56",
        ),
        case("size in letters", &[letters.bytes()], "\"a\"", "size"),
        case("size beyond 64 bits", &[base256(124, 12)], "\"a\"", "size"),
        case("mode beyond 32 bits", &[base256(100, 8)], "\"a\"", "mode"),
        case(
            "user id beyond 32 bits",
            &[base256(108, 8)],
            "\"a\"",
            "user id",
        ),
        case(
            "group id beyond 32 bits",
            &[base256(116, 8)],
            "\"a\"",
            "group id",
        ),
        case("time beyond 64 bits", &[base256(136, 12)], "\"a\"", "time"),
        case(
            "user nobody may be",
            &[pax(&[record("uid", "4294967295")]), file("a")],
            "\"a\"",
            "user id",
        ),
        case(
            "major number too large",
            &[Head::new(b'3', "a").device(4096, 0).bytes()],
            "\"a\"",
            "major",
        ),
        case(
            "minor number too large",
            &[Head::new(b'4', "a").device(1, 1 << 20).bytes()],
            "\"a\"",
            "minor",
        ),
        case(
            "directory with contents",
            &[Head::new(b'5', "d").with(b"x")],
            "\"d\"",
            "contents",
        ),
        case(
            "fifo with contents",
            &[Head::new(b'6', "f").with(b"x")],
            "\"f\"",
            "contents",
        ),
        case(
            "device with contents",
            &[Head::new(b'3', "c").with(b"x")],
            "\"c\"",
            "contents",
        ),
        case(
            "size beyond the archive",
            &[Head::new(b'0', "a").size(1 << 32).with_unclaimed(b"x")],
            "\"a\"",
            "middle of an entry",
        ),
        cut("nothing at all", Vec::new(), "\"\"", "end marker"),
        cut("no end marker", whole.clone(), "\"\"", "end marker"),
        cut(
            "half an end marker",
            [whole.clone(), vec![0; 512]].concat(),
            "\"\"",
            "end marker",
        ),
        cut(
            "three quarters of one",
            [whole.clone(), vec![0; 768]].concat(),
            "\"\"",
            "middle",
        ),
        cut(
            "an entry behind a lone zero block",
            tar(&[file("a"), vec![0; 512], file("b")]),
            "\"\"",
            "behind the end",
        ),
        cut(
            "a byte behind the end",
            [tar(&[file("a")]), vec![1]].concat(),
            "\"\"",
            "behind the end",
        ),
        cut(
            "a byte far behind the end",
            [tar(&[file("a")]), vec![0; 1 << 20], vec![1]].concat(),
            "\"\"",
            "behind the end",
        ),
        cut(
            "a second archive",
            [tar(&[file("a")]), tar(&[file("b")])].concat(),
            "\"\"",
            "behind the end",
        ),
        cut("text", b"#!/bin/sh\n".repeat(100), "#!/bin/sh", "checksum"),
    ]
}

fn all() -> Vec<Case> {
    [paths(), links(), extensions(), headers()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_case_is_refused_by_name_and_stays_inside() {
    let cases = all();
    assert!(cases.len() >= 60, "{}", cases.len());
    for Case {
        what,
        tar,
        names,
        reason,
    } in cases
    {
        let fenced = Fenced::new();
        let error = fenced.unpack(&tar[..]).expect_err(what);
        fenced.assert_fence_holds();
        let UnpackError::Refused {
            path,
            reason: refusal,
            ..
        } = &error
        else {
            panic!("{what}: {error:?}")
        };
        assert!(
            path.to_string().contains(names),
            "{what}: {error} does not name {names}"
        );
        assert!(refusal.to_string().contains(reason), "{what}: {refusal}");
        assert_eq!(error.outcome(), wire::outcome::Outcome::Refuse, "{what}");
        assert!(!fs::exists("/etc/x").unwrap(), "{what}");
    }
}

#[test]
fn cases_are_refused_alike_byte_by_byte() {
    for Case { what, tar, .. } in all() {
        // A mebibyte of zeros one byte at a time adds nothing.
        if tar.len() > 100_000 {
            continue;
        }
        let whole = Fenced::new().unpack(&tar[..]).expect_err(what);
        let bytes = Fenced::new().unpack(OneByte(&tar)).expect_err(what);
        assert_eq!(whole.to_string(), bytes.to_string(), "{what}");
    }
}

#[test]
fn checking_without_a_root_finds_what_the_archive_alone_shows() {
    for Case {
        what, tar, reason, ..
    } in all()
    {
        if reason == "directory of this name" {
            continue;
        }
        assert!(check(&tar[..], &limits()).is_err(), "{what}");
    }
}

#[test]
fn archive_cut_at_any_byte_is_refused() {
    let honest = tar(&[
        dir("d"),
        pax(&[record("path", "d/long"), record("mtime", "1.5")]),
        Head::new(b'0', "x").with(b"hello"),
        long(b'L', "d/other"),
        symlink("y", "long"),
    ]);
    assert!(check(&honest[..], &limits()).is_ok());
    for cut in 0..honest.len() {
        let error = check(&honest[..cut], &limits()).expect_err("cut");
        let refused = matches!(
            &error,
            UnpackError::Refused {
                reason: Refusal::Truncated | Refusal::NoEndMarker,
                ..
            }
        );
        assert!(refused, "{cut}: {error:?}");
    }
}

#[test]
fn every_changed_byte_of_a_header_is_harmless_or_refused() {
    let honest = tar(&[dir("d"), symlink("d/l", "../outside"), file("d/f")]);
    for at in 0..honest.len() {
        for bit in [1, 0x80] {
            let mut changed = honest.clone();
            changed[at] ^= bit;
            // Contents and padding are not covered by a checksum here; everything else is.
            let result = check(&changed[..], &limits());
            let content = (1536..2048).contains(&at);
            assert_eq!(result.is_ok(), content, "byte {at}: {result:?}");
        }
    }
}

#[test]
fn too_many_entries_are_refused_at_the_first_one_too_many() {
    let many: Vec<_> = (0..=limits().entries)
        .map(|number| Head::new(b'0', format!("f{number}")).with(b""))
        .collect();
    assert!(check(&tar(&many[1..])[..], &limits()).is_ok());
    let error = check(&tar(&many)[..], &limits()).expect_err("one too many");
    let reason = Refusal::TooManyEntries(10_000);
    assert!(
        matches!(&error, UnpackError::Refused { reason: refusal, .. } if *refusal == reason),
        "{error:?}"
    );
    assert!(error.to_string().contains("f10000"), "{error}");
}

#[test]
fn byte_behind_the_end_is_named_exactly_however_it_is_read() {
    let tar = [tar(&[file("a")]), vec![0; 9], vec![1]].concat();
    let expected = tar.len() as u64 - 1;
    for error in [check(&tar[..], &limits()), check(OneByte(&tar), &limits())] {
        let error = error.expect_err("a byte behind the end");
        assert!(
            matches!(error, UnpackError::Refused { offset, .. } if offset == expected),
            "{error:?}"
        );
    }
}
