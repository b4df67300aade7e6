use super::{Access, Child, SYS_CLASS_BLOCK, SlotDisks, SlotDisksError, child, open};
use crate::children::awaited::Awaited;
use disk::disk::{Disk, SectorSize};
use disk::layout::{self, Layout, Role};
use disk::sizes::{LayoutKind, Sizes, Swap};
use disk::table;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic;
use std::path::Path;
use std::process::{Command, Stdio};
use uuid::Uuid;
use wire::record::Slot;
use wire::running::Running;

const MIB: u64 = 1 << 20;

fn running(slot: Slot) -> Running<'static> {
    Running {
        slot,
        product: "smv-x86_64",
        version: "1",
        counter: 1,
        digest: None,
        hash: [0; 32],
        trial: None,
        fell: false,
        disk: "/dev/vda",
        watchdog: None,
    }
}

/// A disk with two slots, as a file `dev/vda` below `root`.
fn image(root: &Path) -> Layout {
    let sizes = Sizes {
        swap: Swap::None,
        layout: LayoutKind::Ab {
            slot_bytes: Some(64 * MIB),
        },
        ..Sizes::USUAL
    };
    let mut id = 0;
    let mut fresh = || {
        id += 1;
        Uuid::from_u128(id)
    };
    let layout = layout::plan(1024 * MIB, SectorSize::B512, sizes, &mut fresh).unwrap();
    fs::create_dir_all(root.join("dev")).unwrap();
    let file = File::create(root.join("dev/vda")).unwrap();
    file.set_len(1024 * MIB).unwrap();
    let tables = table::build(&layout).unwrap();
    for piece in [&tables.backup, &tables.primary] {
        file.write_all_at(&piece.bytes, piece.offset_bytes).unwrap();
    }
    file.write_all_at(&tables.protective_mbr, 0).unwrap();
    layout
}

fn opened(root: &Path, slot: Slot) -> Result<SlotDisks, SlotDisksError> {
    opened_for(root, slot, Access::Change)
}

fn opened_for(root: &Path, slot: Slot, access: Access) -> Result<SlotDisks, SlotDisksError> {
    open(&running(slot), access, root, Path::new("/nonexistent"))
}

#[test]
fn esp_and_the_other_slot_are_written_and_what_runs_is_not() {
    for slot in Slot::ALL {
        let dir = tempfile::tempdir().unwrap();
        let layout = image(dir.path());
        let mut disks = opened(dir.path(), slot).unwrap();
        assert_eq!(disks.idle_slot.slot(), slot.other());
        disks.esp.write_at(0, &[1; 512]).unwrap();
        disks.idle.write_at(0, &[2; 512]).unwrap();
        disks.idle.flush().unwrap();
        assert!(disks.running.write_at(0, &[3; 512]).is_err());
        assert!(disks.running.zero_at(0, 512).is_err());
        let file = File::open(dir.path().join("dev/vda")).unwrap();
        for (role, expected) in [
            (Role::Esp, 1),
            (Role::Slot(slot), 0),
            (Role::Slot(slot.other()), 2),
        ] {
            let at = layout.offset_bytes(layout.partition(role).unwrap());
            let mut found = [9; 512];
            file.read_exact_at(&mut found, at).unwrap();
            assert_eq!(found, [expected; 512], "{role:?}");
        }
        let (_, a, b) = disks.parts();
        let names = [a.name().to_owned(), b.name().to_owned()];
        assert_eq!(names, ["slot a of /dev/vda", "slot b of /dev/vda"]);
    }
}

#[test]
fn looking_takes_no_claim_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    image(dir.path());
    let changing = opened(dir.path(), Slot::A).unwrap();
    let mut looking = opened_for(dir.path(), Slot::A, Access::Look).unwrap();
    looking.esp.read_at(0, &mut [0; 512]).unwrap();
    assert!(looking.esp.write_at(0, &[1; 512]).is_err());
    assert!(looking.idle.write_at(0, &[1; 512]).is_err());
    drop(changing);
}

#[test]
fn nothing_beyond_a_partition_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    image(dir.path());
    let mut disks = opened(dir.path(), Slot::A).unwrap();
    assert_eq!(disks.idle.size_bytes(), 64 * MIB);
    for offset in [64 * MIB, 64 * MIB - 256, u64::MAX, u64::MAX - 600 * MIB] {
        let error = disks.idle.write_at(offset, &[1; 512]).unwrap_err();
        assert_eq!(error.disk, "slot b of /dev/vda");
        assert!(disks.idle.read_at(offset, &mut [0; 512]).is_err());
        assert!(disks.idle.zero_at(offset, 512).is_err());
    }
}

#[test]
fn a_partition_of_another_number_type_or_name_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let layout = image(dir.path());
    let path = dir.path().join("dev/vda");
    let file = File::options().write(true).open(&path).unwrap();
    // The entry of partition 5: its type is its first byte, its name begins at byte 56.
    let entry = 2 * 512 + 4 * 128;
    let mut good = vec![0; 64 << 10];
    let reader = File::open(&path).unwrap();
    reader.read_exact_at(&mut good, 0).unwrap();
    for at in [entry, entry + 15, entry + 56, entry + 90] {
        let byte = good[usize::try_from(at).unwrap()];
        file.write_all_at(&[byte ^ 1], at).unwrap();
        let error = opened(dir.path(), Slot::A).unwrap_err();
        assert!(
            matches!(error, SlotDisksError::Missing { number: 5, .. }),
            "{error}"
        );
        file.write_all_at(&[byte], at).unwrap();
    }
    // The same entry in another place.
    let from = usize::try_from(entry).unwrap();
    file.write_all_at(&good[from..from + 128], entry + 2 * 128)
        .unwrap();
    file.write_all_at(&[0; 128], entry).unwrap();
    let error = opened(dir.path(), Slot::A).unwrap_err().to_string();
    let expected = "/dev/vda has no partition 5 with the type and name of the slot b of a deploy";
    assert_eq!(error, expected);
    assert_eq!(layout.partition(Role::Slot(Slot::B)).unwrap().number, 5);
    fs::remove_file(&path).unwrap();
    let error = opened(dir.path(), Slot::A).unwrap_err();
    assert!(matches!(error, SlotDisksError::Disk { .. }), "{error}");
}

#[test]
fn partitions_are_found_by_number_whatever_their_disk_is_called() {
    let dir = tempfile::tempdir().unwrap();
    for (disk, between) in [("vda", ""), ("sdaa", ""), ("nvme0n1", "p")] {
        let sys = dir.path().join(disk);
        for number in [1, 3, 5, 15] {
            let name = format!("{disk}{between}{number}");
            let part = sys.join(&name);
            fs::create_dir_all(&part).unwrap();
            for (attribute, text) in [
                ("partition", number.to_string()),
                ("start", "2048".to_owned()),
                ("size", "8".to_owned()),
                ("dev", format!("259:{number}")),
            ] {
                fs::write(part.join(attribute), format!("{text}\n")).unwrap();
            }
        }
        fs::create_dir(sys.join("queue")).unwrap();
        let expected = Child {
            name: format!("{disk}{between}5"),
            offset: MIB,
            len_bytes: 4096,
            device: (259, 5),
        };
        assert_eq!(child(&sys, 5).unwrap(), Some(expected));
        assert_eq!(child(&sys, 2).unwrap(), None);
        fs::remove_file(sys.join(format!("{disk}{between}3/dev"))).unwrap();
        assert_eq!(child(&sys, 3).unwrap(), None, "half a description");
    }
    assert!(child(Path::new("/nonexistent"), 1).is_err());
}

#[test]
#[ignore = "needs root"] // for a block device with partitions
fn partitions_of_a_device_are_opened_by_their_own_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let layout = image(dir.path());
    let losetup = |args: &[&str]| {
        let mut command = Command::new("losetup");
        command.args(args).stdout(Stdio::piped());
        // A plain wait would lose its status to another test, which reaps everybody.
        let mut run = Awaited::start(&mut command).unwrap();
        let said = io::read_to_string(run.child().stdout.take().unwrap()).unwrap();
        run.wait().unwrap();
        said.trim().to_owned()
    };
    let file = dir.path().join("dev/vda").display().to_string();
    let device = losetup(&["--find", "--show", "--partscan", &file]);
    // Not every kernel reads a GPT.
    let whole = File::open(&device).unwrap();
    for partition in &layout.partitions {
        let (at, len) = (layout.offset_bytes(partition), layout.len_bytes(partition));
        let _ = sys::block::add_partition(&whole, partition.number, at, len);
    }
    let running = Running {
        disk: &device,
        ..running(Slot::B)
    };
    let sys = Path::new(SYS_CLASS_BLOCK);
    let open = |access| open(&running, access, Path::new("/"), sys);
    let checked = panic::catch_unwind(|| {
        let mut disks = open(Access::Change).unwrap();
        assert_eq!(disks.idle.name(), format!("{device}p3"));
        assert_eq!(disks.running.name(), format!("{device}p5"));
        disks.idle.write_at(4096, &[7; 4096]).unwrap();
        disks.idle.flush().unwrap();
        disks.idle.forget_cache().unwrap();
        let medium = disks.idle.medium().unwrap();
        assert_eq!(medium.unwrap().read(4096, 4096).unwrap(), [7; 4096]);
        let written = disks.idle.written().unwrap();
        let before = written.now();
        assert_eq!(written.now(), before);
        disks.idle.write_at(4096, &[8; 4096]).unwrap();
        disks.idle.flush().unwrap();
        assert!(before.is_none() || written.now() != before, "{before:?}");
        assert!(disks.running.write_at(0, &[1; 512]).is_err());
        // The claim: nobody else writes it, and looking is allowed.
        let error = open(Access::Change).unwrap_err();
        assert!(matches!(error, SlotDisksError::Disk { .. }), "{error}");
        open(Access::Look).unwrap();
    });
    for partition in &layout.partitions {
        let _ = sys::block::delete_partition(&whole, partition.number);
    }
    losetup(&["--detach", &device]);
    if let Err(panicked) = checked {
        panic::resume_unwind(panicked);
    }
}
