use super::{CmdlineError, Policy, Settings, Ui, Watchdog, after_if_readable, ours, parse, words};
use disk::sizes::{LayoutKind, Sizes, Swap};
use machine::gate::Reinstall;
use netstack::{Addressing, Fixed, InterfaceFilter};
use wire::message::After;

#[test]
fn other_words_are_the_kernels_business() {
    for line in [
        "",
        "\n",
        "console=ttyS0 quiet ro root=/dev/sda1 BOOT_IMAGE=/x smvdisk=x smv x.smv.disk=y",
    ] {
        assert_eq!(parse(line), Ok(Settings::default()), "{line:?}");
    }
}

#[test]
fn every_key_is_read() {
    let line = "console=ttyS0 smv.disk=/dev/vda smv.wipe=AB12CD smv.reinstall=4F1C2A9E \
                smv.dry-run smv.policy=legacy smv.after=kexec smv.watchdog=90 smv.stall=off \
                smv.ip=10.9.0.5/24,gw=10.9.0.1,if=eth1 \
                smv.vlan=7 smv.mtu=9000 smv.root=ext4 smv.swap=8G smv.esp=1G smv.ui=plain\n";
    let own = Fixed {
        address: [10, 9, 0, 5].into(),
        prefix_len: 24,
        gateway: Some([10, 9, 0, 1].into()),
    };
    let expected = Settings {
        disk: Some("/dev/vda".parse().unwrap()),
        wipe: Some("AB12CD".to_owned()),
        dry_run: true,
        reinstall: Reinstall::Only("4f1c2a9e".to_owned()),
        policy: Some(Policy::Legacy),
        donor_key: None,
        after: After::Kexec,
        watchdog: Watchdog::Seconds(90),
        stall: Watchdog::Off,
        ip: Addressing {
            on: InterfaceFilter::Name("eth1".to_owned()),
            ipv4: Some(own),
            ipv6: None,
        },
        vlan: Some(7),
        mtu: Some(9000),
        sizes: Sizes {
            esp_bytes: Some(1 << 30),
            swap: Swap::Exactly(8 << 30),
            ..Sizes::USUAL
        },
        slot_bytes: None,
        ui: Ui::Plain,
    };
    assert_eq!(parse(line), Ok(expected));
}

#[test]
fn what_a_person_sees_has_four_names() {
    let all = [
        ("auto", Ui::Auto),
        ("wizard", Ui::Wizard),
        ("plain", Ui::Plain),
        ("none", Ui::None),
    ];
    for (value, ui) in all {
        assert_eq!(parse(&format!("smv.ui={value}")).unwrap().ui, ui);
    }
    assert_eq!(parse("quiet").unwrap().ui, Ui::Auto);
    for value in ["", "Wizard", "tui", "auto,plain"] {
        assert!(parse(&format!("smv.ui={value}")).is_err(), "{value}");
    }
}

#[test]
fn what_was_decided_is_shown_as_it_was_written() {
    let line = "quiet smv.dry-run \"smv.disk=WD 1\" console=ttyS0 smv.after=kexec";
    let words: Vec<_> = ours(line).collect();
    assert_eq!(words, ["smv.dry-run", "smv.disk=WD 1", "smv.after=kexec"]);
}

#[test]
fn without_a_word_the_secret_is_asked_for() {
    assert_eq!(parse("quiet").unwrap().policy, None);
    for (line, policy) in [
        ("smv.policy=secret", Policy::Secret),
        ("smv.policy=pinned", Policy::Pinned),
        ("smv.policy=legacy", Policy::Legacy),
    ] {
        assert_eq!(parse(line).unwrap().policy, Some(policy));
    }
}

#[test]
fn a_donors_key_belongs_to_the_pinned_policy_only() {
    for line in [
        "smv.policy=pinned smv.donor-key=abc=",
        "smv.donor-key=abc= smv.policy=pinned",
    ] {
        assert_eq!(parse(line).unwrap().donor_key.as_deref(), Some("abc="));
    }
    for line in [
        "smv.donor-key=abc",
        "smv.policy=secret smv.donor-key=abc",
        "smv.donor-key=abc smv.policy=legacy",
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains("smv.policy=pinned"), "{error}");
    }
}

#[test]
fn words_are_split_and_unquoted_as_the_kernel_does() {
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("a=1  b\tc=\n", &[("a", "1"), ("b", ""), ("c", "")]),
        (r#"a="x y" b"#, &[("a", "x y"), ("b", "")]),
        (r#""a=x y" b"#, &[("a", "x y"), ("b", "")]),
        (r#"a="x y"#, &[("a", "x y")]),
        (r#"a=x" "y b"#, &[("a", r#"x" "y"#), ("b", "")]),
        (r#"a=\"x b"#, &[("a", r#"\"x b"#)]),
        (r#"a=b=c -- d"#, &[("a", "b=c"), ("--", ""), ("d", "")]),
        (r#"" "#, &[(" ", "")]),
    ];
    for (line, expected) in cases {
        assert_eq!(words(line).collect::<Vec<_>>(), expected, "{line}");
    }
}

#[test]
fn a_serial_number_may_hold_spaces_between_quotes() {
    assert_eq!(
        parse(r#"smv.disk="WD 1234""#).unwrap().disk,
        Some("WD 1234".parse().unwrap())
    );
}

#[test]
fn unknown_and_repeated_keys_are_named_with_their_value() {
    for (line, key, value) in [
        ("smv.dsik=/dev/vda", "smv.dsik", "/dev/vda"),
        ("smv.", "smv.", ""),
        ("smv.Disk=x", "smv.Disk", "x"),
    ] {
        let (key, value) = (key.to_owned(), value.to_owned());
        assert_eq!(parse(line), Err(CmdlineError::Unknown { key, value }));
    }
    let error = parse("smv.disk=a quiet smv.disk=b").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"reading the kernel command line: smv.disk is given twice, the second time as "b""#
    );
}

#[test]
fn a_disk_that_nobody_can_tell_is_an_error_of_its_own() {
    for line in [
        "smv.disk",
        "smv.disk=",
        "smv.disk=\" \"",
        "smv.disk=a\u{1b}b",
        "smv.disk=seriall=X",
        "smv.disk=size=1G",
    ] {
        assert!(matches!(parse(line), Err(CmdlineError::Disk(_))), "{line}");
    }
    let described = parse("smv.disk=\"model=QEMU HARDDISK,transport=sata\"").unwrap();
    assert_eq!(
        described.disk,
        Some("model=QEMU HARDDISK,transport=sata".parse().unwrap())
    );
}

#[test]
fn bad_values_are_named_with_what_was_expected() {
    let lines = [
        "smv.dry-run=yes",
        "smv.wipe=",
        "smv.policy",
        "smv.policy=secret,legacy",
        "smv.policy=Legacy",
        "smv.donor-key=",
        "smv.donor-key=RWQ",
        "smv.after=halt",
        "smv.after",
        "smv.ip=",
        "smv.ip=10.0.0.1",
        "smv.ip=10.0.0.1/",
        "smv.ip=10.0.0.1/0",
        "smv.ip=10.0.0.1/33",
        "smv.ip=10.0.0.1/+8",
        "smv.ip=10.0.0.256/8",
        "smv.ip=0.0.0.0/8",
        "smv.ip=127.0.0.1/8",
        "smv.ip=224.0.0.1/8",
        "smv.ip=255.255.255.255/8",
        "smv.ip=10.0.0.1/8,",
        "smv.ip=10.0.0.1/8,gw=",
        "smv.ip=10.0.0.1/8,gw=10.0.0.2,gw=10.0.0.2",
        "smv.ip=10.0.0.1/8,if=",
        "smv.ip=10.0.0.1/8,if=a/b",
        "smv.ip=10.0.0.1/8,if=0123456789abcdef",
        "smv.ip=10.0.0.1/8,if=a,mac=52:54:00:00:00:01",
        "smv.ip=10.0.0.1/8,mac=52:54:00:00:00",
        "smv.ip=10.0.0.1/8,mac=52:54:00:00:00:01:02",
        "smv.ip=10.0.0.1/8,mac=+2:54:00:00:00:01",
        "smv.ip=10.0.0.1/8,dns=10.0.0.3",
        "smv.ip=fd00::5/64,gw=10.0.0.2",
        "smv.vlan=0",
        "smv.vlan=4095",
        "smv.vlan=+5",
        "smv.vlan=",
        "smv.mtu=575",
        "smv.mtu=9217",
        "smv.mtu=1500B",
    ];
    for line in lines {
        let error = parse(line).unwrap_err();
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        assert!(
            matches!(&error, CmdlineError::Value { .. }),
            "{line}: {error}"
        );
        assert!(error.to_string().contains(key), "{line}: {error}");
        assert!(
            error
                .to_string()
                .contains(&format!("{:?}", value.trim_matches('"'))),
            "{line}: {error}"
        );
    }
}

#[test]
fn ipv6_wants_packets_of_a_certain_size() {
    assert_eq!(parse("smv.mtu=1279").unwrap().mtu, Some(1279));
    assert!(parse("smv.mtu=1280 smv.ip=fd00::5/64").is_ok());
    let error = parse("smv.mtu=1279 smv.ip=fd00::5/64").unwrap_err();
    let text = "reading the kernel command line: smv.mtu=\"1279\": \
                expected at least 1280 beside an IPv6 address";
    assert_eq!(error.to_string(), text);
}

#[test]
fn what_follows_is_found_even_on_a_line_with_an_error() {
    assert_eq!(
        after_if_readable("smv.typo=1 smv.after=poweroff"),
        After::Poweroff
    );
    assert_eq!(after_if_readable("smv.after=typo"), After::Reboot);
}

#[test]
fn every_truncation_is_read_or_refused() {
    let line = "smv.disk=\"a b\" smv.wipe=AB12CD smv.policy=legacy smv.after=kexec \
                smv.watchdog=90 smv.ip=10.9.0.5/24,gw=10.9.0.1,mac=52:54:00:ab:cd:0e";
    let ok = (0..=line.len())
        .filter(|&len| parse(&line[..len]).is_ok())
        .count();
    assert!(ok > 30 && ok < line.len(), "{ok}");
}

#[test]
fn two_slots_are_asked_for_by_name() {
    for (line, slot_bytes) in [
        ("smv.layout=ab", None),
        ("smv.slot=1G smv.layout=ab", Some(1 << 30)),
    ] {
        let sizes = parse(line).unwrap().sizes;
        assert_eq!(sizes.layout, LayoutKind::Ab { slot_bytes });
    }
    let single = parse("smv.layout=single").unwrap().sizes;
    assert_eq!(single, Sizes::USUAL);
    let error = parse("smv.slot=1G").unwrap_err().to_string();
    assert!(
        error.ends_with("expected smv.layout=ab beside it"),
        "{error}"
    );
}

#[test]
fn sizes_are_read_or_named_with_what_would_do() {
    assert_eq!(parse("quiet").unwrap().sizes, Sizes::USUAL);
    assert_eq!(parse("smv.swap=none").unwrap().sizes.swap, Swap::None);
    for (line, expected) in [
        ("smv.swap=", "none, or a size from 1M to 8T"),
        ("smv.swap=0", "none, or a size from 1M to 8T"),
        ("smv.swap=lots", "none, or a size from 1M to 8T"),
        ("smv.esp=32M", "a size from 64M to 32G"),
        ("smv.esp=none", "a size from 64M to 32G"),
        ("smv.root=btrfs", "expected ext4"),
        ("smv.layout=", "expected single or ab"),
        ("smv.layout=two", "expected single or ab"),
        ("smv.slot=63M", "a size from 64M to 64G"),
    ] {
        let error = parse(line).unwrap_err();
        let (key, value) = line.split_once('=').unwrap();
        let text = error.to_string();
        assert!(
            text.contains(&format!("{key}={value:?}: expected ")) && text.contains(expected),
            "{text}"
        );
    }
}
