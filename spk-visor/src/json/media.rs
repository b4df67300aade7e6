//! What is in a boot medium, as JSON for a script (`boot-iso.md` 6).

use mkinitramfs::request::customize::Customized;
use mkinitramfs::request::show::{FileKind, Seen};

use super::Object;

/// One object.
#[must_use]
pub fn seen(seen: &Seen) -> Object {
    let mut object = Object::new();
    match seen.kind {
        FileKind::Iso { timeout_seconds } => {
            object.text("kind", "iso");
            object.number("timeout", timeout_seconds.into());
        }
        FileKind::Uki { is_signed } => {
            object.text("kind", "uki").flag("signed", is_signed);
        }
        FileKind::Initramfs => {
            object.text("kind", "initramfs");
        }
    }
    object.number("bytes", seen.len);
    let texts = [("kernel", &seen.release), ("cmdline", &seen.cmdline)];
    for (name, value) in texts {
        if let Some(value) = value {
            object.text(name, value);
        }
    }
    object
        .number("modules", seen.modules as u64)
        .number("firmware", seen.firmware as u64)
        .flag("wifi", seen.can_join);
    match &seen.told {
        Ok(told) => {
            object
                .text("policy", told.policy)
                .texts("trust", &told.trust);
            if let Some(floor) = told.floor {
                object.number("floor", floor);
            }
            if let Some(donor) = &told.donor {
                object.text("donor", donor);
            }
            if let Some(network) = &told.network {
                object.text("network", network);
            }
        }
        Err(why) => {
            object.text("problem", why);
        }
    }
    object
}

/// One line: the medium before and after.
#[must_use]
pub fn customized(customized: &Customized) -> String {
    let mut object = Object::new();
    object.object("before", seen(&customized.before));
    object.object("after", seen(&customized.after));
    object.finish() + "\n"
}
