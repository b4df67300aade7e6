//! Extended attributes: malformed names, too much of them, and where the kernel takes none.

use super::Case;
use crate::fakes::archive::{Head, dir, file, pax, record, symlink};

fn attribute(name: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    pax(&[record(&format!("SCHILY.xattr.{name}"), value)])
}

/// u::rwx g::r-x o::r-x, as the kernel keeps it (linux/posix_acl_xattr.h).
const ACL: [u8; 28] = [
    2, 0, 0, 0, //
    1, 0, 7, 0, 255, 255, 255, 255, //
    4, 0, 5, 0, 255, 255, 255, 255, //
    32, 0, 5, 0, 255, 255, 255, 255,
];

pub fn cases() -> Vec<Case> {
    let many: Vec<_> = (0..257)
        .map(|number| record(&format!("SCHILY.xattr.user.{number}"), ""))
        .collect();
    // As many as one extended header holds: looking for repetitions among them took a second before
    // there was a limit.
    let flood: Vec<_> = (0..9000)
        .map(|number| record(&format!("SCHILY.xattr.u{number}"), ""))
        .collect();
    refused! {
        "attribute twice": [pax(&[record("SCHILY.xattr.user.a", "1"), record("SCHILY.xattr.user.a", "2")]), file("a")] => "PaxHeaders", "twice";
        "attribute name with nul": [attribute("user.a\0b", "1"), file("a")] => "PaxHeaders", "user.a";
        "attribute without name": [attribute("", "1"), file("a")] => "PaxHeaders", "not supported";
        "attribute name too long": [attribute(&"n".repeat(256), "1"), file("a")] => "PaxHeaders", "nnnn";
        "attribute under libarchive's name only": [pax(&[record("LIBARCHIVE.xattr.user.a", "MQ")]), file("a")] => "PaxHeaders", "LIBARCHIVE";
        "attribute under libarchive's name beside another": [pax(&[record("SCHILY.xattr.user.a", "1"), record("LIBARCHIVE.xattr.user.b", "MQ")]), file("a")] => "PaxHeaders", "LIBARCHIVE.xattr.user.b";
        "257 attributes": [pax(&many), file("a")] => "PaxHeaders", "more than 256 extended attributes";
        "9000 attributes": [pax(&flood), file("a")] => "PaxHeaders", "more than 256 extended attributes";
        "attribute of a name space there is not": [attribute("canary.a", "1"), file("a")] => "\"a\"", "setting an extended attribute";
        "attribute of a bare name": [attribute("user", "1"), file("a")] => "\"a\"", "setting an extended attribute";
        "attribute of a bare name space": [attribute("user.", "1"), file("a")] => "\"a\"", "setting an extended attribute";
        "attribute of 64 KiB and one byte": [attribute("user.a", vec![b'v'; 65_537]), file("a")] => "\"a\"", "setting an extended attribute";
        "malformed capability": [attribute("security.capability", "all"), file("a")] => "\"a\"", "setting an extended attribute";
        "default access list of a file": [attribute("system.posix_acl_default", ACL), file("a")] => "\"a\"", "setting an extended attribute";
        "malformed access list": [attribute("system.posix_acl_access", "u::rwx"), file("a")] => "\"a\"", "setting an extended attribute";
        "attribute of a user on a symlink": [attribute("user.a", "1"), symlink("l", "../canary")] => "\"l\"", "setting an extended attribute";
        "attribute of a user on a fifo": [attribute("user.a", "1"), Head::new(b'6', "f").bytes()] => "\"f\"", "setting an extended attribute";
        "attribute of no name space on a directory": [attribute("a", "1"), dir("d")] => "\"d\"", "setting an extended attribute";
        "attribute of no name space on the root": [attribute("a", "1"), dir("./")] => "\"./\"", "setting an extended attribute";
    }
}
