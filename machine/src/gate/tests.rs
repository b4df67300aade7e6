use super::{Candidate, Contents, GateError, Reinstall, Wish, choose};
use crate::inventory::{Found, Transport};
use disk::contents::{DiskContents, PartitionRef};
use std::path::PathBuf;
use uuid::Uuid;

const BLANK: Contents = Contents::Holds(DiskContents::Blank);
const INTERRUPTED: Contents = Contents::Holds(DiskContents::Interrupted);

fn occupied() -> Contents {
    Contents::Holds(DiskContents::Occupied {
        what: "GPT partition table".to_owned(),
        protected: None,
        is_shim_medium: false,
    })
}

fn disk(path: &str, serial: &str, contents: Contents) -> Candidate {
    let disk = Found {
        path: PathBuf::from(path),
        size_bytes: 10 << 30,
        sector_bytes: 512,
        transport: Transport::Virtio,
        is_removable: false,
        is_read_only: false,
        serial: (!serial.is_empty()).then(|| serial.to_owned()),
        vendor: None,
        model: None,
        wwn: None,
    };
    Candidate { disk, contents }
}

fn wish(disk: &str, wipe: &str) -> Wish {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Wish {
        disk: given(disk).map(|text| text.parse().unwrap()),
        wipe: given(wipe),
        ..Wish::default()
    }
}

fn path(candidates: &[Candidate], wish: &Wish) -> Result<String, GateError> {
    choose(candidates, wish).map(|cleared| cleared.candidate().disk.path.display().to_string())
}

#[test]
fn the_only_blank_disk_is_taken_and_an_interrupted_deploy_counts_as_blank() {
    for contents in [BLANK, INTERRUPTED] {
        let seen = [
            disk("/dev/sda", "A1", occupied()),
            disk("/dev/vda", "B2", contents),
        ];
        assert_eq!(path(&seen, &wish("", "")).unwrap(), "/dev/vda");
    }
}

#[test]
fn two_blank_disks_need_a_name() {
    let seen = [
        disk("/dev/vda", "SERIAL-A", BLANK),
        disk("/dev/vdb", "SERIAL-B", INTERRUPTED),
    ];
    let error = path(&seen, &wish("", "")).unwrap_err();
    assert!(matches!(error, GateError::Ambiguous { count: 2, .. }));
    let text = error.to_string();
    for word in [
        "/dev/vda",
        "/dev/vdb",
        "SERIAL-A",
        "SERIAL-B",
        "10240 MiB",
        "blank",
        "left by an interrupted deploy",
        "disk=",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(path(&seen, &wish("/dev/vdb", "")).unwrap(), "/dev/vdb");
    assert_eq!(path(&seen, &wish("SERIAL-A", "")).unwrap(), "/dev/vda");
}

#[test]
fn a_disk_with_data_is_refused_until_its_own_serial_confirms() {
    let seen = [disk("/dev/vda", "WD-12345678", occupied())];
    for refused in [
        "", "12345678", "45678", "345679", "5678", "/dev/vdb", "/dev/vda",
    ] {
        for named in ["/dev/vda", "WD-12345678", ""] {
            let error = path(&seen, &wish(named, refused)).unwrap_err();
            assert!(
                matches!(&error, GateError::NotBlank { .. }),
                "{refused}: {error}"
            );
            assert!(error.to_string().contains("wipe=345678"), "{error}");
        }
    }
    for confirmed in ["345678", "WD-12345678"] {
        assert_eq!(
            path(&seen, &wish("/dev/vda", confirmed)).unwrap(),
            "/dev/vda"
        );
        assert_eq!(path(&seen, &wish("", confirmed)).unwrap(), "/dev/vda");
    }
}

#[test]
fn a_disk_without_a_serial_is_confirmed_by_its_path() {
    let seen = [disk("/dev/vda", "", occupied())];
    let error = path(&seen, &wish("/dev/vda", "")).unwrap_err();
    assert!(error.to_string().contains("wipe=/dev/vda"), "{error}");
    assert_eq!(
        path(&seen, &wish("/dev/vda", "/dev/vda")).unwrap(),
        "/dev/vda"
    );
}

#[test]
fn a_wipe_for_one_disk_does_not_choose_between_it_and_a_blank_one() {
    let seen = [
        disk("/dev/vda", "AAAAAA", occupied()),
        disk("/dev/vdb", "BBBBBB", BLANK),
    ];
    assert!(matches!(
        path(&seen, &wish("", "AAAAAA")),
        Err(GateError::Ambiguous { count: 2, .. })
    ));
    assert_eq!(
        path(&seen, &wish("/dev/vda", "AAAAAA")).unwrap(),
        "/dev/vda"
    );
    let error = path(&seen, &wish("/dev/vda", "BBBBBB")).unwrap_err();
    assert!(
        error.to_string().contains("wipe=BBBBBB does not"),
        "{error}"
    );
}

#[test]
fn removable_disks_are_taken_only_by_name_and_read_only_ones_never() {
    let mut stick = disk("/dev/sda", "STICK1", BLANK);
    stick.disk.is_removable = true;
    let mut locked = disk("/dev/sdb", "LOCKED", BLANK);
    locked.disk.is_read_only = true;
    let seen = [stick, locked];
    assert!(matches!(
        path(&seen, &wish("", "")),
        Err(GateError::NoneFree { .. })
    ));
    assert_eq!(path(&seen, &wish("/dev/sda", "")).unwrap(), "/dev/sda");
    assert!(matches!(
        path(&seen, &wish("/dev/sdb", "LOCKED")),
        Err(GateError::ReadOnly { .. })
    ));
    assert!(matches!(
        path(&seen, &wish("", "LOCKED")),
        Err(GateError::NoneFree { .. })
    ));
}

#[test]
fn no_disk_and_a_wrong_name_have_errors_of_their_own() {
    assert_eq!(path(&[], &wish("", "")), Err(GateError::NoDisk));
    let error = path(&[], &wish("/dev/vda", "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "choosing disk /dev/vda: not found; seen: no disk"
    );
    let seen = [disk("/dev/vda", "X1", BLANK)];
    assert!(
        path(&seen, &wish("/dev/vd", ""))
            .unwrap_err()
            .to_string()
            .contains("serial X1")
    );
}

#[test]
fn equal_serials_need_a_path() {
    let seen = [
        disk("/dev/vda", "SAME", BLANK),
        disk("/dev/vdb", "SAME", BLANK),
    ];
    assert!(matches!(
        path(&seen, &wish("SAME", "")),
        Err(GateError::Several { count: 2, .. })
    ));
    assert_eq!(path(&seen, &wish("/dev/vdb", "")).unwrap(), "/dev/vdb");
}

#[test]
fn an_unreadable_disk_is_never_taken() {
    let seen = [disk(
        "/dev/vda",
        "SERIAL",
        Contents::Unreadable("Input/output error".to_owned()),
    )];
    for wipe in ["", "SERIAL"] {
        assert!(matches!(
            path(&seen, &wish("", wipe)),
            Err(GateError::NoneFree { .. })
        ));
        assert!(matches!(
            path(&seen, &wish("/dev/vda", wipe)),
            Err(GateError::Unreadable { .. })
        ));
    }
}

#[test]
fn a_confirmation_of_an_odd_serial_does_not_panic() {
    for serial in ["", "A", "ABCDE", "ABCDEF", "ABCDEFG"] {
        let word = disk("/dev/vda", serial, occupied()).confirmation();
        assert!(!word.is_empty() && word.len() <= 8);
    }
}

fn protected() -> Contents {
    Contents::Holds(DiskContents::Occupied {
        what: "GPT partition table (1: LVM)".to_owned(),
        protected: Some("LVM in partition 1".to_owned()),
        is_shim_medium: false,
    })
}

#[test]
fn a_protected_disk_takes_the_whole_serial_number() {
    let seen = [disk("/dev/vda", "WD-12345678", protected())];
    for named in ["/dev/vda", ""] {
        for refused in ["", "345678", "12345678", "/dev/vda", "wd-12345678"] {
            let error = path(&seen, &wish(named, refused)).unwrap_err().to_string();
            assert!(
                error.contains("LVM in partition 1") && error.contains("wipe=WD-12345678 would"),
                "{refused}: {error}"
            );
        }
        assert_eq!(
            path(&seen, &wish(named, "WD-12345678")).unwrap(),
            "/dev/vda"
        );
    }
}

#[test]
fn without_a_serial_number_the_name_in_the_world_confirms() {
    for (contents, word) in [(occupied(), "b2c3d4"), (protected(), "5000c500a1b2c3d4")] {
        let mut only = disk("/dev/sda", "", contents);
        only.disk.wwn = Some("5000c500a1b2c3d4".to_owned());
        assert_eq!(only.confirmation(), word);
        let seen = [only];
        assert!(path(&seen, &wish("", "/dev/sda")).is_err());
        assert!(path(&seen, &wish("", "5000c500a1b2c3d5")).is_err());
        assert_eq!(path(&seen, &wish("", word)).unwrap(), "/dev/sda");
        assert_eq!(
            path(&seen, &wish("", "0x5000C500A1B2C3D4")).unwrap(),
            "/dev/sda"
        );
    }
}

#[test]
fn a_protected_disk_without_any_name_is_confirmed_by_its_path() {
    let seen = [disk("/dev/vda", "", protected())];
    assert!(path(&seen, &wish("", "vda")).is_err());
    assert_eq!(path(&seen, &wish("", "/dev/vda")).unwrap(), "/dev/vda");
}

#[test]
fn a_description_takes_the_one_disk_it_fits() {
    let mut nvme = disk("/dev/nvme0n1", "N1", BLANK);
    nvme.disk.transport = Transport::Nvme;
    nvme.disk.size_bytes = 480 << 30;
    let mut other = disk("/dev/nvme1n1", "N2", BLANK);
    other.disk.transport = Transport::Nvme;
    other.disk.size_bytes = 4 << 40;
    let seen = [nvme, other, disk("/dev/vda", "V1", occupied())];
    let chosen = |text| path(&seen, &wish(text, ""));
    assert_eq!(chosen("size=1T-").unwrap(), "/dev/nvme1n1");
    assert_eq!(chosen("transport=nvme,size=-1T").unwrap(), "/dev/nvme0n1");
    let error = chosen("transport=nvme").unwrap_err();
    assert!(matches!(error, GateError::Several { count: 2, .. }));
    let text = error.to_string();
    for word in ["N1", "N2", "480 GiB", "4096 GiB", "nvme", "blank", "GPT"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(text.lines().count(), 4, "a line for each disk: {text}");
    assert!(matches!(
        chosen("transport=sata"),
        Err(GateError::NotFound { .. })
    ));
    // A description is no confirmation.
    assert!(matches!(
        chosen("transport=virtio"),
        Err(GateError::NotBlank { .. })
    ));
}

#[test]
fn a_description_never_means_a_stick_by_chance() {
    let mut stick = disk("/dev/sda", "STICK1", BLANK);
    stick.disk.is_removable = true;
    stick.disk.transport = Transport::Usb;
    let seen = [stick.clone(), disk("/dev/vda", "FIXED1", BLANK)];
    assert_eq!(path(&seen, &wish("size=1G-", "")).unwrap(), "/dev/vda");
    let seen = [stick];
    let error = path(&seen, &wish("size=1G-", "")).unwrap_err();
    assert!(error.to_string().contains("by its transport"), "{error}");
    for named in [
        "STICK1",
        "/dev/sda",
        "transport=usb",
        "size=1G-,serial=STICK1",
    ] {
        assert_eq!(path(&seen, &wish(named, "")).unwrap(), "/dev/sda");
    }
}

#[test]
fn the_medium_of_a_shim_is_offered_to_nobody() {
    let medium = |serial: &str| {
        disk(
            "/dev/sda",
            serial,
            Contents::Holds(DiskContents::Occupied {
                what: "ISO 9660".to_owned(),
                protected: None,
                is_shim_medium: true,
            }),
        )
    };
    // Not even the confirmation to wipe it makes it a disk that somebody who named none can have
    // meant.
    for wipe in ["", "STICK1"] {
        let seen = [medium("STICK1"), disk("/dev/vda", "FIXED1", BLANK)];
        assert_eq!(path(&seen, &wish("", wipe)).unwrap(), "/dev/vda");
        assert!(matches!(
            path(&seen[..1], &wish("", wipe)),
            Err(GateError::NoneFree { .. })
        ));
        for described in ["transport=virtio", "size=1G-"] {
            assert!(matches!(
                path(&seen[..1], &wish(described, wipe)),
                Err(GateError::NotNamed { .. })
            ));
        }
    }
    let seen = [medium("STICK1")];
    assert!(seen[0].to_string().contains("medium of a Deploy Shim"));
    assert!(matches!(
        path(&seen, &wish("STICK1", "")),
        Err(GateError::NotBlank { .. })
    ));
    assert_eq!(path(&seen, &wish("STICK1", "STICK1")).unwrap(), "/dev/sda");
}

fn installed(path: &str, serial: &str, root: u128) -> Candidate {
    let partition = |guid| PartitionRef {
        number: 1,
        first_lba: 2048,
        sectors: 2048,
        guid: Uuid::from_u128(guid),
    };
    let contents = DiskContents::Installed {
        esp: partition(1),
        root: partition(root),
        besides: None,
        protected: None,
    };
    disk(path, serial, Contents::Holds(contents))
}

const ROOT: u128 = 0x4f1c_2a9e << 96;

#[test]
fn an_installed_system_is_replaced_by_its_name_only() {
    let seen = [installed("/dev/vda", "SERIAL-A", ROOT)];
    for (named, wipe) in [
        ("", ""),
        ("/dev/vda", ""),
        ("", "RIAL-A"),
        ("SERIAL-A", "SERIAL-A"),
    ] {
        let mut wish = wish(named, wipe);
        let error = choose(&seen, &wish).unwrap_err();
        assert!(matches!(error, GateError::Installed { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("reinstall=4f1c2a9e would replace it"),
            "{text}"
        );
        assert_eq!(
            text.contains("wipe= alone does not"),
            !wipe.is_empty(),
            "{text}"
        );
        wish.reinstall = Reinstall::Only("4f1c2a9e".to_owned());
        assert_eq!(path(&seen, &wish).unwrap(), "/dev/vda");
        // The next installation has another name.
        let next = [installed("/dev/vda", "SERIAL-A", ROOT + (1 << 96))];
        assert!(matches!(
            choose(&next, &wish),
            Err(GateError::Installed { .. })
        ));
        wish.reinstall = Reinstall::Always;
        assert_eq!(choose(&seen, &wish).is_ok(), !wipe.is_empty());
    }
}

#[test]
fn by_hand_it_is_like_any_other_contents() {
    let seen = [installed("/dev/vda", "SERIAL-A", ROOT)];
    let by_hand = |wipe| Wish {
        reinstall: Reinstall::ByHand,
        ..wish("/dev/vda", wipe)
    };
    assert!(matches!(
        choose(&seen, &by_hand("")),
        Err(GateError::NotBlank { .. })
    ));
    assert_eq!(path(&seen, &by_hand("RIAL-A")).unwrap(), "/dev/vda");
}

#[test]
fn what_is_protected_beside_it_takes_the_whole_serial_number() {
    let mut only = installed("/dev/vda", "WD-12345678", ROOT);
    if let Contents::Holds(DiskContents::Installed { protected, .. }) = &mut only.contents {
        *protected = Some("LVM in partition 5".to_owned());
    }
    assert_eq!(only.confirmation(), "WD-12345678");
    let seen = [only];
    for reinstall in [Reinstall::ByHand, Reinstall::Always] {
        for named in ["/dev/vda", ""] {
            let mut wish = wish(named, "345678");
            wish.reinstall = reinstall.clone();
            let text = choose(&seen, &wish).unwrap_err().to_string();
            assert!(text.contains("wipe=WD-12345678"), "{text}");
            wish.wipe = Some("WD-12345678".to_owned());
            assert_eq!(path(&seen, &wish).unwrap(), "/dev/vda");
        }
    }
    // It is still the system of this machine, and its own name names no other.
    assert!(matches!(
        choose(&seen, &wish("", "WD-12345678")),
        Err(GateError::Installed { .. })
    ));
    let by_name = Wish {
        reinstall: Reinstall::Only("4f1c2a9e".to_owned()),
        ..Wish::default()
    };
    assert_eq!(path(&seen, &by_name).unwrap(), "/dev/vda");
}

#[test]
fn a_blank_disk_beside_it_is_not_taken_unless_it_is_named() {
    let seen = [
        installed("/dev/vda", "SERIAL-A", ROOT),
        disk("/dev/vdb", "SERIAL-B", BLANK),
    ];
    let error = choose(&seen, &wish("", "")).unwrap_err();
    assert!(matches!(error, GateError::Installed { .. }), "{error}");
    assert_eq!(path(&seen, &wish("SERIAL-B", "")).unwrap(), "/dev/vdb");
    // Another disk's word does not make it the one.
    assert!(choose(&seen, &wish("", "RIAL-B")).is_err());
    // An installed system on a stick says nothing about this machine.
    let mut stick = seen.clone();
    stick[0].disk.is_removable = true;
    assert_eq!(path(&stick, &wish("", "")).unwrap(), "/dev/vdb");
}
