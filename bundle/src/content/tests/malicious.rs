//! At least 200 bundles that no node may take: each is refused, and nothing is made outside.

use std::fs::File;
use std::os::fd::AsFd;

use wire::chain::chain;
use wire::files::FILES;
use wire::manifest::{Role, Unpacked};
use wire::package::PACKAGE;
use wire::service::SERVICE;

use super::{Place, RESOURCES, taken};
use crate::content::policy::stays_inside;
use crate::content::take;
use crate::fakes::archive::{self, Head, dir, hard_link, long, pax, record, symlink, tar};
use crate::fakes::content::{Content, line, list, member, service};
use crate::fakes::image::Signer;

/// What is wrong with it, and the bundle.
type Row = (String, Content);

/// An honest site with these entries before the two of its own.
fn with(what: impl Into<String>, parts: &[Vec<u8>]) -> Row {
    let mut content = honest();
    let own = [dir("d/"), member("d/a", b"aaa"), member("e", b"e")];
    content.tar = tar(&[parts, &own].concat());
    (what.into(), content)
}

/// Likewise, and `FILES` has a line for it.
fn listed(what: impl Into<String>, path: &str, mode: &str, part: Vec<u8>) -> Row {
    let (what, mut content) = with(what, &[part]);
    let mut lines = vec![line("d/a", "644", b"aaa"), line("e", "644", b"e")];
    lines.push(line(path, mode, b"content"));
    content.texts[0].1 = list(&lines);
    (what, content)
}

fn honest() -> Content {
    Content::site(&[("d/a", b"aaa"), ("e", b"e")])
}

fn changed(what: impl Into<String>, change: impl Fn(&mut Content)) -> Row {
    let mut content = honest();
    change(&mut content);
    (what.into(), content)
}

/// `z` is behind the paths of the honest site.
fn kinds() -> Vec<Row> {
    let mut rows = Vec::new();
    for path in ["z", "d/z", "d", "e", "./z", "z/"] {
        let entries = [
            ("symbolic link", symlink(path, "d/a")),
            ("symbolic link out", symlink(path, "../victim")),
            ("absolute link", symlink(path, "/etc/passwd")),
            ("hard link", hard_link(path, "d/a")),
            ("hard link out", hard_link(path, "../victim")),
            (
                "character device",
                Head::new(b'3', path).device(1, 3).bytes(),
            ),
            ("block device", Head::new(b'4', path).device(8, 0).bytes()),
            ("FIFO", Head::new(b'6', path).bytes()),
            ("contiguous file", Head::new(b'7', path).with(b"content")),
            (
                "old sparse file",
                Head::new(b'S', path).gnu().with(b"content"),
            ),
            (
                "multi-volume rest",
                Head::new(b'M', path).gnu().with(b"content"),
            ),
            ("unknown type", Head::new(b'Q', path).with(b"content")),
        ];
        for (what, part) in entries {
            rows.push(listed(format!("{what} {path}"), "z", "644", part));
        }
    }
    rows
}

fn modes() -> Vec<Row> {
    let modes = [
        0, 0o1, 0o4, 0o20, 0o40, 0o400, 0o444, 0o555, 0o600, 0o640, 0o646, 0o664, 0o666, 0o700,
        0o744, 0o750, 0o775, 0o777, 0o1644, 0o1755, 0o2644, 0o2755, 0o4644, 0o4755, 0o6755, 0o7777,
    ];
    let mut rows = Vec::new();
    for mode in modes {
        let part = Head::new(b'0', "z").mode(mode).with(b"content");
        rows.push(listed(format!("file of mode {mode:o}"), "z", "644", part));
        let part = Head::new(b'5', "d/").mode(mode).bytes();
        let (what, mut content) = with(format!("directory of mode {mode:o}"), &[]);
        content.tar = tar(&[part, member("d/a", b"aaa"), member("e", b"e")]);
        rows.push((what, content));
    }
    let program = Head::new(b'0', "z").mode(0o755).with(b"content");
    rows.push(listed("listed as 644", "z", "644", program));
    rows.push(listed("listed as 755", "z", "755", archive::file("z")));
    rows
}

fn paths() -> Vec<Row> {
    let mut rows = Vec::new();
    for path in [
        "../z",
        "/z",
        "d/../../z",
        "d/../z",
        "..",
        "/",
        "z/..",
        "//z",
        "z/../../victim",
    ] {
        rows.push(listed(path, "z", "644", archive::file(path)));
    }
    let control = (1..=0x1f_u8).chain([0x7f]).filter(|byte| *byte != b'/');
    for byte in control {
        let path = [b"z", &[byte][..], b"z"].concat();
        rows.push(with(
            format!("control character {byte:#x}"),
            &[archive::file(path)],
        ));
    }
    for (what, path) in [
        ("not UTF-8", b"z\xff".to_vec()),
        ("cut UTF-8", b"z\xc3".to_vec()),
        ("overlong UTF-8", b"z\xc0\xaf".to_vec()),
        (
            "a control character of UTF-8",
            "z\u{85}".as_bytes().to_vec(),
        ),
        ("a long component", vec![b'z'; 256]),
        (
            "a long path",
            [vec![b'z'; 200], b"/".to_vec()].concat().repeat(6),
        ),
        ("33 directories", b"z/".repeat(33)),
        ("33 components", [b"z/".repeat(32), b"z".to_vec()].concat()),
    ] {
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        let parts = [long(b'L', path), archive::file("z")];
        rows.push(with(format!("{what} by GNU's long name"), &parts));
        let parts = [pax(&[record("path", path)]), archive::file("z")];
        rows.push(with(format!("{what} by PAX"), &parts));
    }
    rows
}

fn records() -> Vec<Row> {
    let mut rows = Vec::new();
    for (key, value) in [
        ("SCHILY.xattr.user.x", &b"1"[..]),
        ("SCHILY.xattr.security.capability", b"\x01\x00\x00\x02"),
        (
            "SCHILY.xattr.security.selinux",
            b"system_u:object_r:etc_t:s0",
        ),
        ("SCHILY.xattr.system.posix_acl_access", b"\x02\x00\x00\x00"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.acl.access", b"user::rwx"),
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.name", b"z"),
        ("GNU.sparse.realsize", b"1000000"),
        ("path", b"../victim"),
        ("path", b"/etc/z"),
        ("size", b"1"),
        ("size", b"-1"),
    ] {
        let value_of = record(key, value);
        let parts = [pax(&[value_of]), archive::file("z")].concat();
        rows.push(listed(format!("PAX {key}"), "z", "644", parts));
    }
    rows.push(with(
        "a dangling PAX header",
        &[pax(&[record("path", "z")])],
    ));
    rows
}

fn lists() -> Vec<Row> {
    let honest = [line("d/a", "644", b"aaa"), line("e", "644", b"e")];
    let own = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = honest.to_vec();
        change(&mut lines);
        list(&lines)
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let plain = String::from_utf8(list(&honest)).unwrap();
    let lists = [
        (
            "another hash",
            own(&|lines| lines[0] = line("d/a", "644", b"aab")),
        ),
        (
            "another length",
            own(&|lines| lines[0] = lines[0].replace(" 3 ", " 4 ")),
        ),
        (
            "another mode",
            own(&|lines| lines[0] = lines[0].replace("644", "755")),
        ),
        (
            "another name",
            own(&|lines| lines[0] = line("d/b", "644", b"aaa")),
        ),
        ("a file too few", own(&|lines| drop(lines.pop()))),
        (
            "a file too many",
            own(&|lines| lines.push(line("f", "644", b""))),
        ),
        (
            "a file twice",
            own(&|lines| lines.push(line("e", "644", b"e"))),
        ),
        ("the wrong order", own(&|lines| lines.reverse())),
        (
            "a file in a file",
            own(&|lines| lines.push(line("e/f", "644", b""))),
        ),
        ("a link", own(&|lines| lines.push(line("f", "link", b"e")))),
        (
            "set-id",
            own(&|lines| lines[0] = lines[0].replace("644", "4755")),
        ),
        (
            "an absolute path",
            own(&|lines| lines[0] = line("/d/a", "644", b"aaa")),
        ),
        (
            "a way out",
            own(&|lines| lines[0] = line("../a", "644", b"aaa")),
        ),
        ("no lines", list(&[])),
        ("no bytes but a line feed", text("\n")),
        (
            "another version",
            text(&plain.replace("files 1", "files 2")),
        ),
        ("a wrong count", text(&plain.replace("end 2", "end 3"))),
        ("a byte behind its end", text(&format!("{plain}x"))),
        ("CRLF", text(&plain.replace('\n', "\r\n"))),
        (
            "its end cut off",
            text(plain.strip_suffix("end 2\n").unwrap()),
        ),
    ];
    let rows = lists.into_iter().map(|(what, list)| {
        changed(format!("FILES with {what}"), |content| {
            content.texts[0].1.clone_from(&list)
        })
    });
    rows.collect()
}

fn archives() -> Vec<Row> {
    let a = || member("d/a", b"aaa");
    let e = || member("e", b"e");
    let plain = tar(&[dir("d/"), a(), e()]);
    let tars = [
        (
            "other contents",
            tar(&[dir("d/"), member("d/a", b"aab"), e()]),
        ),
        (
            "longer contents",
            tar(&[dir("d/"), member("d/a", b"aaaa"), e()]),
        ),
        ("a file missing", tar(&[dir("d/"), a()])),
        (
            "a file more",
            tar(&[dir("d/"), a(), e(), member("f", b"f")]),
        ),
        (
            "an empty directory more",
            tar(&[dir("d/"), a(), e(), dir("f/")]),
        ),
        (
            "a directory in place of a file",
            tar(&[dir("d/"), a(), dir("e/")]),
        ),
        (
            "a file in place of a directory",
            tar(&[archive::file("d"), e()]),
        ),
        ("a file twice", tar(&[dir("d/"), a(), a(), e()])),
        ("a directory twice", tar(&[dir("d/"), dir("d/"), a(), e()])),
        ("nothing", tar(&[])),
        ("no end", [dir("d/"), a(), e()].concat()),
        (
            "half of its end",
            [dir("d/"), a(), e(), vec![0; 512]].concat(),
        ),
        (
            "data behind its end",
            [plain.clone(), b"x".to_vec()].concat(),
        ),
        (
            "an archive behind its end",
            [plain.clone(), plain.clone()].concat(),
        ),
        (
            "a wrong checksum",
            tar(&[
                dir("d/"),
                a(),
                Head::new(b'0', "e").wrong_checksum().with(b"e"),
            ]),
        ),
        (
            "a size that is a lie",
            tar(&[
                dir("d/"),
                a(),
                Head::new(b'0', "e").size(1 << 33).with_unclaimed(b"e"),
            ]),
        ),
        (
            "contents in a directory",
            tar(&[Head::new(b'5', "d/").with(b"x"), a(), e()]),
        ),
        (
            "20 MB of zeros",
            tar(&[dir("d/"), a(), member("e", &vec![0; 20 << 20])]),
        ),
    ];
    let mut rows: Vec<_> = tars
        .into_iter()
        .map(|(what, tar)| {
            changed(format!("archive with {what}"), |content| {
                content.tar.clone_from(&tar)
            })
        })
        .collect();
    for len in [1, 511, 512, 1000, 1535, 1536, 2047] {
        let cut = plain[..len].to_vec();
        rows.push(changed(format!("archive cut at {len}"), |content| {
            content.tar.clone_from(&cut)
        }));
    }
    rows
}

fn layouts() -> Vec<Row> {
    let files = |content: &Content| content.texts[0].clone();
    let state = |size_bytes, entries| Unpacked {
        size_bytes,
        entries,
    };
    let honest_len = honest().tar.len() as u64;
    let mut rows = vec![
        changed("no FILES", |content| content.texts.clear()),
        changed("FILES by another name", |content| {
            content.texts[0].0 = "files"
        }),
        changed("SERVICE in a site", |content| {
            content.texts.push((SERVICE, service()))
        }),
        changed("SERVICE before FILES", |content| {
            content.texts.insert(0, (SERVICE, service()))
        }),
        changed("FILES behind the archive", |content| {
            content.behind = vec![files(content)];
            content.texts.clear();
        }),
        changed("something behind the archive", |content| {
            content.behind.push(("more", vec![1]))
        }),
        changed("a second archive", |content| {
            content.behind.push(("more.tar.zst", vec![1]))
        }),
        changed("another archive's name", |content| {
            content.archive_name = "base.tar.zst"
        }),
        changed("an archive without an ending", |content| {
            content.archive_name = "content"
        }),
        changed("an archive that is not compressed", |content| {
            content.archive_name = "content.tar"
        }),
        changed("an entry less stated", |content| {
            content.stated = Some(state(honest_len, 2))
        }),
        changed("an entry more stated", |content| {
            content.stated = Some(state(honest_len, 4))
        }),
        changed("a byte less stated", |content| {
            content.stated = Some(state(honest_len - 1, 3))
        }),
        changed("a byte more stated", |content| {
            content.stated = Some(state(honest_len + 1, 3))
        }),
        changed("a site of 16,385 entries", |content| {
            content.stated = Some(state(honest_len, 16_385));
        }),
        changed("a system", |content| content.role = Role::Os),
        changed("a kernel", |content| content.role = Role::Kernel),
        changed("a base", |content| content.role = Role::Base),
    ];
    let daemon = |what: &str, change: &dyn Fn(&mut Content)| {
        let mut content = Content::daemon();
        change(&mut content);
        (format!("daemon with {what}"), content)
    };
    rows.push(daemon("no SERVICE", &|content| drop(content.texts.pop())));
    rows.push(daemon("SERVICE first", &|content| content.texts.reverse()));
    rows.push(daemon("an empty service", &|content| {
        content.texts[1].1 = b"\n".to_vec()
    }));
    for program in ["/bin/x", "../bin/x", "bin/y", "bin", "bin/x "] {
        let text = String::from_utf8(service()).unwrap();
        let text = text.replace("bin/x", program).into_bytes();
        rows.push(daemon(&format!("program {program:?}"), &|content| {
            content.texts[1].1.clone_from(&text);
        }));
    }
    for (what, texts) in [
        ("no PACKAGE", vec![]),
        ("an empty PACKAGE", vec![(PACKAGE, b"\n".to_vec())]),
        ("SERVICE", vec![(SERVICE, service())]),
        (
            "a need twice",
            vec![(
                PACKAGE,
                b"smechvisor-package 1\nneeds a 1\nneeds a 1\nend\n".to_vec(),
            )],
        ),
        (
            "a need outside",
            vec![(
                PACKAGE,
                b"smechvisor-package 1\nneeds ../a 1\nend\n".to_vec(),
            )],
        ),
    ] {
        let mut content = Content::package(&[("lib/a", b"a")], &[]);
        content.texts.truncate(1);
        content.texts.extend(texts);
        rows.push((format!("package with {what}"), content));
    }
    for path in [
        "bin/spk-visor",
        "lib/smechvisor/trust",
        "lib/smechvisor",
        "lib/smechvisor/a/b",
    ] {
        let content = Content::package(&[(path, b"a")], &[]);
        rows.push((format!("package with {path}"), content));
    }
    rows.push(daemon("a program of mode 644", &|content| {
        content.texts[0].1 = list(&[line("bin/x", "644", b"#!")]);
        content.tar = tar(&[dir("bin/"), member("bin/x", b"#!")]);
    }));
    rows
}

fn links() -> Vec<Row> {
    let targets = [
        "/lib/a",
        "..",
        "../..",
        "../../lib",
        "../lib/..",
        "../lib/../../..",
        "a/..",
        "./a",
        "a/.",
        "a//b",
        "a/",
        "../../../../../victim",
        "../../victim",
        ".",
        "lib/../../x",
    ];
    let mut rows = Vec::new();
    for target in targets {
        let mut content = Content::package(&[("lib/a", b"a")], &[]);
        content.texts[0].1 = list(&[
            line("lib/a", "644", b"a"),
            line("lib/b", "link", target.as_bytes()),
        ]);
        content.tar = tar(&[dir("lib/"), member("lib/a", b"a"), symlink("lib/b", target)]);
        rows.push((format!("package with a link to {target}"), content));
    }
    for (what, parts) in [
        (
            "a file through a link",
            [symlink("l", "lib"), member("l/a", b"a")],
        ),
        (
            "a link in place of the file",
            [dir("lib/"), symlink("lib/a", "b")],
        ),
        (
            "a hard link",
            [member("lib/a", b"a"), hard_link("l", "lib/a")],
        ),
    ] {
        let mut content = Content::package(&[("lib/a", b"a")], &[]);
        content.tar = tar(&parts);
        rows.push((format!("package with {what}"), content));
    }
    rows
}

#[test]
fn no_malicious_bundle_is_taken_and_nothing_is_made_outside() {
    let rows = [
        kinds(),
        modes(),
        paths(),
        records(),
        lists(),
        archives(),
        layouts(),
        links(),
    ];
    let rows = rows.concat();
    assert!(rows.len() >= 200, "{}", rows.len());
    taken(&honest(), &Place::new()).unwrap();
    let mut accepted = Vec::new();
    for (what, content) in &rows {
        let place = Place::new();
        match taken(content, &place) {
            Ok(_) => accepted.push(what),
            Err(error) => {
                let text = chain(&error).to_string();
                let is_plain = !text.is_empty() && !text.contains(char::is_control);
                assert!(is_plain, "{what}: {text}");
            }
        }
        assert!(place.is_untouched(), "{what}");
    }
    assert!(accepted.is_empty(), "{accepted:?}");
    println!("{} malicious bundles: 0 outside, 0 accepted", rows.len());
}

/// Role and name are part of what is signed, and so is every byte of every part.
#[test]
fn no_byte_of_a_signed_bundle_can_be_another() {
    let (content, signer) = (honest(), Signer::new());
    let image = content.image();
    let signature = signer.sign(&image.manifest);
    let trust = signer.trust();
    for (role, product) in [
        (Role::Model, "www"),
        (Role::Site, "ww"),
        (Role::Os, "smv-x86_64"),
    ] {
        let other = Content {
            role,
            product,
            ..content.clone()
        };
        assert!(other.approved_by(&image, &signature, &trust).is_err());
    }
    assert!(content.approved_by(&image, &[], &trust).is_err());
    assert!(
        content
            .approved_by(&image, &signature, &Signer::new().trust())
            .is_err()
    );
    for at in 0..image.manifest.len() {
        let mut image = image.clone();
        image.manifest[at] ^= 1;
        assert!(
            content.approved_by(&image, &signature, &trust).is_err(),
            "{at}"
        );
    }
    let approved = content.approved_by(&image, &signature, &trust).unwrap();
    for file in 0..image.files.len() {
        for at in 0..image.files[file].1.len() {
            let mut image = image.clone();
            image.files[file].1[at] ^= 1;
            let place = Place::new();
            let tree = File::open(place.tree()).unwrap();
            let taken = take(
                &approved,
                Role::Site,
                image.feed(),
                tree.as_fd(),
                &RESOURCES,
            );
            assert!(
                taken.is_err() && place.is_untouched(),
                "{FILES}, {file}, {at}"
            );
        }
    }
}

#[test]
fn links_that_stay_inside_are_told_from_others() {
    for (path, target, expected) in [
        ("a", "b", true),
        ("a", "b/c", true),
        ("d/a", "../b", true),
        ("d/e/a", "../../b", true),
        ("d/e/a", "../../../b", false),
        ("a", "../b", false),
        ("d/a", "..", false),
        ("d/a", "b/../c", false),
        ("d/a", "", false),
        ("d/a", "/b", false),
        ("d/a", "b/", false),
    ] {
        assert_eq!(
            stays_inside(path.as_bytes(), target.as_bytes()),
            expected,
            "{path} {target}"
        );
    }
    let long = "x".repeat(1025);
    assert!(!stays_inside(b"a", long.as_bytes()));
}
