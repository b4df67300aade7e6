//! Files with holes, and files that change while they are read.

use super::{Dir, create, install, options};
use pack::compress::Format;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A file that the smallest disk here could not hold, and GNU tar understands.
#[test]
fn holes_take_no_room_in_the_package_or_on_the_target() {
    let (tree, out) = (Dir::new(), Dir::new());
    let len = 3 << 30;
    for number in [0, 1] {
        let path = format!("srv/{}/disk{number}.img", "d".repeat(number * 120 + 1));
        let disk = File::options()
            .write(true)
            .open(tree.put(&path, ""))
            .unwrap();
        disk.set_len(len).unwrap();
        for at in [0, 1 << 30, len - 4096] {
            disk.write_all_at(&[7; 4096], at).unwrap();
        }
    }
    fs::hard_link(
        tree.path().join("srv/d/disk0.img"),
        tree.path().join("srv/hard"),
    )
    .unwrap();
    let (package, _) = create(&options(&tree, out.path(), Format::Zst));
    assert!(package.len() < 10_000, "{}", package.len());
    let (copy, unpacked) = install(&package);
    assert_eq!(unpacked.content_bytes, 2 * 3 * 4096, "data alone counts");
    assert!(unpacked.tar_bytes < 100_000, "what a manifest will state");
    let theirs = Dir::new();
    let tar = Command::new("tar")
        .args(["--zstd", "-xf"])
        .arg(out.path().join("x.tar.zst"))
        .arg("-C")
        .arg(theirs.path())
        .status()
        .unwrap();
    assert!(tar.success());
    for to in [&copy, &theirs] {
        for path in fs::read_dir(tree.path().join("srv")).unwrap() {
            let path = path.unwrap().path();
            let file = match path.is_dir() {
                true => fs::read_dir(path).unwrap().next().unwrap().unwrap().path(),
                false => path,
            };
            let got = to.path().join(file.strip_prefix(tree.path()).unwrap());
            let stat = got.metadata().unwrap();
            assert_eq!(stat.len(), len, "{got:?}");
            assert!(
                stat.blocks() * 512 <= 64 << 10,
                "{got:?}: {} blocks",
                stat.blocks()
            );
            let disk = File::open(&got).unwrap();
            for at in [0, 1 << 30, len - 4096, 4096, 2 << 30] {
                let mut bytes = [1; 4096];
                disk.read_exact_at(&mut bytes, at).unwrap();
                let expected = if at == 4096 || at == 2 << 30 { 0 } else { 7 };
                assert!(bytes == [expected; 4096], "{got:?} at {at}");
            }
        }
        let inode = |path: &str| to.path().join(path).metadata().unwrap().ino();
        assert_eq!(inode("srv/hard"), inode("srv/d/disk0.img"));
    }
}

#[test]
fn a_tree_that_changes_all_the_time_still_gives_a_whole_package() {
    let (tree, out) = (Dir::new(), Dir::new());
    let restless = tree.put("srv/small", vec![1; 1 << 20]);
    let large = tree.put("srv/large", vec![2; 12 << 20]);
    for number in 0..300 {
        tree.put(&format!("srv/coming/{number}"), "x");
    }
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let small = File::options().write(true).open(&restless).unwrap();
            let large = File::options().write(true).open(&large).unwrap();
            for round in 0_u64.. {
                small.write_at(&round.to_le_bytes(), round % 1000).unwrap();
                small.set_len(1 << 20 | (round % 4096)).unwrap();
                large.set_len(12 << 20 | (round % 4096)).unwrap();
                large.set_len(5 << 20).unwrap();
                let coming = tree.path().join(format!("srv/coming/{}", round % 300));
                fs::remove_file(&coming).unwrap();
                fs::write(&coming, vec![3; (round % 7000) as usize]).unwrap();
                rounds.store(round, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut told = String::new();
        let mut options = options(&tree, out.path(), Format::Zst);
        options.report = Some(out.path().join("report"));
        for _ in 0..20 {
            let (package, _) = create(&options);
            let (copy, _) = install(&package);
            assert!(copy.path().join("srv/small").metadata().unwrap().len() >= 1 << 20);
            told += &fs::read_to_string(out.path().join("report")).unwrap();
            if ["small", "large"]
                .iter()
                .all(|name| told.contains(&format!("changed     /srv/{name}  ")))
            {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(told.contains("changed     /srv/small  "), "{told}");
        assert!(told.contains("changed     /srv/large  "), "{told}");
    });
    assert!(rounds.into_inner() > 20, "it did change");
}
