//! Golden bytes, every truncation, every changed byte.

use super::{BeaconError, PAYLOAD_MAX, PREFIX, emit, parse};
use crate::code::{Code, CodeError};
extern crate std;
use std::vec::Vec;

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/beacon.bin");
const PADDED: &[u8] = include_bytes!("../../tests/golden/beacon-padded.bin");

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

#[test]
fn golden_bytes_both_ways() {
    assert_eq!(emit(&code()), GOLDEN);
    assert_eq!(parse(GOLDEN), Ok(code()));
}

#[test]
fn a_padded_beacon_of_a_peer_is_accepted() {
    assert_eq!(parse(PADDED), Ok(code()));
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        let expected = match len.checked_sub(PREFIX.len()) {
            None => BeaconError::Prefix,
            Some(found) => BeaconError::Code(CodeError::Length { found }),
        };
        assert_eq!(parse(&GOLDEN[..len]), Err(expected));
    }
}

#[test]
fn every_changed_byte_is_refused_or_names_exactly_that_other_code() {
    for at in 0..GOLDEN.len() {
        for byte in (0..=255u8).filter(|byte| *byte != GOLDEN[at]) {
            let mut changed = GOLDEN.to_vec();
            changed[at] = byte;
            match parse(&changed) {
                Ok(code) => {
                    assert!(at >= PREFIX.len());
                    assert!(byte.is_ascii_lowercase() || byte.is_ascii_digit());
                    assert_eq!(emit(&code), changed[..]);
                }
                Err(BeaconError::Prefix) => assert!(at < PREFIX.len()),
                // The last byte turned into padding leaves a short code behind.
                Err(BeaconError::Code(CodeError::Length { found: 6 })) => {
                    assert_eq!(at, GOLDEN.len() - 1);
                    assert!(b"\0 \t\n\r\x0b\x0c".contains(&byte));
                }
                Err(BeaconError::Code(CodeError::Character {
                    at: within,
                    byte: found,
                })) => {
                    assert_eq!((within + PREFIX.len(), found), (at, byte));
                    assert!(!byte.is_ascii_lowercase() && !byte.is_ascii_digit());
                }
                Err(other) => panic!("byte {at} = {byte:#04x}: {other:?}"),
            }
        }
    }
}

#[test]
fn one_more_byte_is_padding_or_refused() {
    for byte in 0..=255u8 {
        let longer: Vec<u8> = GOLDEN.iter().copied().chain([byte]).collect();
        let expected = if b"\0 \t\n\r\x0b\x0c".contains(&byte) {
            Ok(code())
        } else {
            Err(BeaconError::Code(CodeError::Length { found: 8 }))
        };
        assert_eq!(parse(&longer), expected, "{byte:#04x}");
    }
}

#[test]
fn leading_and_inner_padding_are_refused() {
    for text in [
        " SMECHVISOR_SHIM:e13gts2",
        "SMECHVISOR_SHIM: e13gts2",
        "SMECHVISOR_SHIM:e13 gts2",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn padding_counts_towards_the_limit() {
    let mut payload = GOLDEN.to_vec();
    payload.resize(PAYLOAD_MAX, 0);
    assert_eq!(parse(&payload), Ok(code()));
    payload.push(0);
    assert_eq!(
        parse(&payload),
        Err(BeaconError::TooLong {
            found: PAYLOAD_MAX + 1
        })
    );
}
