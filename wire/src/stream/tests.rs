//! Golden bytes both ways, every truncation, every changed byte of a header.

use super::{
    DATA_MAX, HEADER_MAX, NAME_MAX, Opening, PackageName, StreamError, TERMINATOR, data_len,
    header, name_len,
};
extern crate std;
use std::num::NonZeroU8;
use std::string::{String, ToString};
use std::vec::Vec;

/// `smechvisor-base` with the data `base`, `bootloader-grub.tar.xz` with `grub!`, then the
/// terminator.
const GOLDEN: &[u8] = include_bytes!("../../tests/golden/stream.bin");
const PACKAGES: [(&str, &[u8]); 2] = [
    ("smechvisor-base", b"base"),
    ("bootloader-grub.tar.xz", b"grub!"),
];

/// Where the first package's data begins.
const FIRST_DATA: usize = 4 + 15 + 8;

#[derive(Debug, PartialEq)]
enum WalkError {
    Stream(StreamError),
    Ended,
    Trailing,
    Session,
}

impl From<StreamError> for WalkError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], WalkError> {
    let (head, tail) = rest.split_at_checked(len).ok_or(WalkError::Ended)?;
    *rest = tail;
    Ok(head)
}

fn field<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WalkError> {
    Ok(take(rest, N)?.try_into().unwrap())
}

/// The simplest reader of a whole stream.
fn walk(mut rest: &[u8]) -> Result<Vec<(String, Vec<u8>)>, WalkError> {
    let mut found = Vec::new();
    let mut next = match Opening::of(field(&mut rest)?)? {
        Opening::Session => return Err(WalkError::Session),
        Opening::Package(len) => Some(len),
        Opening::Terminator => None,
    };
    while let Some(len) = next {
        let name = PackageName::parse(take(&mut rest, usize::from(len.get()))?)?;
        let len = data_len(field(&mut rest)?)?;
        let data = take(&mut rest, usize::try_from(len).unwrap())?;
        found.push((name.to_string(), data.to_vec()));
        next = name_len(field(&mut rest)?)?;
    }
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(WalkError::Trailing)
    }
}

fn emit<S: AsRef<str>, D: AsRef<[u8]>>(packages: &[(S, D)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in packages {
        let name = PackageName::parse(name.as_ref().as_bytes()).unwrap();
        bytes.extend_from_slice(&header(&name, data.as_ref().len() as u64).unwrap());
        bytes.extend_from_slice(data.as_ref());
    }
    bytes.extend_from_slice(&TERMINATOR);
    bytes
}

#[test]
fn golden_bytes_both_ways() {
    assert_eq!(emit(&PACKAGES), GOLDEN);
    let expected: Vec<_> = PACKAGES
        .iter()
        .map(|(name, data)| (name.to_string(), data.to_vec()))
        .collect();
    assert_eq!(walk(GOLDEN), Ok(expected));
}

#[test]
fn every_truncation_is_an_end_without_terminator() {
    for len in 0..GOLDEN.len() {
        assert_eq!(walk(&GOLDEN[..len]), Err(WalkError::Ended), "{len}");
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_stream_of_the_same_bytes() {
    for at in 0..GOLDEN.len() {
        for byte in (0..=255u8).filter(|byte| *byte != GOLDEN[at]) {
            let mut changed = GOLDEN.to_vec();
            changed[at] = byte;
            // Whatever is accepted must be written as the very same bytes: one stream, one meaning.
            if let Ok(packages) = walk(&changed) {
                assert_eq!(emit(&packages), changed, "byte {at} = {byte:#04x}");
                // One field differs; or the first package's length took in the second package, all
                // but the terminator.
                let differing = packages
                    .iter()
                    .zip(PACKAGES)
                    .filter(|((name, data), golden)| name != golden.0 || data != golden.1);
                let whole = GOLDEN.len() - TERMINATOR.len() - FIRST_DATA;
                let count = if packages[0].1.len() == whole { 1 } else { 2 };
                assert_eq!(
                    (packages.len(), differing.count()),
                    (count, 1),
                    "byte {at} = {byte:#04x}"
                );
            }
        }
    }
}

#[test]
fn a_byte_after_the_terminator_is_refused() {
    let longer: Vec<u8> = GOLDEN.iter().copied().chain([0]).collect();
    assert_eq!(walk(&longer), Err(WalkError::Trailing));
}

#[test]
fn the_first_four_bytes_tell_the_protocols_apart() {
    assert_eq!(Opening::of(*b"SMV2"), Ok(Opening::Session));
    assert_eq!(Opening::of(TERMINATOR), Ok(Opening::Terminator));
    assert_eq!(
        Opening::of([0, 0, 0, 15]),
        Ok(Opening::Package(NonZeroU8::new(15).unwrap()))
    );
    assert_eq!(
        Opening::of(*b"GET "),
        Err(StreamError::NameLength {
            claimed: 0x4745_5420
        })
    );
    // Inside a stream the session's four bytes are just a length that is too large.
    assert_eq!(
        name_len(*b"SMV2"),
        Err(StreamError::NameLength {
            claimed: 0x534d_5632
        })
    );
}

#[test]
fn every_changed_byte_of_the_session_magic_is_refused() {
    for at in 0..4 {
        for byte in (0..=255u8).filter(|byte| *byte != b"SMV2"[at]) {
            let mut changed = *b"SMV2";
            changed[at] = byte;
            assert!(Opening::of(changed).is_err(), "{changed:?}");
        }
    }
}

#[test]
fn name_lengths_end_at_255() {
    assert_eq!(name_len([0; 4]), Ok(None));
    for len in 1..=255u8 {
        assert_eq!(name_len([0, 0, 0, len]), Ok(NonZeroU8::new(len)));
    }
    for claimed in [256, 257, 0xffff, 0x0100_0000, u32::MAX] {
        let refused = StreamError::NameLength {
            claimed: u64::from(claimed),
        };
        assert_eq!(name_len(claimed.to_be_bytes()), Err(refused));
    }
}

#[test]
fn data_lengths_are_one_byte_to_one_tebibyte() {
    assert_eq!(data_len([0; 8]), Err(StreamError::DataEmpty));
    for len in [1, 255, 1 << 32, DATA_MAX] {
        assert_eq!(data_len(len.to_be_bytes()), Ok(len));
    }
    for claimed in [DATA_MAX + 1, 1 << 41, u64::MAX] {
        assert_eq!(
            data_len(claimed.to_be_bytes()),
            Err(StreamError::DataLength { claimed })
        );
    }
}

#[test]
fn names_are_plain_file_names() {
    for name in [
        "a",
        "0",
        "smechvisor-base",
        "libstdc++_6.1.tar.xz",
        "A.B",
        "a..b",
    ] {
        assert_eq!(PackageName::parse(name.as_bytes()).unwrap().as_str(), name);
    }
    for (name, at) in [
        (".", 0),
        ("..", 0),
        ("-rf", 0),
        ("_x", 0),
        ("+x", 0),
        ("a/b", 1),
        ("a\0", 1),
        ("ab c", 2),
    ] {
        let byte = name.as_bytes()[at];
        assert_eq!(
            PackageName::parse(name.as_bytes()),
            Err(StreamError::NameByte { at, byte }),
            "{name:?}"
        );
    }
    assert_eq!(PackageName::parse(b""), Err(StreamError::NameEmpty));
}

#[test]
fn every_byte_of_a_name_is_judged() {
    for byte in 0..=255u8 {
        let first = byte.is_ascii_alphanumeric();
        assert_eq!(PackageName::parse(&[byte]).is_ok(), first, "{byte:#04x}");
        let later = first || b"._+-".contains(&byte);
        assert_eq!(
            PackageName::parse(&[b'a', byte, b'z']).is_ok(),
            later,
            "{byte:#04x}"
        );
    }
}

#[test]
fn the_longest_name_fits_and_one_more_does_not() {
    let name = PackageName::parse(&[b'x'; NAME_MAX]).unwrap();
    assert_eq!(header(&name, DATA_MAX).unwrap().len(), HEADER_MAX);
    let refused = StreamError::NameLength { claimed: 256 };
    assert_eq!(PackageName::parse(&[b'x'; NAME_MAX + 1]), Err(refused));
}

#[test]
fn a_package_is_its_name_without_the_suffix() {
    for (name, package) in [
        ("smechvisor-base", "smechvisor-base"),
        ("smechvisor-base.tar.xz", "smechvisor-base"),
        ("smechvisor-base.tar.zst", "smechvisor-base"),
        ("a.tar.xz.tar.xz", "a.tar.xz"),
        ("a.tar", "a.tar"),
        ("tar.xz", "tar.xz"),
    ] {
        assert_eq!(
            PackageName::parse(name.as_bytes()).unwrap().package(),
            package
        );
    }
}

#[test]
fn a_header_for_no_data_or_too_much_is_never_written() {
    let name = PackageName::parse(b"a").unwrap();
    assert_eq!(header(&name, 0), Err(StreamError::DataEmpty));
    let claimed = DATA_MAX + 1;
    assert_eq!(
        header(&name, claimed),
        Err(StreamError::DataLength { claimed })
    );
}
