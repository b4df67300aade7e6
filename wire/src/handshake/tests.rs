use super::{
    HelloError, INFO_MAX, Info, M1, M1_LEN, M2, M2_HEAD_LEN, M2_MAX, NO_SPAKE, Policy, SPAKE_LEN,
    Suite, m2_rest_len,
};
use crate::code::Code;
extern crate std;
use std::vec::Vec;

fn m1() -> M1 {
    M1 {
        suite: Suite::ChaChaPoly,
        code: Code::parse("e13gts2").unwrap(),
        nonce: [0xd0; 32],
        spake: [b'A'; SPAKE_LEN],
    }
}

fn m2(info: &str) -> M2 {
    M2 {
        suite: Suite::ChaChaPoly,
        policy: Policy::Secret,
        nonce: [0xe0; 32],
        info: Info::parse(info.as_bytes()).unwrap(),
        spake: [b'B'; SPAKE_LEN],
    }
}

#[test]
fn m1_is_laid_out_as_written_down() {
    let expected = [&b"SMV2\x02\x01e13gts2"[..], &[0xd0; 32], &[b'A'; 33]].concat();
    assert_eq!(m1().emit()[..], expected[..]);
    assert_eq!(M1::parse(&m1().emit()), Ok(m1()));
}

#[test]
fn m2_is_laid_out_as_written_down() {
    let expected = [
        &b"SMV2\x02\x01\x01"[..],
        &[0xe0; 32],
        b"\0\x07",
        b"smv=0.1",
        &[b'B'; 33],
    ]
    .concat();
    assert_eq!(m2("smv=0.1").emit()[..], expected[..]);
    assert_eq!(M2::parse(&expected), Ok(m2("smv=0.1")));
    let pinned = M2 {
        policy: Policy::Pinned,
        spake: NO_SPAKE,
        ..m2("")
    };
    assert_eq!(M2::parse(&pinned.emit()), Ok(pinned.clone()));
    assert_eq!(pinned.emit()[6], 2);
}

#[test]
fn every_byte_of_m1_is_a_field() {
    for at in 0..M1_LEN {
        for bit in 0..8 {
            let mut bytes = m1().emit();
            bytes[at] ^= 1 << bit;
            match (at, M1::parse(&bytes)) {
                (0..4, read) => assert!(matches!(read, Err(HelloError::Magic { .. }))),
                (4, read) => assert_eq!(read, Err(HelloError::Version { found: bytes[4] })),
                (5, read) => assert_eq!(read, Err(HelloError::Suite { found: bytes[5] })),
                (_, Err(HelloError::Code { .. })) => assert!((6..13).contains(&at)),
                (_, read) => {
                    let read = read.unwrap();
                    assert_ne!(read, m1());
                    assert_eq!(read.emit(), bytes);
                }
            }
        }
    }
}

#[test]
fn every_byte_of_m2_is_a_field() {
    let good = m2("smv=0.1 cpus=2").emit();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(read) = M2::parse(&bytes) {
                assert_ne!(read, m2("smv=0.1 cpus=2"));
                assert_eq!(read.emit(), bytes);
            } else {
                assert!(at < 7 || (39..55).contains(&at), "byte {at}");
            }
        }
    }
}

#[test]
fn every_other_length_of_m2_is_refused() {
    let good = m2("smv=0.1").emit();
    for len in 0..good.len() {
        assert!(M2::parse(&good[..len]).is_err(), "{len} bytes");
    }
    let longer: Vec<u8> = good.iter().copied().chain([0]).collect();
    assert_eq!(
        M2::parse(&longer),
        Err(HelloError::M2Length {
            found: good.len() + 1,
            wanted: good.len()
        })
    );
}

#[test]
fn the_head_of_m2_tells_how_much_follows() {
    for len in [0, 1, INFO_MAX] {
        let bytes = m2(&"x".repeat(len)).emit();
        let head = bytes[..M2_HEAD_LEN].try_into().unwrap();
        assert_eq!(m2_rest_len(head), Ok(bytes.len() - M2_HEAD_LEN));
    }
    let mut head: [u8; M2_HEAD_LEN] = m2("").emit()[..M2_HEAD_LEN].try_into().unwrap();
    head[39..].copy_from_slice(&513u16.to_be_bytes());
    assert_eq!(
        m2_rest_len(&head),
        Err(HelloError::InfoLength { claimed: 513 })
    );
}

#[test]
fn info_is_printable_ascii_and_short() {
    assert_eq!(m2(&"~".repeat(INFO_MAX)).emit().len(), M2_MAX);
    assert_eq!(
        Info::parse(&[b'x'; INFO_MAX + 1]),
        Err(HelloError::InfoLength {
            claimed: INFO_MAX + 1
        })
    );
    for byte in 0..=255u8 {
        let read = Info::parse(&[b'a', byte]);
        if (0x20..0x7f).contains(&byte) {
            assert!(read.is_ok());
        } else {
            assert_eq!(read, Err(HelloError::InfoByte { at: 1, byte }));
        }
    }
}

#[test]
fn words_of_info_are_found_by_their_key() {
    let info = Info::parse(b"smv=0.1.0 cpus=2 disk= cpus=9 note").unwrap();
    assert_eq!(info.value("smv"), Some("0.1.0"));
    assert_eq!(info.value("cpus"), Some("2"));
    assert_eq!(info.value("disk"), Some(""));
    assert_eq!(info.value("note"), None);
    assert_eq!(info.value("mem"), None);
}

#[test]
fn only_known_policies_and_suites_are_read() {
    for number in 0..=255u8 {
        let mut bytes = m2("").emit();
        bytes[6] = number;
        assert_eq!(M2::parse(&bytes).is_ok(), [1, 2].contains(&number));
        let mut bytes = m2("").emit();
        bytes[5] = number;
        assert_eq!(M2::parse(&bytes).is_ok(), number == 1);
    }
}
