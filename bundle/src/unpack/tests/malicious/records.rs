//! Extended headers of pax: malformed records, keywords twice, keywords that change what nobody
//! asked for.

use super::Case;
use crate::fakes::archive::{Head, file, pax, pax_global, record, symlink};

/// An extended header of exactly these bytes.
fn raw(bytes: &[u8]) -> Vec<u8> {
    Head::new(b'x', "x").with(bytes)
}

fn raw_global(bytes: &[u8]) -> Vec<u8> {
    Head::new(b'g', "x").with(bytes)
}

fn one(key: &str, value: &str) -> Vec<u8> {
    pax(&[record(key, value)])
}

fn two(key: &str, first: &str, second: &str) -> Vec<u8> {
    pax(&[record(key, first), record(key, second)])
}

pub fn cases() -> Vec<Case> {
    [
        malformed(),
        repeated(),
        values(),
        unsupported(),
        sparse(),
        global(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn malformed() -> Vec<Case> {
    refused! {
        "record too short for its length": [raw(b"99 path=a\n"), file("a")] => "\"x\"", "malformed at byte 0";
        "record too long for its length": [raw(b"9 path=ab\n"), file("a")] => "\"x\"", "malformed at byte 0";
        "record without newline": [raw(b"9 path=ab"), file("a")] => "\"x\"", "malformed";
        "record with carriage return": [raw(b"11 path=ab\r"), file("a")] => "\"x\"", "malformed";
        "record of length 0": [raw(b"0 path=a\n"), file("a")] => "\"x\"", "malformed";
        "record of length 1": [raw(b"1 path=a\n"), file("a")] => "\"x\"", "malformed";
        "record of huge length": [raw(b"99999999999999999999 a=\n"), file("a")] => "\"x\"", "malformed";
        "record of length 2^64 and a bit": [raw(b"18446744073709551640 path=a\n"), file("a")] => "\"x\"", "malformed";
        "record of negative length": [raw(b"-10 path=a\n"), file("a")] => "\"x\"", "malformed";
        "record of length with a sign": [raw(b"+11 path=a\n"), file("a")] => "\"x\"", "malformed";
        "record of length in hexadecimal": [raw(b"0xa path=a\n"), file("a")] => "\"x\"", "malformed";
        "record behind a blank": [raw(b" 10 path=a\n"), file("a")] => "\"x\"", "malformed";
        "record without length": [raw(b"path=a\n"), file("a")] => "\"x\"", "malformed";
        "record without keyword": [raw(b"6 =ab\n"), file("a")] => "\"x\"", "malformed";
        "record without equals": [raw(b"10 path:a\n"), file("a")] => "\"x\"", "malformed";
        "record with tabulator": [raw(b"10\tpath=a\n"), file("a")] => "\"x\"", "malformed";
        "record of length only": [raw(b"2 "), file("a")] => "\"x\"", "malformed";
        "a newline": [raw(b"\n"), file("a")] => "\"x\"", "malformed";
        "nuls behind the last record": [raw(b"10 path=a\n\0\0"), file("a")] => "\"x\"", "malformed at byte 10";
        "second record malformed": [raw(b"10 path=a\n10 path=a"), file("a")] => "\"x\"", "malformed at byte 10";
        "length that ends in the next record": [raw(b"11 path=a\n10 path=b\n"), file("a")] => "\"x\"", "malformed at byte 0";
        "binary": [raw(&[0xff; 700]), file("a")] => "\"x\"", "malformed";
    }
}

fn repeated() -> Vec<Case> {
    refused! {
        "two paths": [two("path", "b", "../c"), file("a")] => "PaxHeaders", "\"path\" twice";
        "two equal paths": [two("path", "b", "b"), file("a")] => "PaxHeaders", "\"path\" twice";
        "two link targets": [two("linkpath", "b", "/etc"), symlink("a", "b")] => "PaxHeaders", "\"linkpath\" twice";
        "two sizes": [two("size", "7", "1024"), file("a")] => "PaxHeaders", "\"size\" twice";
        "two user ids": [two("uid", "1000", "0"), file("a")] => "PaxHeaders", "\"uid\" twice";
        "two group ids": [two("gid", "1000", "0"), file("a")] => "PaxHeaders", "\"gid\" twice";
        "two times": [two("mtime", "1", "2"), file("a")] => "PaxHeaders", "\"mtime\" twice";
    }
}

fn values() -> Vec<Case> {
    refused! {
        "user nobody may be": [one("uid", "4294967295"), file("a")] => "\"a\"", "user id";
        "group nobody may be": [one("gid", "4294967295"), file("a")] => "\"a\"", "group id";
        "user that wraps to root": [one("uid", "4294967296"), file("a")] => "\"a\"", "user id";
        "user of 80 bits": [one("uid", "1208925819614629174706176"), file("a")] => "PaxHeaders", "user id";
        "user of negative number": [one("uid", "-1"), file("a")] => "PaxHeaders", "user id";
        "user by name": [one("uid", "root"), file("a")] => "PaxHeaders", "user id";
        "group of no number": [one("gid", ""), file("a")] => "PaxHeaders", "group id";
        "time of no number": [one("mtime", "now"), file("a")] => "PaxHeaders", "time";
        "time without digits": [one("mtime", "-"), file("a")] => "PaxHeaders", "time";
        "time with an empty fraction": [one("mtime", "1."), file("a")] => "PaxHeaders", "time";
        "time with two points": [one("mtime", "1.2.3"), file("a")] => "PaxHeaders", "time";
        "time with an exponent": [one("mtime", "1e9"), file("a")] => "PaxHeaders", "time";
        "pax time beyond 64 bits": [one("mtime", "9223372036854775808"), file("a")] => "PaxHeaders", "time";
        "other character set": [one("hdrcharset", "CP437"), file("a")] => "PaxHeaders", "hdrcharset";
    }
}

fn unsupported() -> Vec<Case> {
    refused! {
        "access list": [one("SCHILY.acl.access", "u::rwx"), file("a")] => "PaxHeaders", "SCHILY.acl.access";
        "default access list": [one("SCHILY.acl.default", "u::rwx"), file("a")] => "PaxHeaders", "SCHILY.acl.default";
        "file flags": [one("SCHILY.fflags", "uchg"), file("a")] => "PaxHeaders", "SCHILY.fflags";
        "size under another name": [one("SCHILY.realsize", "1024"), file("a")] => "PaxHeaders", "SCHILY.realsize";
        "device under another name": [one("SCHILY.devmajor", "8"), file("a")] => "PaxHeaders", "SCHILY.devmajor";
        "security label under another name": [one("RHT.security.selinux", "x"), file("a")] => "PaxHeaders", "RHT.security";
        "symlink's type": [one("LIBARCHIVE.symlinktype", "dir"), symlink("a", "b")] => "PaxHeaders", "symlinktype";
        "GNU dump directory in pax": [one("GNU.dumpdir", "Ya\0"), file("a")] => "PaxHeaders", "GNU.dumpdir";
        "GNU volume in pax": [one("GNU.volume.filename", "b"), file("a")] => "PaxHeaders", "GNU.volume";
        "path in capitals": [one("PATH", "../c"), file("a")] => "PaxHeaders", "PATH";
        "path with a blank": [one("path ", "../c"), file("a")] => "PaxHeaders", "path ";
        "path with nul": [one("path\0", "../c"), file("a")] => "PaxHeaders", "path\\x00";
        "keyword that clears the terminal": [one("\x1b[2J", "x"), file("a")] => "PaxHeaders", "\\x1b[2J";
        "keyword of 100 KB": [one(&"k".repeat(100_000), ""), file("a")] => "PaxHeaders", "kkkk";
    }
}

fn sparse() -> Vec<Case> {
    refused! {
        "sparse by pax 1.0": [one("GNU.sparse.major", "1"), file("a")] => "PaxHeaders", "sparse";
        "sparse by pax 0.1": [one("GNU.sparse.map", "0,512"), file("a")] => "PaxHeaders", "sparse";
        "sparse by pax 0.0": [two("GNU.sparse.offset", "0", "512"), file("a")] => "PaxHeaders", "sparse";
        "sparse name that leads out": [one("GNU.sparse.name", "../canary"), file("a")] => "PaxHeaders", "sparse";
        "sparse size of 1 EiB": [one("GNU.sparse.realsize", "1152921504606846976"), file("a")] => "PaxHeaders", "sparse";
        "sparse of a kind nobody knows": [one("GNU.sparse.", ""), file("a")] => "PaxHeaders", "sparse";
        "sparse by GNU": [Head::new(b'S', "a").gnu().bytes()] => "\"a\"", "sparse";
        "sparse by GNU with a map": [Head::new(b'S', "a").gnu().put(386, b"00000000000\x0000000001000\0").put(483, b"77777777777\0").with(b"x")] => "\"a\"", "sparse";
        "sparse by GNU, continued": [Head::new(b'S', "a").gnu().put(482, &[1]).bytes(), file("b")] => "\"a\"", "sparse";
    }
}

fn global() -> Vec<Case> {
    let one = |key: &str, value: &str| pax_global(&[record(key, value)]);
    refused! {
        "global path": [one("path", "../c"), file("a")] => "PaxHeaders", "\"path\"";
        "global link target": [one("linkpath", "/etc"), symlink("a", "b")] => "PaxHeaders", "\"linkpath\"";
        "global size": [one("size", "1"), file("a")] => "PaxHeaders", "\"size\"";
        "global user": [one("uid", "0"), file("a")] => "PaxHeaders", "\"uid\"";
        "global time": [one("mtime", "1"), file("a")] => "PaxHeaders", "\"mtime\"";
        "global attribute": [one("SCHILY.xattr.user.a", "1"), file("a")] => "PaxHeaders", "xattr.user.a";
        "global character set": [one("hdrcharset", "BINARY"), file("a")] => "PaxHeaders", "hdrcharset";
        "global sparse": [one("GNU.sparse.major", "1"), file("a")] => "PaxHeaders", "sparse";
        "global behind a comment": [pax_global(&[record("comment", "x"), record("path", "b")]), file("a")] => "PaxHeaders", "\"path\"";
        "global malformed": [raw_global(b"99 comment=x\n"), file("a")] => "\"x\"", "malformed at byte 0";
        "global in the middle": [file("a"), one("path", "b"), file("c")] => "PaxHeaders", "\"path\"";
        "global at the end": [file("a"), one("path", "b")] => "PaxHeaders", "\"path\"";
    }
}
