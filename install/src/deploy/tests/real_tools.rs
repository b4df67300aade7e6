//! A deploy whose root file system is made by the real mke2fs, without mounting; the real tools
//! read all of the result.
//!
//! With `SMV_TEST_PACKAGES` (a directory) and `SMV_TEST_IMAGE` (a path) it deploys those packages
//! and keeps the image, to be booted by hand.

use super::fakes::{Recorder, base_package, grub_package, old_disk, stream};
use super::used_disk::must_hold_only;
use super::{OPTIONS, deploy};
use bundle::event::Event;
use bundle::records::Records;
use disk::disk::{Disk, SectorSize};
use disk::layout::{Layout, Role};
use disk::volumes::{Volumes, VolumesError};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

struct ToolVolumes {
    base: PathBuf,
    layout: Option<Layout>,
}

pub fn tool(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    text.into_owned()
}

impl ToolVolumes {
    fn path(&self, name: &str) -> String {
        self.base.join(name).to_str().unwrap().to_owned()
    }
}

/// Copies a partition between disk and file, without its zeros.
fn load(disk: &mut dyn Disk, offset: u64, path: &str) {
    use std::io::Read;
    let mut file = fs::File::open(path).unwrap();
    let zeros = vec![0; 1 << 20];
    let mut chunk = zeros.clone();
    let mut at = offset;
    loop {
        let len = file.read(&mut chunk).unwrap();
        if len == 0 {
            return;
        }
        if chunk[..len] != zeros[..len] {
            disk.write_at(at, &chunk[..len]).unwrap();
        }
        at += len as u64;
    }
}

impl Volumes for ToolVolumes {
    fn mount(&mut self, _: &mut dyn Disk, layout: &Layout) -> Result<OwnedFd, VolumesError> {
        let root = self.base.join("root");
        fs::create_dir(&root).unwrap();
        self.layout = Some(layout.clone());
        Ok(fs::File::open(root).unwrap().into())
    }

    fn unmount(&mut self, disk: &mut dyn Disk, _: OwnedFd) -> Result<(), VolumesError> {
        let layout = self.layout.take().unwrap();
        let partition = layout.partition(Role::Root).unwrap();
        let (offset, len) = (layout.offset_bytes(partition), layout.len_bytes(partition));
        let uuid = partition.content_id;
        let image = self.path("root.img");
        fs::File::create(&image).unwrap().set_len(len).unwrap();
        tool(
            "/sbin/mke2fs",
            &[
                "-q",
                "-F",
                "-t",
                "ext4",
                "-U",
                &uuid.to_string(),
                "-d",
                &self.path("root"),
                &image,
            ],
        );
        load(disk, offset, &image);
        Ok(())
    }
}

fn packages_of(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    // Base first, as a donor sends them.
    paths.sort_by_key(|path| !path.to_string_lossy().contains("base"));
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths
        .iter()
        .map(|path| (name(path), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn real_file_systems_on_the_committed_disk_are_clean() {
    let packages = match std::env::var_os("SMV_TEST_PACKAGES") {
        Some(directory) => packages_of(Path::new(&directory)),
        None => vec![
            ("base".to_owned(), base_package()),
            ("grub".to_owned(), grub_package()),
        ],
    };
    let packages: Vec<(&str, Vec<u8>)> = packages
        .iter()
        .map(|(name, data)| (name.as_str(), data.clone()))
        .collect();
    let dir = TempDir::new().unwrap();
    let mut disk = Recorder::new(old_disk(2 << 30, SectorSize::B512));
    let mut volumes = ToolVolumes {
        base: dir.path().to_owned(),
        layout: None,
    };
    let bytes = stream(&packages);
    let mut source = bytes.as_slice();
    let installed = deploy(
        &mut Records::open(&mut source).unwrap(),
        &mut disk,
        &mut volumes,
        &OPTIONS,
        &|_: Event| {},
    )
    .unwrap();
    let layout = installed.layout();
    must_hold_only(
        &disk.disk,
        layout,
        &[(Role::Esp, "vfat"), (Role::Root, "ext4")],
    );
    for (role, check) in [(Role::Esp, "/sbin/fsck.vfat"), (Role::Root, "/sbin/e2fsck")] {
        let partition = layout.partition(role).unwrap();
        let path = dir.path().join("check.img");
        disk.disk.save_part(
            &path,
            layout.offset_bytes(partition),
            layout.len_bytes(partition),
        );
        let args = if role == Role::Root {
            vec!["-fn"]
        } else {
            vec!["-n"]
        };
        tool(check, &[args, vec![path.to_str().unwrap()]].concat());
        if role == Role::Esp {
            let entry = tool(
                "mtype",
                &[
                    "-i",
                    path.to_str().unwrap(),
                    "::loader/entries/smechvisor.conf",
                ],
            );
            assert_eq!(entry, installed.entry().unwrap().to_string());
        }
    }
    if let Some(image) = std::env::var_os("SMV_TEST_IMAGE") {
        disk.disk.save(Path::new(&image));
    }
}
