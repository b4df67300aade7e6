//! Golden bytes, every truncation, every changed byte, every limit.

use super::{
    AREA_BYTES, IMAGE_UNIT, LEN, Label, LabelError, State, TEXT_MAX, image_room_bytes,
    without_zeros,
};
use crate::message::CHUNKS_MAX;
use crate::stream::DATA_MAX;
extern crate std;
use std::format;
use std::string::ToString;
use std::vec::Vec;

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/label.bin");
/// The text without the zeros, and its lines.
const TEXT_LEN: usize = 150;
const LINES: u8 = 7;

fn label() -> Label {
    Label {
        state: State::Complete,
        digest: core::array::from_fn(|at| at as u8),
        counter: 417,
        image_bytes: 64 << 20,
        next: 64,
    }
}

/// Another text in place of the golden one's, with zeros behind it.
fn parse(text: &str) -> Result<Label, LabelError> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(LEN, 0);
    Label::parse(&bytes)
}

fn text() -> &'static str {
    str::from_utf8(without_zeros(GOLDEN)).unwrap()
}

#[test]
fn golden_bytes_both_ways() {
    assert_eq!(label().emit(), GOLDEN);
    assert_eq!(Label::parse(GOLDEN), Ok(label()));
    assert_eq!(text().len(), TEXT_LEN);
    assert_eq!(text().lines().count(), usize::from(LINES));
}

#[test]
fn a_slot_that_was_never_written_has_none() {
    assert_eq!(Label::parse(&[0; LEN]), Err(LabelError::Blank));
}

#[test]
fn every_length_but_one_is_refused() {
    for len in (0..LEN).chain([LEN + 1]) {
        let mut bytes = GOLDEN.to_vec();
        bytes.resize(len, 0);
        assert_eq!(Label::parse(&bytes), Err(LabelError::Length { found: len }));
    }
}

#[test]
fn every_text_that_was_cut_is_refused() {
    for len in 1..TEXT_LEN {
        let found = parse(&text()[..len]);
        let line = 1 + text()[..len].matches('\n').count() as u8;
        assert!(
            matches!(found, Err(LabelError::Line { line: at, .. }) if at == line),
            "{len}: {found:?}"
        );
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_label() {
    for at in 0..LEN {
        // Behind the text any byte is as wrong as another.
        let step = if at < TEXT_LEN { 1 } else { 51 };
        for byte in (0..=255_u8)
            .step_by(step)
            .filter(|byte| *byte != GOLDEN[at])
        {
            let mut changed = GOLDEN.to_vec();
            changed[at] = byte;
            match Label::parse(&changed) {
                Ok(other) => {
                    assert_ne!(other, label());
                    assert_eq!(other.emit(), changed[..], "byte {at} = {byte:#04x}");
                }
                Err(LabelError::Behind { at: found }) => {
                    assert_eq!(found, at);
                    assert!(at >= TEXT_LEN);
                }
                Err(LabelError::Line { line, .. }) => {
                    assert!(at < TEXT_LEN);
                    // A line feed in the middle also spoils the line behind.
                    let own = 1 + text()[..at].matches('\n').count() as u8;
                    assert!(line == own || line == own + 1, "{at} {byte:#04x}: {line}");
                }
                Err(other) => panic!("byte {at} = {byte:#04x}: {other}"),
            }
        }
    }
}

#[test]
fn values_keep_their_limits() {
    let max = format!("image {}", DATA_MAX / IMAGE_UNIT * IMAGE_UNIT);
    let over = format!("image {}", DATA_MAX / IMAGE_UNIT * IMAGE_UNIT + IMAGE_UNIT);
    let (chunks, too_many) = (
        format!("next {CHUNKS_MAX}"),
        format!("next {}", CHUNKS_MAX + 1),
    );
    for (from, to, line) in [
        ("label 1", "label 2", Some(1)),
        ("complete", "writing", None),
        ("complete", "Complete", Some(2)),
        ("complete", "complete ", Some(2)),
        ("digest 00", "digest 0", Some(3)),
        ("digest 00", "digest 000", Some(3)),
        ("0a0b", "0A0b", Some(3)),
        ("counter 417", "counter 0", None),
        ("counter 417", "counter 18446744073709551615", None),
        ("counter 417", "counter 18446744073709551616", Some(4)),
        ("counter 417", "counter 0417", Some(4)),
        ("counter 417", "counter +417", Some(4)),
        ("counter 417", "counter", Some(4)),
        ("image 67108864", "image 4096", None),
        ("image 67108864", "image 0", Some(5)),
        ("image 67108864", "image 67108865", Some(5)),
        ("image 67108864", &max, None),
        ("image 67108864", &over, Some(5)),
        ("next 64", "next 0", None),
        ("next 64", &chunks, None),
        ("next 64", &too_many, Some(6)),
        ("next 64", "next 64\r", Some(6)),
        ("next 64\n", "", Some(6)),
        ("end\n", "end", Some(7)),
        ("end\n", "end \n", Some(7)),
    ] {
        let changed = text().replace(from, to);
        assert_ne!(changed, text(), "{from}");
        let found = parse(&changed);
        match line {
            None => assert_eq!(without_zeros(&found.unwrap().emit()), changed.as_bytes()),
            Some(line) => assert!(
                matches!(found, Err(LabelError::Line { line: at, .. }) if at == line),
                "{to}: {found:?}"
            ),
        }
    }
    assert!(matches!(
        parse(&format!("{}more", text())),
        Err(LabelError::Behind { at: TEXT_LEN })
    ));
}

#[test]
fn the_longest_text_fits_a_sector() {
    let longest = Label {
        state: State::Complete,
        counter: u64::MAX,
        image_bytes: DATA_MAX / IMAGE_UNIT * IMAGE_UNIT,
        next: CHUNKS_MAX,
        ..label()
    };
    let bytes = longest.emit();
    assert!(without_zeros(&bytes).len() < TEXT_MAX / 2);
    assert_eq!(Label::parse(&bytes), Ok(longest));
}

#[test]
fn errors_name_what_belongs_there() {
    let error = parse(&text().replace("counter", "kounter")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 4 of the slot's label: expected counter and a number"
    );
}

#[test]
fn what_stands_before_the_zeros_is_read_back() {
    for text in [&b""[..], b"a", b"RW\n", b"in\0side"] {
        let mut place: Vec<u8> = text.to_vec();
        assert_eq!(without_zeros(&place), text);
        place.resize(1024, 0);
        assert_eq!(without_zeros(&place), text);
    }
    assert_eq!(image_room_bytes(AREA_BYTES - 1), 0);
    assert_eq!(image_room_bytes(64 << 20), (64 << 20) - AREA_BYTES);
}
