use super::*;
use crate::actors::stranger::Noise;
use disk::fakes::grub_images::{boot_img, core_img};
use std::path::PathBuf;
use wire::ledger::Trial;
use wire::record::ATTEMPTS;

fn release(counter: u64) -> Release {
    let mut noise = Noise(counter);
    let image: Vec<u8> = (0..3 * MIB / 2).map(|_| noise.byte()).collect();
    let manifest = format!("counter {counter}\n").into_bytes();
    Release::new(image, manifest, b"signed\n".to_vec(), counter)
}

/// A directory that is gone when its test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("qemu-node-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn make(scratch: &Scratch) -> (NodeDisk, [Release; 2]) {
    let releases = [release(1), release(2)];
    let [first, second] = &releases;
    let images = GrubImages {
        efi: b"efi".to_vec(),
        boot: boot_img(),
        core: core_img(20_000),
    };
    let mut ledger = Ledger::default();
    ledger.current = Some(first.version);
    ledger.trial = Some(Trial {
        version: second.version,
        key: None,
        left: ATTEMPTS,
    });
    let record = BootRecord::new(Slot::A).armed();
    let held = [(Slot::A, first), (Slot::B, second)];
    let path = scratch.0.join("node.img");
    let node = NodeDisk::make(&path, &images, &record, &held, &ledger, "mke2fs".as_ref());
    (node.unwrap(), releases)
}

#[test]
fn everything_that_was_asked_for_is_on_it() {
    let scratch = Scratch::new("made");
    let (node, [first, second]) = make(&scratch);
    let record = BootRecord::new(Slot::A).armed();
    assert_eq!(node.copies().unwrap(), Copies::of(&record));
    assert!(node.holds(Slot::A, &first).unwrap() && node.holds(Slot::B, &second).unwrap());
    assert!(!node.holds(Slot::A, &second).unwrap());
    Image::new(node.path(), SECTOR_BYTES)
        .must_have_tables()
        .unwrap();
    let state = partition(&node.layout, Role::State).unwrap();
    let mut debugfs = Command::new("debugfs");
    debugfs.args(["-R", &format!("cat /{LEDGER}")]);
    let at = node.layout.offset_bytes(state);
    let text = run(debugfs.arg(format!("{}?offset={at}", node.path().display()))).unwrap();
    let ledger = Ledger::parse(text.as_bytes()).unwrap();
    assert_eq!(ledger.trial.unwrap().version, second.version);
}

#[test]
fn a_copy_is_damaged_alone_and_where_it_was_meant_to_be() {
    let scratch = Scratch::new("damaged");
    let (node, [_, second]) = make(&scratch);
    let copy = node.copy(&scratch.0.join("copy.img")).unwrap();
    let at = copy.find(Slot::B, &second.image[70_000..74_096]).unwrap();
    assert_eq!(at, node.slot(Slot::B).unwrap().offset_bytes + 70_000);
    copy.flip(at).unwrap();
    assert!(!copy.holds(Slot::B, &second).unwrap());
    copy.flip(at).unwrap();
    assert!(copy.holds(Slot::B, &second).unwrap());
    copy.zero(at, 4096).unwrap();
    assert!(!copy.holds(Slot::B, &second).unwrap() && node.holds(Slot::B, &second).unwrap());
    assert!(copy.find(Slot::B, b"not there").is_err());

    for place in Place::ALL {
        copy.zero(copy.place(place).unwrap(), 512).unwrap();
    }
    assert!(copy.copies().unwrap().record().is_err());
    let record = BootRecord::new(Slot::B);
    copy.write_record(&record).unwrap();
    assert_eq!(copy.copies().unwrap(), Copies::of(&record));
}
