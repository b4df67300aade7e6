//! Anything typed on a console: no panic, the same keys wherever it is cut, and nothing is kept
//! that a pause does not end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wizard::Key;
use wizard::terminal::keys::{Decoded, Decoder};

fuzz_target!(|typed: &[u8]| {
    let mut whole = Vec::new();
    let mut decoder = Decoder::default();
    decoder.feed(typed, &mut whole);

    let (mut pieces, mut other) = (Vec::new(), Decoder::default());
    for byte in typed {
        other.feed(&[*byte], &mut pieces);
    }
    assert_eq!(pieces, whole);
    assert_eq!(other, decoder);

    // One byte is two keys at most: an Escape that nothing can follow, and what followed.
    assert!(whole.len() <= typed.len() * 2);
    for said in &whole {
        match said {
            Decoded::Key(Key::Char(char)) => assert!(!char.is_control()),
            Decoded::Key(Key::F(number)) => assert!((1..=12).contains(number)),
            Decoded::Key(Key::Ctrl(char)) => assert!(char.is_ascii_lowercase()),
            Decoded::Key(_) => {}
            Decoded::Size { columns, rows }
            | Decoded::Cursor {
                column: columns,
                row: rows,
            } => assert!(*columns > 0 && *rows > 0),
        }
    }

    decoder.expire();
    assert!(!decoder.is_waiting());
    let mut behind = Vec::new();
    decoder.feed(b"q\x1b[A", &mut behind);
    assert_eq!(
        behind,
        [Decoded::Key(Key::Char('q')), Decoded::Key(Key::Up)]
    );
});
