use super::{FILE_MAX, KeysError, PinnedKeys, TITLE, holds_private_key};
use wire::message::End;

/// Made with another library (`cryptography` for Python).
const FILE: &str = "\
# spk-visor: keys of the donor's end. Private: the holder of this file is this donor.
smechvisor-keys 1
end donor
private 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20
peer 5714769d116bf76436ae74bc793d2c30ad1903c59ac5273805c7e2698b410c36
";
const OWN: &str = "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";

fn error(text: &str) -> String {
    PinnedKeys::parse(text).unwrap_err().to_string()
}

#[test]
fn a_key_file_is_read_and_written_as_it_is() {
    let keys = PinnedKeys::parse(FILE).unwrap();
    assert_eq!(keys.end(), End::Donor);
    assert_eq!(keys.own().to_string(), OWN);
    assert_eq!(keys.to_text().as_str(), FILE);
}

#[test]
fn two_drawn_files_belong_together() {
    let (donor, target) = PinnedKeys::draw().unwrap();
    assert_eq!((donor.end(), target.end()), (End::Donor, End::Target));
    for (keys, other) in [(&donor, &target), (&target, &donor)] {
        assert_eq!(keys.peer(), other.own());
        let read = PinnedKeys::parse(&keys.to_text()).unwrap();
        assert_eq!(read.own(), keys.own());
        assert_eq!(read.private(), keys.private());
        assert!(keys.to_text().len() < FILE_MAX);
    }
    let (another, _) = PinnedKeys::draw().unwrap();
    assert_ne!(another.private(), donor.private());
}

#[test]
fn what_an_editor_does_to_a_file_is_forgiven() {
    let text = FILE
        .replace('\n', "\r\n\r\n")
        .replace("end donor", "# mine\nend donor  ")
        .replace("0a0b0c", "0A0B0C");
    assert_eq!(PinnedKeys::parse(&text).unwrap().own().to_string(), OWN);
}

#[test]
fn errors_name_the_line() {
    assert_eq!(
        error("hello"),
        "this is no key file: its first line is not `smechvisor-keys 1`"
    );
    assert_eq!(
        error(&FILE.replace("end donor", "end shim")),
        "line 3 of the key file should be `end donor`, or `end target`"
    );
    assert_eq!(
        error(&FILE.replace("private", "public")),
        "line 4 of the key file should be `private KEY`"
    );
    assert_eq!(
        error(&FILE.replace("c36", "c3")),
        "the key in line 5 of the key file is not 64 hexadecimal digits"
    );
    assert_eq!(
        error(&format!("{FILE}peer again")),
        "line 6 of the key file is one too many"
    );
    let mixed_up = FILE.lines().map(|line| {
        if line.starts_with("peer") {
            format!("peer {OWN}\n")
        } else {
            format!("{line}\n")
        }
    });
    assert_eq!(
        error(&mixed_up.collect::<String>()),
        "the peer's key in the key file is this end's own"
    );
}

#[test]
fn every_truncation_is_refused() {
    let text = FILE.trim_end();
    for len in 0..text.len() {
        assert!(PinnedKeys::parse(&text[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn every_wrong_digit_is_refused() {
    let keys = FILE.find("0102").unwrap();
    for at in (keys..keys + 64).chain(FILE.len() - 65..FILE.len() - 1) {
        for wrong in ["g", " ", "-", "+", "/", ":", "@", "`"] {
            let mut text = FILE.to_string();
            text.replace_range(at..=at, wrong);
            assert!(PinnedKeys::parse(&text).is_err(), "{wrong} at {at}");
        }
    }
}

#[test]
fn each_end_takes_its_own_file_only() {
    let keys = PinnedKeys::parse(FILE).unwrap();
    assert!(keys.clone().for_end(End::Donor).is_ok());
    assert_eq!(
        keys.for_end(End::Target).unwrap_err().to_string(),
        "this key file is for the donor, and the target's is needed"
    );
}

#[test]
fn neither_debug_nor_an_error_shows_a_private_key() {
    let shown = format!("{:?}", PinnedKeys::parse(FILE).unwrap());
    assert!(
        shown.contains(OWN) && !shown.contains("0102030405"),
        "{shown}"
    );
    for broken in [
        FILE.replace("1f20", "1f2"),
        FILE.replace("private ", ""),
        FILE.replace("smech", "smech "),
    ] {
        let error: KeysError = PinnedKeys::parse(&broken).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("0102"), "{error}");
    }
}

#[test]
fn a_private_key_is_found_among_other_bytes() {
    let (donor, target) = PinnedKeys::draw().unwrap();
    for keys in [donor, target] {
        let text = keys.to_text();
        let around = [b"\0\xffs", text.as_bytes(), b"\0\0"].concat();
        assert!(holds_private_key(&around));
        let upto = text.find("\npeer").unwrap();
        assert!(holds_private_key(text.get(..upto).unwrap().as_bytes()));
        assert!(!holds_private_key(text.get(..upto - 1).unwrap().as_bytes()));
    }
    assert!(!holds_private_key(TITLE.as_bytes()));
    assert!(!holds_private_key(&[TITLE.as_bytes(), b"\n#"].concat()));
    assert!(!holds_private_key(
        format!("{TITLE}\nend donor\nprivate {}", "x".repeat(64)).as_bytes()
    ));
}

#[test]
fn a_private_key_is_found_however_a_text_writes_it() {
    let indented = FILE.replace('\n', "\r\n      ");
    for text in [
        FILE.to_owned(),
        format!("#!/bin/sh\ncat >lab.donor <<end\n{FILE}end\n"),
        format!("write_files:\n- content: |\n    {indented}"),
        FILE.replace('\n', "\n\n  # a comment\n"),
        format!("printf '{}'", FILE.replace('\n', "\\n")),
        // The search steps over nothing: at every distance, behind parts of the first line.
        format!("smechvisor-keys smechvisor-keys 2 {}{FILE}", "s".repeat(17)),
    ] {
        for before in 0..TITLE.len() * 2 {
            let text = format!("{}{text}", "-".repeat(before));
            assert!(holds_private_key(text.as_bytes()), "{text}");
        }
    }
    for text in [
        FILE.replace('\n', ""),
        FILE.replace("end donor", "end nobody"),
        FILE.replace("1f20", "1f2"),
        FILE.replace("keys 1", "keys 2"),
        FILE.replace("private", "public"),
    ] {
        assert!(!holds_private_key(text.as_bytes()), "{text}");
    }
}
