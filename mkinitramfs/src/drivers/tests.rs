mod slot;
mod wireless;

use super::{Choice, Directory, Drivers, DriversError, modaliases_of_host};
use crate::modinfo::tests::module;
use crate::packed::tests::xz;
use crate::test_dir::TestDir;
use crate::tree::{Node, Tree};

const RELEASE: &str = "6.12.9-amd64";

/// A kernel with ext4 as a module, packet sockets built in, and cards of every kind of name.
fn kernel(name: &str) -> TestDir {
    let dir = TestDir::new(name);
    let vermagic = format!("vermagic={RELEASE} SMP preempt mod_unload modversions ");
    let plain = module(&[&vermagic]);
    let tg3 = module(&[
        "firmware=tigon/tg3.bin",
        &vermagic,
        "firmware=tigon/tg3_tso.bin",
    ]);
    for path in [
        "fs/ext4/ext4",
        "fs/jbd2/jbd2",
        "crypto/crc32c_generic",
        "drivers/net/ethernet/intel/e1000e/e1000e",
        "drivers/net/phy/libphy",
        "drivers/scsi/scsi_debug",
        "drivers/scsi/virtio_scsi",
        "sound/snd-hda",
    ] {
        dir.write(&format!("kernel/{path}.ko"), &plain);
    }
    dir.write("kernel/drivers/net/ethernet/broadcom/tg3.ko.xz", &xz(&tg3));
    dir.write(
        "modules.dep",
        b"kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\n\
          kernel/fs/jbd2/jbd2.ko:\n\
          kernel/crypto/crc32c_generic.ko:\n\
          kernel/drivers/net/ethernet/broadcom/tg3.ko.xz: kernel/drivers/net/phy/libphy.ko\n\
          kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko:\n\
          kernel/drivers/net/phy/libphy.ko:\n\
          kernel/drivers/scsi/scsi_debug.ko:\n\
          kernel/drivers/scsi/virtio_scsi.ko:\n\
          kernel/sound/snd-hda.ko:\n",
    );
    dir.write(
        "modules.alias",
        b"# Aliases\n\
          alias fs-ext4 ext4\n\
          alias crypto-crc32c crc32c_generic\n\
          alias pci:v000014E4d00001692sv*sd*bc*sc*i* tg3\n\
          alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e\n\
          alias virtio:d00000008v* virtio_scsi\n\
          alias pci:v*d*sv*sd*bc04sc03i00* snd_hda\n",
    );
    dir.write(
        "modules.softdep",
        b"softdep ext4 pre: crypto-crc32c\nsoftdep btrfs pre: crypto-crc32c\n",
    );
    dir.write(
        "modules.builtin",
        b"kernel/net/packet/af_packet.ko\nkernel/drivers/input/atkbd.ko\n",
    );
    dir.write(
        "modules.builtin.modinfo",
        b"atkbd.license=GPL\0acme.firmware=acme/rocket.bin\0",
    );
    dir
}

fn words(words: &[&str]) -> Choice {
    Choice {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Choice::default()
    }
}

fn put(dir: &TestDir, choice: &Choice) -> Result<(Tree, Drivers), DriversError> {
    let mut tree = Tree::default();
    let drivers = Directory::read(dir.path())?.put(choice, RELEASE, &mut tree)?;
    Ok((tree, drivers))
}

/// Names of modules in the order of their paths.
fn carried(tree: &Tree) -> Vec<&str> {
    let paths = tree.iter().map(|(path, _)| path);
    let modules = paths.filter_map(|path| path.strip_suffix(".ko"));
    modules
        .map(|path| path.rsplit('/').next().unwrap())
        .collect()
}

fn text(tree: &Tree, name: &str) -> String {
    let at = format!("lib/modules/{RELEASE}/{name}");
    let found = tree.iter().find(|(path, _)| *path == at).unwrap();
    match found.1 {
        Node::Data(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_choice_it_is_what_networks_and_disks_need() {
    let dir = kernel("usual");
    let (tree, drivers) = put(&dir, &Choice::default()).unwrap();
    assert_eq!(
        carried(&tree),
        [
            "crc32c_generic",
            "tg3",
            "e1000e",
            "libphy",
            "virtio_scsi",
            "ext4",
            "jbd2"
        ]
    );
    assert_eq!(drivers.count, 7);
    let firmware: Vec<&String> = drivers.firmware.iter().collect();
    assert_eq!(
        firmware,
        ["acme/rocket.bin", "tigon/tg3.bin", "tigon/tg3_tso.bin"]
    );
}

#[test]
fn tables_speak_of_what_is_there_and_of_nothing_else() {
    let dir = kernel("tables");
    let (tree, _) = put(&dir, &words(&["tg3"])).unwrap();
    assert_eq!(
        text(&tree, "modules.dep"),
        "kernel/crypto/crc32c_generic.ko:\n\
         kernel/drivers/net/ethernet/broadcom/tg3.ko: kernel/drivers/net/phy/libphy.ko\n\
         kernel/drivers/net/phy/libphy.ko:\n\
         kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\n\
         kernel/fs/jbd2/jbd2.ko:\n"
    );
    assert_eq!(
        text(&tree, "modules.alias"),
        "alias fs-ext4 ext4\n\
         alias crypto-crc32c crc32c_generic\n\
         alias pci:v000014E4d00001692sv*sd*bc*sc*i* tg3\n"
    );
    assert_eq!(
        text(&tree, "modules.softdep"),
        "softdep ext4 pre: crypto-crc32c\n"
    );
    assert_eq!(text(&tree, "modules.load"), "");
    let again = put(&dir, &words(&["tg3"])).unwrap().0;
    assert_eq!(tree, again);
}

#[test]
fn words_are_names_patterns_and_directories() {
    let dir = kernel("words");
    let chosen = |word: &str| {
        let (tree, _) = put(&dir, &words(&[word])).unwrap();
        let own = |name: &&str| !["ext4", "jbd2", "crc32c_generic"].contains(name);
        let names: Vec<String> = carried(&tree)
            .into_iter()
            .filter(own)
            .map(str::to_owned)
            .collect();
        names.join(" ")
    };
    assert_eq!(chosen("snd_hda"), "snd-hda");
    assert_eq!(chosen("snd-hda"), "snd-hda");
    assert_eq!(chosen("*e1000*"), "e1000e");
    assert_eq!(chosen("drivers/net/"), "tg3 e1000e libphy");
    assert_eq!(chosen("kernel/drivers/scsi"), "scsi_debug virtio_scsi");
    assert_eq!(chosen("atkbd"), "", "it is built in");
    let error = put(&dir, &words(&["e1000f"])).unwrap_err().to_string();
    assert!(error.contains("\"e1000f\""), "{error}");
}

#[test]
fn what_no_device_asks_for_is_loaded_in_any_case() {
    let dir = kernel("always");
    let (tree, _) = put(&dir, &words(&["scsi_debug", "tg3", "ext4"])).unwrap();
    assert_eq!(text(&tree, "modules.load"), "scsi_debug\n");
}

#[test]
fn a_hosts_devices_choose() {
    let dir = kernel("host");
    let sys = TestDir::new("host-sys");
    for (device, modalias) in [
        (
            "pci/devices/0000:00:02.0",
            "pci:v00008086d000010D3sv00008086sd0bc02sc00i00",
        ),
        (
            "pci/devices/0000:00:03.0",
            "pci:v00001234d00001111sv00001AF4sd0bc03sc00i00",
        ),
        ("virtio/devices/virtio0", "virtio:d00000008v00001AF4"),
        ("virtio/devices/virtio1", "virtio:d00000008v00001AF4"),
    ] {
        sys.write(
            &format!("{device}/modalias"),
            format!("{modalias}\n").as_bytes(),
        );
    }
    let modaliases = modaliases_of_host(sys.path());
    assert_eq!(modaliases.len(), 3);
    let choice = Choice {
        modaliases: Some(modaliases),
        words: vec!["tg3".to_owned()],
        ..Choice::default()
    };
    let (tree, _) = put(&dir, &choice).unwrap();
    assert_eq!(
        carried(&tree),
        [
            "crc32c_generic",
            "tg3",
            "e1000e",
            "libphy",
            "virtio_scsi",
            "ext4",
            "jbd2"
        ]
    );
}

#[test]
fn modules_for_another_kernel_are_refused_with_both_names() {
    let dir = kernel("release");
    let mut tree = Tree::default();
    let directory = Directory::read(dir.path()).unwrap();
    let error = directory.put(&Choice::default(), "6.12.10-amd64", &mut tree);
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains(RELEASE) && text.contains("6.12.10-amd64"),
        "{text}"
    );
}

#[test]
fn a_directory_that_depmod_has_not_seen_is_refused_with_the_command() {
    let dir = kernel("no-depmod");
    std::fs::remove_file(dir.path().join("modules.dep")).unwrap();
    let error = Directory::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("depmod -b"), "{error}");
}

#[test]
fn a_kernel_that_has_everything_built_in_adds_only_names_of_firmware() {
    let dir = TestDir::new("all-built-in");
    dir.write(
        "modules.builtin",
        b"kernel/net/packet/af_packet.ko\nkernel/fs/ext4/ext4.ko\n\
          kernel/drivers/net/ethernet/broadcom/tg3.ko\n",
    );
    dir.write("modules.builtin.modinfo", b"tg3.firmware=tigon/tg3.bin\0");
    let (tree, drivers) = put(&dir, &Choice::default()).unwrap();
    assert_eq!(tree.iter().count(), 0);
    assert_eq!(
        drivers.firmware.iter().collect::<Vec<_>>(),
        ["tigon/tg3.bin"]
    );
    put(&dir, &words(&["tg3"])).unwrap();
}

#[test]
fn a_kernel_without_what_the_shim_needs_is_refused() {
    let dir = kernel("lacking");
    dir.write("modules.builtin", b"kernel/drivers/input/atkbd.ko\n");
    let error = put(&dir, &Choice::default()).unwrap_err().to_string();
    assert!(error.contains("af_packet"), "{error}");
}

#[test]
fn a_damaged_module_is_named() {
    let dir = kernel("damaged");
    dir.write(
        "kernel/drivers/net/ethernet/broadcom/tg3.ko.xz",
        b"\xFD7zXZ\0 no",
    );
    let error = put(&dir, &words(&["tg3"])).unwrap_err();
    assert!(matches!(error, DriversError::Packed { .. }));
    assert!(error.to_string().contains("tg3.ko.xz"), "{error}");
    dir.write(
        "kernel/drivers/net/ethernet/broadcom/tg3.ko.xz",
        b"no module",
    );
    let error = put(&dir, &words(&["tg3"])).unwrap_err();
    assert!(matches!(error, DriversError::Modinfo { .. }), "{error}");
}
