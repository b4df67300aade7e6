use std::path::PathBuf;

use mkinitramfs::request::Request;
use mkinitramfs::request::customize::{Change, Customize};
use mkinitramfs::request::{carried, image, iso, parts, pxe, slot, uki, wifi};
use wire::chain::chain;

use crate::cli::media::Media;
use crate::cli::{Command, parse};

fn read(line: &str) -> Result<Request, String> {
    match parse(line.split_whitespace().map(Into::into)) {
        Ok(Command::Media(Media::Make(request))) => Ok(request),
        Ok(other) => panic!("{line}: {other:?}"),
        Err(error) => Err(chain(&error).to_string()),
    }
}

fn read_media(line: &str) -> Media {
    match parse(line.split_whitespace().map(Into::into)) {
        Ok(Command::Media(media)) => media,
        other => panic!("{line}: {other:?}"),
    }
}

fn parts() -> parts::Parts {
    parts::Parts {
        kernel: "k".into(),
        initramfs: "i".into(),
        cmdline: "quiet".into(),
        is_secure: false,
    }
}

fn carried() -> carried::Carried {
    carried::Carried {
        kernel: "k".into(),
        directory: "d".into(),
        words: vec!["virtio_net".into(), "mlx*".into()],
        is_hostonly: true,
        firmware: Some("f".into()),
    }
}

const MODULES: &str =
    "--kernel k --modules d --module virtio_net --module mlx* --hostonly --firmware f";
const PARTS: &str = "--kernel k --initramfs i --cmdline quiet";

fn wireless() -> wifi::Parts {
    wifi::Parts {
        supplicant: "s".into(),
        network: Some("n".into()),
    }
}

#[test]
fn every_option_of_an_image_is_read() {
    let line = format!(
        "media image --init i --mke2fs m --trust a --trust b --floor 7 --pinned p {MODULES} \
         --wifi --supplicant s --wifi-network n -o o"
    );
    let expected = image::Image {
        init: "i".into(),
        mke2fs: "m".into(),
        output: "o".into(),
        trust: vec!["a".into(), "b".into()],
        floor: Some(7),
        pinned: Some("p".into()),
        modules: Some(carried()),
        wifi: Some(wireless()),
    };
    assert_eq!(read(&line), Ok(Request::Image(expected)));
    let plain = image::Image {
        init: "i".into(),
        mke2fs: "m".into(),
        output: "o".into(),
        trust: Vec::new(),
        floor: None,
        pinned: None,
        modules: None,
        wifi: None,
    };
    let line = "media image --init i --mke2fs m --output o";
    assert_eq!(read(line), Ok(Request::Image(plain)));
    let alone = wifi::Alone {
        carried: carried(),
        parts: wireless(),
        output: "o".into(),
    };
    let line = format!("media wifi {MODULES} --supplicant s --wifi-network n -o o");
    assert_eq!(read(&line), Ok(Request::Wifi(alone)));
}

#[test]
fn every_option_of_a_medium_is_read() {
    let output = || PathBuf::from("o");
    let iso = iso::Iso {
        parts: parts(),
        timeout_seconds: 9,
        output: output(),
    };
    let line = format!("media iso {PARTS} --timeout 9 -o o");
    assert_eq!(read(&line), Ok(Request::Iso(iso)));
    let uki = uki::Uki {
        parts: parts(),
        stub: "s".into(),
        output: output(),
    };
    let line = format!("media uki {PARTS} --stub s -o o");
    assert_eq!(read(&line), Ok(Request::Uki(uki)));
    let pxe = |server: Option<&str>, timeout_seconds| pxe::Pxe {
        parts: parts(),
        stub: mkinitramfs::uki::STUB.into(),
        server: server.map(|server| server.parse().unwrap()),
        timeout_seconds,
        output: output(),
    };
    let line = format!("media pxe {PARTS} --server 10.9.0.1 --timeout 0 -o o");
    assert_eq!(read(&line), Ok(Request::Pxe(pxe(Some("10.9.0.1"), 0))));
    let line = format!("media pxe {PARTS} -o o");
    assert_eq!(read(&line), Ok(Request::Pxe(pxe(None, 3))));
    for medium in ["iso", "pxe"] {
        let line = format!("media {medium} {PARTS} --secure-boot -o o");
        let (Ok(Request::Iso(iso::Iso { parts, .. })) | Ok(Request::Pxe(pxe::Pxe { parts, .. }))) =
            read(&line)
        else {
            panic!("{line}");
        };
        assert!(parts.is_secure, "{line}");
    }
}

#[test]
fn every_option_of_a_slot_is_read() {
    let line = "media slot a.tar b.tar.zst --init i --kernel k --modules d --module ext4 \
                --cmdline quiet --product p-1 --version 1.2 --counter 3 -o o";
    let expected = slot::Slot {
        packages: vec!["a.tar".into(), "b.tar.zst".into()],
        root: None,
        init: "i".into(),
        kernel: Some("k".into()),
        modules: Some("d".into()),
        words: vec!["ext4".into()],
        cmdline: Some("quiet".into()),
        product: "p-1".into(),
        version: "1.2".into(),
        counter: 3,
        output: "o".into(),
    };
    assert_eq!(read(line), Ok(Request::Slot(Box::new(expected))));
    let line = "media slot --root r --init i --version 1 --counter 1 -o o";
    let expected = slot::Slot {
        packages: Vec::new(),
        root: Some("r".into()),
        init: "i".into(),
        kernel: None,
        modules: None,
        words: Vec::new(),
        cmdline: None,
        product: "smv-x86_64".into(),
        version: "1".into(),
        counter: 1,
        output: "o".into(),
    };
    assert_eq!(read(line), Ok(Request::Slot(Box::new(expected))));
}

#[test]
fn a_finished_medium_is_shown() {
    for (line, is_json) in [("media show f", false), ("media show --json f", true)] {
        let file = "f".into();
        assert_eq!(read_media(line), Media::Show { file, is_json });
    }
}

#[test]
fn every_change_of_a_medium_is_read() {
    let line = "media customize f --cmdline quiet --set a=b --set c --unset d --unset e \
        --timeout 9 --trust k --trust l --floor 7 --pinned p --wifi-network n -o o";
    let options = Customize {
        file: "f".into(),
        output: Some("o".into()),
        cmdline: Some("quiet".into()),
        unset: vec!["d".into(), "e".into()],
        set: vec!["a=b".into(), "c".into()],
        timeout_seconds: Some(9),
        trust: Change::Set(vec!["k".into(), "l".into()]),
        floor: Change::Set(7),
        pinned: Change::Set("p".into()),
        network: Change::Set("n".into()),
    };
    let is_json = false;
    assert_eq!(read_media(line), Media::Customize { options, is_json });
    let line = "media customize f --no-trust --no-floor --no-pinned --no-wifi-network \
        --json --dry-run";
    let options = Customize {
        file: "f".into(),
        trust: Change::Remove,
        floor: Change::Remove,
        pinned: Change::Remove,
        network: Change::Remove,
        ..Customize::default()
    };
    let is_json = true;
    assert_eq!(read_media(line), Media::Customize { options, is_json });
}

#[test]
fn wrong_arguments_are_named() {
    for (line, word) in [
        ("", "image, wifi, iso"),
        ("--init i", "--init"),
        ("picture", "picture"),
        ("image --mke2fs m -o o", "--init"),
        ("image --init i -o o", "--mke2fs"),
        ("image --init i --mke2fs m", "-o OUT"),
        ("image --init i --mke2fs m -o o x", "'x'"),
        ("image --floor x", "'x'"),
        ("image --init i --mke2fs m -o o --hostonly", "--modules"),
        ("image --init i --mke2fs m -o o --modules d", "--kernel"),
        (
            "image --init i --mke2fs m -o o --wifi",
            "drivers for wireless",
        ),
        (
            "image --init i --mke2fs m -o o --modules d --kernel k --wifi",
            "wpa-build",
        ),
        (
            "image --init i --mke2fs m -o o --modules d --kernel k --supplicant s",
            "--wifi",
        ),
        ("wifi --supplicant s -o o", "--modules"),
        ("wifi --modules d --supplicant s -o o", "--kernel"),
        ("wifi --modules d --kernel k -o o", "wpa-build"),
        ("wifi --modules d --kernel k --supplicant s", "-o OUT"),
        ("wifi --init i", "--init"),
        ("iso --initramfs i -o o", "--kernel"),
        ("iso --kernel k -o o", "--initramfs"),
        ("iso --kernel k --initramfs i", "-o OUT"),
        ("iso --init i", "--init"),
        ("iso --timeout soon", "soon"),
        ("iso --timeout 86401", "86401"),
        ("show", "FILE"),
        ("show f -o o", "-o"),
        ("customize -o o", "FILE"),
        ("customize f", "--dry-run"),
        ("customize f -o o --dry-run", "exclude"),
        ("customize f -o o --floor 1 --no-floor", "not both"),
        ("customize f -o o --trust k --no-trust", "not both"),
        ("pxe --kernel k --initramfs i", "-o OUT"),
        ("pxe --server nowhere", "nowhere"),
        ("pxe --timeout 86401", "86401"),
        ("slot --init i --version 1 --counter 1 -o o", "--root"),
        ("slot p --root r -o o", "exclude"),
        ("slot p --version 1 --counter 1 -o o", "--init"),
        ("slot p --init i --counter 1 -o o", "--version"),
        ("slot p --init i --version 1 -o o", "--counter"),
        ("slot p --version 1/2", "1/2"),
        ("slot p --counter -1", "-1"),
        ("slot p --mke2fs m", "--mke2fs"),
        ("uki --kernel k --initramfs i", "-o OUT"),
        ("uki --timeout 3", "--timeout"),
        ("uki --secure-boot", "--secure-boot"),
    ] {
        let text = read(&format!("media {line}")).expect_err(line);
        assert!(text.contains(word), "{line}: {text}");
    }
}
