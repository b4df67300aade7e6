//! What the initramfs of a slot carries.

use super::{RELEASE, carried, kernel, put, text};
use crate::drivers::{Choice, DriversError, Purpose};
use crate::modinfo::tests::module;
use crate::test_dir::TestDir;
use std::fs;

const NEEDED: [&str; 4] = [
    "drivers/md/dm-mod",
    "drivers/md/dm-verity",
    "fs/squashfs/squashfs",
    "fs/overlayfs/overlay",
];

/// The kernel of the other tests with what a slot needs as modules.
fn slot_kernel(name: &str) -> TestDir {
    let dir = kernel(name);
    let module = module(&[&format!("vermagic={RELEASE} SMP ")]);
    let mut dep = fs::read_to_string(dir.path().join("modules.dep")).unwrap();
    for path in NEEDED {
        dir.write(&format!("kernel/{path}.ko"), &module);
        let below = match path {
            "drivers/md/dm-verity" => "kernel/drivers/md/dm-mod.ko",
            _ => "",
        };
        dep.push_str(&format!("kernel/{path}.ko: {below}\n"));
    }
    dir.write("modules.dep", dep.as_bytes());
    dir
}

fn slot() -> Choice {
    Choice {
        purpose: Purpose::Slot,
        ..Choice::default()
    }
}

#[test]
fn what_the_root_needs_is_loaded_and_network_cards_are_left_out() {
    let dir = slot_kernel("slot");
    let (tree, _) = put(&dir, &slot()).unwrap();
    assert_eq!(
        text(&tree, "modules.load"),
        "dm_mod\ndm_verity\nsquashfs\noverlay\next4\ncrc32c_generic\n"
    );
    let carried = carried(&tree);
    for name in [
        "dm-mod",
        "dm-verity",
        "squashfs",
        "overlay",
        "ext4",
        "jbd2",
        "virtio_scsi",
    ] {
        assert!(carried.contains(&name), "{name}: {carried:?}");
    }
    for name in ["tg3", "e1000e", "snd-hda", "scsi_debug"] {
        assert!(!carried.contains(&name), "{name}: {carried:?}");
    }
}

#[test]
fn a_kernel_without_one_of_them_is_refused_by_its_name() {
    for (missing, name) in NEEDED
        .iter()
        .zip(["dm_mod", "dm_verity", "squashfs", "overlay"])
    {
        let dir = slot_kernel("slot-lacks");
        let dep = fs::read_to_string(dir.path().join("modules.dep")).unwrap();
        let is_other = |line: &&str| !line.starts_with(&format!("kernel/{missing}.ko:"));
        let mut dep: Vec<&str> = dep.lines().filter(is_other).collect();
        if name == "dm_mod" {
            dep.retain(|line| !line.contains("dm-mod"));
        }
        dir.write("modules.dep", (dep.join("\n") + "\n").as_bytes());
        let error = put(&dir, &slot()).unwrap_err();
        assert!(
            matches!(error, DriversError::Lacking { name: lacking, .. } if lacking == name),
            "{name}: {error}"
        );
        // Built in it will do; what is built in is not loaded.
        let builtin = format!("kernel/{missing}.ko\nkernel/net/packet/af_packet.ko\n");
        dir.write("modules.builtin", builtin.as_bytes());
        if name != "dm_mod" {
            let (tree, _) = put(&dir, &slot()).unwrap();
            assert!(!text(&tree, "modules.load").contains(name));
        }
    }
}
