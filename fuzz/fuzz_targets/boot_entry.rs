//! The boot files of an installed system: the entry on the ESP, `os-release`,
//! `fstab`, and the options for the kernel. No panic; an entry that is taken stays the same through
//! both boot loaders' formats, no text becomes a second line or word of GRUB's, and rewriting twice
//! changes nothing.
//!
//! The first byte chooses.
#![no_main]

use disk::disk::SectorSize;
use disk::entry::{BootEntry, OPTIONS_MAX};
use disk::layout::{Layout, plan};
use disk::menu::grub_cfg;
use disk::sizes::Sizes;
use install::boot_files::pretty_name;
use install::fstab::rewrite;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const GUID: Uuid = Uuid::from_u128(7);

fn layout() -> Layout {
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        Uuid::from_u128(next)
    };
    plan(16 << 30, SectorSize::B512, Sizes::USUAL, &mut fresh).expect("room for all")
}

/// GRUB ends a quoted word at the next quote, and nowhere else.
fn menu(entry: &BootEntry) {
    let Ok(menu) = grub_cfg(entry) else { return };
    assert_eq!(menu.matches('\'').count() % 2, 0);
    assert_eq!(
        menu.lines().count(),
        10 + usize::from(entry.initrd.is_some()),
        "{menu}"
    );
}

fn judge(entry: &BootEntry) {
    assert!(entry.options.len() <= OPTIONS_MAX);
    let read = BootEntry::parse(&entry.to_string());
    assert_eq!(read.as_ref(), Ok(entry));
    menu(entry);
}

fn tables(old: &[u8]) {
    let layout = layout();
    let new = rewrite(old, &layout);
    let again = rewrite(&new.bytes, &layout);
    assert_eq!(again.bytes, new.bytes, "twice changes nothing");
    assert_eq!(
        again.foreign,
        Vec::<String>::new(),
        "what is a comment is not foreign"
    );
    let roots = new.bytes.split(|byte| *byte == b'\n').filter(|line| {
        let mut fields = line
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty());
        let is_comment = fields.next().is_none_or(|device| device.starts_with(b"#"));
        !is_comment && fields.next() == Some(b"/") && fields.next().is_some()
    });
    assert_eq!(roots.count(), 1, "one root");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match choice % 4 {
        0 => {
            if let Ok(entry) = BootEntry::parse(&text) {
                judge(&entry);
            }
        }
        1 => {
            if let Ok(entry) = BootEntry::new("t", GUID, choice & 4 == 0, &text) {
                judge(&entry);
            }
        }
        2 => {
            if let Some(name) = pretty_name(&text) {
                let entry = BootEntry::new(&name, GUID, true, "quiet").expect("a name for a menu");
                judge(&entry);
                assert!(grub_cfg(&entry).is_ok(), "a menu takes it");
            }
        }
        _ => tables(rest),
    }
});
