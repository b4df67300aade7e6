//! What is changed against what is made so, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use session::keys::{PinnedKeys, holds_private_key};
use wire::chain::chain;

use super::{Change, Customize};
use crate::iso;
use crate::packed::unpack;
use crate::program::tests::program;
use crate::request::carried::Carried;
use crate::request::image::Image;
use crate::request::show::{FileKind, show};
use crate::request::wifi;
use crate::shim::{Shim, tests::kernel};
use crate::test_dir::TestDir;
use crate::uki::{self, STUB};

const KEY: &str = "RWST4ncUvHi+bb3oUyAVlzt65URkTmXF9PXtORnHGDylLAgCJ8JiRWKG";
const OTHER: &str = "RWSFhp/PX3yaECDmVHIt9jBA+UL1c6a+4Qqpatx6NRr9AbAtLUYSwa41";

/// What images and changes are made of.
fn world(name: &str) -> TestDir {
    let dir = TestDir::new(name);
    let (_, target) = PinnedKeys::draw().unwrap();
    let target = target.to_text();
    let files: [(&str, &[u8]); 8] = [
        ("kernel", &kernel()),
        (
            "modules/modules.builtin",
            b"kernel/net/packet/af_packet.ko\nkernel/fs/ext4/ext4.ko\n\
              kernel/net/wireless/cfg80211.ko\n",
        ),
        ("firmware/regulatory.db", b"RGDB...."),
        ("firmware/regulatory.db.p7s", b"signed"),
        ("workshop", b"ssid=Workshop\npassphrase=correct horse\n"),
        ("office", b"ssid=Office\n"),
        ("program", &program()),
        ("shim", target.as_bytes()),
    ];
    for (name, bytes) in files {
        dir.write(name, bytes);
    }
    dir
}

/// An image without wishes.
fn image(dir: &TestDir, output: &str) -> Image {
    let file = |name| dir.path().join(name);
    Image {
        init: file("program"),
        mke2fs: file("program"),
        output: file(output),
        trust: Vec::new(),
        floor: None,
        pinned: None,
        modules: None,
        wifi: None,
    }
}

fn wireless(dir: &TestDir, network: Option<&str>, output: &str) -> Image {
    let file = |name: &str| dir.path().join(name);
    Image {
        modules: Some(Carried {
            kernel: file("kernel"),
            directory: file("modules"),
            words: Vec::new(),
            is_hostonly: false,
            firmware: Some(file("firmware")),
        }),
        wifi: Some(wifi::Parts {
            supplicant: file("program"),
            network: network.map(file),
        }),
        ..image(dir, output)
    }
}

fn customize(dir: &TestDir, file: &str) -> Customize {
    Customize {
        file: dir.path().join(file),
        output: Some(dir.path().join("new")),
        ..Customize::default()
    }
}

fn read(dir: &TestDir, name: &str) -> Vec<u8> {
    fs::read(dir.path().join(name)).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_changed_is_what_would_have_been_made() {
    let dir = world("customize-same");
    let plain = image(&dir, "plain");
    let locked = Image {
        trust: vec![KEY.into()],
        floor: Some(7),
        pinned: Some(dir.path().join("shim")),
        ..image(&dir, "locked")
    };
    plain.make().unwrap();
    locked.make().unwrap();
    let lock = Customize {
        trust: Change::Set(vec![KEY.into()]),
        floor: Change::Set(7),
        pinned: Change::Set(dir.path().join("shim")),
        ..customize(&dir, "plain")
    };
    let changed = lock.make().unwrap();
    assert!(read(&dir, "new") == read(&dir, "locked"));
    assert_eq!(mode(&dir.path().join("new")), 0o600);
    assert_eq!(changed.after, show(&dir.path().join("new")).unwrap());
    let told = changed.after.told.unwrap();
    assert_eq!((told.policy, told.floor), ("pinned", Some(7)));
    assert_eq!(told.trust, [KEY]);
    assert!(told.donor.is_some() && told.network.is_none());

    let unlock = Customize {
        trust: Change::Remove,
        floor: Change::Remove,
        pinned: Change::Remove,
        ..customize(&dir, "locked")
    };
    unlock.make().unwrap();
    assert!(read(&dir, "new") == read(&dir, "plain"));
    assert!(!holds_private_key(&unpack(read(&dir, "new")).unwrap()));
}

#[test]
fn the_network_of_an_image_is_another_one_afterwards() {
    let dir = world("customize-wifi");
    for (network, name) in [
        (None, "none"),
        (Some("workshop"), "old"),
        (Some("office"), "other"),
    ] {
        wireless(&dir, network, name).make().unwrap();
    }
    for (from, network, to) in [
        ("none", Change::Set(dir.path().join("office")), "other"),
        ("old", Change::Set(dir.path().join("office")), "other"),
        ("old", Change::Remove, "none"),
    ] {
        let change = Customize {
            network,
            ..customize(&dir, from)
        };
        let changed = change.make().unwrap();
        assert!(read(&dir, "new") == read(&dir, to), "{from} to {to}");
        assert!(changed.before.can_join && changed.after.can_join);
        assert!(!format!("{changed:?}").contains("horse"), "{changed:?}");
    }
    let inside = unpack(read(&dir, "new")).unwrap();
    assert!(
        !inside.windows(5).any(|bytes| bytes == b"horse"),
        "the passphrase stayed"
    );
}

/// An image and a program with the same initramfs and command line.
fn media(dir: &TestDir) -> [PathBuf; 2] {
    image(dir, "initramfs").make().unwrap();
    let shim = Shim::new(kernel(), read(dir, "initramfs"), "quiet smv.after=kexec").unwrap();
    let iso = iso::image(&shim, 5, None, &dir.path().join("iso")).unwrap();
    dir.write("iso", &iso);
    let stub = fs::read(STUB).expect("systemd-boot-efi is needed by this test");
    dir.write("uki", &uki::assemble(&shim, &stub).unwrap());
    ["iso", "uki"].map(|name| dir.path().join(name))
}

#[test]
fn words_and_keys_of_every_medium_are_changed_and_back_again() {
    let dir = world("customize-media");
    for file in media(&dir) {
        let there = Customize {
            file: file.clone(),
            output: Some(dir.path().join("new")),
            set: vec!["smv.after=poweroff".into(), "smv.ui=plain".into()],
            unset: vec!["quiet".into()],
            trust: Change::Set(vec![OTHER.into()]),
            ..Customize::default()
        };
        let changed = there.make().unwrap();
        let first = read(&dir, "new");
        there.make().unwrap();
        assert!(read(&dir, "new") == first, "the same bytes again");
        assert_eq!(changed.after, show(&dir.path().join("new")).unwrap());
        assert_eq!(
            changed.after.cmdline.as_deref(),
            Some("console=tty0 console=ttyS0,115200 smv.after=poweroff smv.ui=plain")
        );
        assert_eq!(changed.after.release.as_deref(), Some("6.12.9"));
        assert_eq!(changed.after.told.unwrap().trust, [OTHER]);
        let back = Customize {
            file: dir.path().join("new"),
            output: Some(dir.path().join("back")),
            cmdline: Some("quiet smv.after=kexec".into()),
            trust: Change::Remove,
            ..Customize::default()
        };
        let changed = back.make().unwrap();
        assert_eq!(changed.after.cmdline, show(&file).unwrap().cmdline);
        assert!(
            read(&dir, "back") == fs::read(&file).unwrap(),
            "{}",
            file.display()
        );
    }
}

#[test]
fn only_a_menu_waits() {
    let dir = world("customize-timeout");
    let [iso, uki] = media(&dir);
    let change = |file: PathBuf| Customize {
        file,
        timeout_seconds: Some(60),
        ..customize(&dir, "")
    };
    let kind = change(iso).make().unwrap().after.kind;
    assert_eq!(
        kind,
        FileKind::Iso {
            timeout_seconds: 60
        }
    );
    assert!(change(uki).make().is_err());
    assert!(change(dir.path().join("initramfs")).make().is_err());
}

#[test]
fn a_trial_writes_nothing() {
    let dir = world("customize-trial");
    for file in media(&dir) {
        let change = Customize {
            file,
            output: None,
            set: vec!["smv.ui=plain".into()],
            ..Customize::default()
        };
        let before = fs::read_dir(dir.path()).unwrap().count();
        let changed = change.make().unwrap();
        assert_ne!(changed.before.cmdline, changed.after.cmdline);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
    }
}

#[test]
fn what_the_shim_could_not_follow_is_refused_and_nothing_is_written() {
    let dir = world("customize-refused");
    let [iso, _] = media(&dir);
    Image {
        trust: vec![KEY.into()],
        floor: Some(7),
        ..image(&dir, "locked")
    }
    .make()
    .unwrap();
    dir.write("other-iso", &vec![0; 40 * 2048]);
    let on_iso = || Customize {
        file: iso.clone(),
        ..customize(&dir, "")
    };
    let set = |word: &str| Customize {
        set: vec![word.into()],
        ..on_iso()
    };
    let pinned = Change::Set(dir.path().join("shim"));
    let cases = [
        (set("smv.after=never"), "reboot, kexec or poweroff"),
        (set("smv.aftr=kexec"), "unknown key smv.aftr"),
        (set("smv.policy=pinned"), "needs /etc/smv/pinned"),
        (set("a='b'"), "boot loaders change"),
        (set("a=b c"), "one word"),
        (set(""), "one word"),
        (
            Customize {
                pinned,
                ..set("smv.policy=legacy")
            },
            "pins this image to one donor",
        ),
        (
            Customize {
                network: Change::Set(dir.path().join("office")),
                ..on_iso()
            },
            "media image --wifi",
        ),
        (
            Customize {
                trust: Change::Set(vec!["RWnokey".into()]),
                ..on_iso()
            },
            "RWnokey",
        ),
        (
            Customize {
                trust: Change::Remove,
                ..customize(&dir, "locked")
            },
            "without a key, anyone can write any counter",
        ),
        (
            Customize {
                set: vec!["smv.ui=plain".into()],
                ..customize(&dir, "locked")
            },
            "no command line",
        ),
        (customize(&dir, "other-iso"), "no ISO image"),
        (customize(&dir, "program"), "no ISO image"),
        (customize(&dir, "missing"), "missing"),
    ];
    for (change, expected) in cases {
        let error = chain(&change.make().unwrap_err()).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!dir.path().join("new").exists(), "{expected}");
    }
}
