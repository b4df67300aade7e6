//! Files with holes: what GNU tar packs arrives equal and with its holes, and a map that lies is
//! refused.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use super::{Fenced, OneByte, UnpackError};
use crate::fakes::archive::{Head, pax, record, tar};
use crate::unpack::Refusal;
use tempfile::TempDir;

#[test]
fn gnu_tars_sparse_files_arrive_with_their_holes() {
    let tree = TempDir::new().unwrap();
    let deep = tree.path().join("d").join("n".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    let files = [
        ("data at both ends", 64 << 20, &[0, (64 << 20) - 10][..]),
        ("hole at the end", 40 << 20, &[8 << 20]),
        ("nothing but a hole", 3 << 30, &[]),
    ];
    for (name, len, data) in files {
        let file = File::create(deep.join(name)).unwrap();
        file.set_len(len).unwrap();
        for at in data {
            file.write_all_at(b"some data.", *at).unwrap();
        }
    }
    let packed = Command::new("tar")
        .args(["--format=pax", "--sparse", "-c", "-f", "-", "-C"])
        .arg(tree.path())
        .arg(".")
        .output()
        .expect("GNU tar");
    assert!(packed.status.success());
    assert!(packed.stdout.len() < 100_000, "{}", packed.stdout.len());
    let ours = Fenced::new();
    let unpacked = ours.unpack(OneByte(&packed.stdout)).unwrap();
    ours.assert_fence_holds();
    assert!(unpacked.content_bytes < 60_000, "holes are no contents");
    for (name, len, data) in files {
        let path = deep.strip_prefix(tree.path()).unwrap().join(name);
        let (theirs, copy) = (tree.path().join(&path), ours.root().join(&path));
        let meta = copy.metadata().unwrap();
        assert_eq!(meta.len(), len, "{name}");
        assert!(
            meta.blocks() * 512 <= 64 << 10,
            "{name}: {} blocks",
            meta.blocks()
        );
        assert_eq!(meta.mtime_nsec(), theirs.metadata().unwrap().mtime_nsec());
        // Reading 3 GiB of zeros twice proves nothing more.
        if !data.is_empty() {
            let equal = Command::new("cmp")
                .arg(&theirs)
                .arg(&copy)
                .status()
                .unwrap();
            assert!(equal.success(), "{name}");
        }
    }
}

/// A file of 4 KiB by this map and these data.
fn sparse(map: &str, data: &[u8]) -> Vec<u8> {
    named("GNUSparseFile.1/x", "x", "4096", map, data)
}

fn named(stand_in: &str, name: &str, len: &str, map: &str, data: &[u8]) -> Vec<u8> {
    let records = pax(&[
        record("GNU.sparse.major", "1"),
        record("GNU.sparse.minor", "0"),
        record("GNU.sparse.name", name),
        record("GNU.sparse.realsize", len),
    ]);
    let mut content = map.as_bytes().to_vec();
    content.resize(content.len().next_multiple_of(512), 0);
    content.extend_from_slice(data);
    tar(&[records, Head::new(b'0', stand_in).with(&content)])
}

#[test]
fn segments_land_where_the_map_says() {
    for (map, expected) in [
        ("0\n", vec![0; 4096]),
        ("1\n4096\n0\n", vec![0; 4096]),
        ("1\n0\n3\n", [&b"abc"[..], &[0; 4093]].concat()),
        (
            "3\n1\n1\n10\n0\n4094\n2\n",
            [&[0][..], b"a", &[0; 4092], b"bc"].concat(),
        ),
    ] {
        let data: &[u8] = if map.contains("\n4096\n") || map == "0\n" {
            b""
        } else {
            b"abc"
        };
        let fenced = Fenced::new();
        fenced.unpack(&sparse(map, data)[..]).unwrap();
        assert!(
            std::fs::read(fenced.root().join("x")).unwrap() == expected,
            "{map:?}"
        );
    }
}

#[test]
fn a_map_that_lies_is_refused() {
    let refusal = |archive: &[u8]| {
        let fenced = Fenced::new();
        let error = fenced.unpack(OneByte(archive)).unwrap_err();
        fenced.assert_fence_holds();
        match error {
            UnpackError::Refused { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    };
    let many = format!("{}\n", super::super::SEGMENTS_MAX + 1);
    for map in [
        "",
        "\n",
        "x\n",
        "-1\n",
        "1\n0\n",
        "1\n0\n2\n",
        "1\n0\n4\n",
        "1\n4094\n3\n",
        "2\n8\n1\n0\n2\n",
        "2\n0\n2\n1\n1\n",
        "1\n18446744073709551615\n3\n",
        "1\n99999999999999999999\n3\n",
        "1\n0\n3\n7",
        "9223372036854775808\n",
        many.as_str(),
    ] {
        assert_eq!(refusal(&sparse(map, b"abc")), Refusal::SparseMap, "{map:?}");
    }
    let whole = sparse("1\n0\n3\n", b"abc");
    let named = |stand_in, name| refusal(&named(stand_in, name, "4096", "1\n0\n3\n", b"abc"));
    for (stand_in, name) in [
        ("GNUSparseFile.1/y", "x"),
        ("d/GNUSparseFile.1/x", "x"),
        ("x", "x"),
        ("other/x", "x"),
    ] {
        assert_eq!(named(stand_in, name), Refusal::SparseName, "{stand_in}");
    }
    for (stand_in, name) in [
        ("../GNUSparseFile.1/canary", "../canary"),
        ("/etc/GNUSparseFile.1/x", "/etc/x"),
        ("GNUSparseFile.1/x/", "x/"),
    ] {
        let reason = named(stand_in, name);
        let is_path = matches!(reason, Refusal::Path(_) | Refusal::NamedLikeADirectory);
        assert!(is_path, "{name}: {reason:?}");
    }
    for cut in (1024..whole.len() - 1024).step_by(97) {
        let reason = refusal(&whole[..cut]);
        assert!(
            matches!(reason, Refusal::Truncated | Refusal::NoEndMarker),
            "{cut}: {reason:?}"
        );
    }
}
