use super::{Decoded, Decoder, SEQUENCE_MAX, STRING_MAX};
use crate::key::Key;

fn said(bytes: &[u8]) -> Vec<Decoded> {
    let (mut decoder, mut said) = (Decoder::default(), Vec::new());
    decoder.feed(bytes, &mut said);
    said.extend(decoder.expire().map(Decoded::Key));
    assert!(!decoder.is_waiting());
    said
}

fn keys(bytes: &[u8]) -> Vec<Key> {
    let keys = said(bytes).into_iter().filter_map(|said| match said {
        Decoded::Key(key) => Some(key),
        _ => None,
    });
    keys.collect()
}

/// The bytes of terminals for one key: Linux console, xterm, VT220, rxvt, PuTTY, and firmware's
/// way.
const SENT: &[(Key, &[&[u8]])] = &[
    (
        Key::Up,
        &[b"\x1b[A", b"\x1bOA", b"\x1b[1;5A", b"\x1b[a", b"\x1bOa"],
    ),
    (
        Key::Down,
        &[b"\x1b[B", b"\x1bOB", b"\x1b[1;2B", b"\x1b[b", b"\x1bOb"],
    ),
    (Key::Right, &[b"\x1b[C", b"\x1bOC", b"\x1b[c"]),
    (Key::Left, &[b"\x1b[D", b"\x1bOD", b"\x1b[d"]),
    (
        Key::Home,
        &[
            b"\x1b[1~", b"\x1b[H", b"\x1bOH", b"\x1b[7~", b"\x1b[7$", b"\x1b[7^",
        ],
    ),
    (
        Key::End,
        &[b"\x1b[4~", b"\x1b[F", b"\x1bOF", b"\x1b[8~", b"\x1b[8@"],
    ),
    (Key::PageUp, &[b"\x1b[5~", b"\x1b[5;3~", b"\x1b[5^"]),
    (Key::PageDown, &[b"\x1b[6~", b"\x1b[6$"]),
    (Key::Delete, &[b"\x1b[3~", b"\x1b[3$"]),
    (Key::BackTab, &[b"\x1b[Z", b"\x1b\t"]),
    (Key::Tab, &[b"\t"]),
    (Key::Enter, &[b"\r", b"\n", b"\r\n", b"\x1bOM"]),
    (Key::Backspace, &[b"\x08", b"\x7f"]),
    (Key::Escape, &[b"\x1b"]),
    (
        Key::F(1),
        &[
            b"\x1b[[A",
            b"\x1bOP",
            b"\x1b[11~",
            b"\x1b[1;2P",
            b"\x1bO5P",
            b"\x1b1",
        ],
    ),
    (Key::F(2), &[b"\x1b[[B", b"\x1bOQ", b"\x1b[12~", b"\x1b2"]),
    (Key::F(3), &[b"\x1b[[C", b"\x1bOR", b"\x1b[13~", b"\x1b3"]),
    (Key::F(4), &[b"\x1b[[D", b"\x1bOS", b"\x1b[14~", b"\x1b4"]),
    (Key::F(5), &[b"\x1b[[E", b"\x1b[15~", b"\x1b5"]),
    (Key::F(6), &[b"\x1b[17~", b"\x1b6"]),
    (Key::F(9), &[b"\x1b[20~", b"\x1b[20;5~", b"\x1b9"]),
    (Key::F(10), &[b"\x1b[21~", b"\x1b0"]),
    (Key::F(11), &[b"\x1b[23~", b"\x1b!"]),
    (Key::F(12), &[b"\x1b[24~", b"\x1b[24^", b"\x1b@"]),
    (Key::Ctrl('l'), &[b"\x0c"]),
    (Key::Ctrl('c'), &[b"\x03"]),
    (Key::Char('7'), &[b"7", b"\x1bOw"]),
    (Key::Char('.'), &[b".", b"\x1bOn"]),
    (Key::Char('ä'), &["ä".as_bytes()]),
    (Key::Char('漢'), &["漢".as_bytes()]),
    (Key::Char('🦀'), &["🦀".as_bytes()]),
];

#[test]
fn every_terminals_keys_are_known() {
    for (key, ways) in SENT {
        for bytes in *ways {
            assert_eq!(
                said(bytes),
                [Decoded::Key(*key)],
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}

#[test]
fn keys_behind_each_other_stay_apart_wherever_they_are_cut() {
    let all: Vec<_> = SENT
        .iter()
        .flat_map(|(key, ways)| ways.iter().map(move |bytes| (*key, *bytes)))
        .filter(|(key, _)| *key != Key::Escape)
        .collect();
    let bytes: Vec<u8> = all.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    // CR and LF of two ways stand behind each other in the table and are one Enter.
    let is_one = |pair: &[(Key, &[u8])]| pair[0].1 == b"\r" && pair[1].1 == b"\n";
    let joined = all.windows(2).filter(|pair| is_one(pair)).count();
    let whole = said(&bytes);
    assert_eq!(whole.len(), all.len() - joined);
    for cut in 0..=bytes.len() {
        let (mut decoder, mut parts) = (Decoder::default(), Vec::new());
        decoder.feed(&bytes[..cut], &mut parts);
        decoder.feed(&bytes[cut..], &mut parts);
        assert_eq!(parts, whole, "cut at {cut}");
    }
}

#[test]
fn escape_is_a_key_when_nothing_follows_or_something_that_cannot() {
    assert_eq!(keys(b"\x1b\x1b"), [Key::Escape, Key::Escape]);
    assert_eq!(keys(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
    assert_eq!(keys(b"\x1bq"), [Key::Escape, Key::Char('q')]);
    let (mut decoder, mut said) = (Decoder::default(), Vec::new());
    decoder.feed(b"\x1b", &mut said);
    assert!(said.is_empty() && decoder.is_waiting());
    assert_eq!(decoder.expire(), Some(Key::Escape));
    decoder.feed(b"[A", &mut said);
    assert_eq!(said, [Key::Char('['), Key::Char('A')].map(Decoded::Key));
}

#[test]
fn a_sequence_that_is_cut_off_swallows_nothing_behind_it() {
    for cut in [
        &b"\x1b["[..],
        b"\x1b[1;",
        b"\x1b[[",
        b"\x1bO",
        b"\x1b[?25",
        b"\xe6\xbc",
        b"\x1b]0;x",
    ] {
        for (behind, key) in [(&b"\r"[..], Key::Enter), (b"\x1b[B", Key::Down)] {
            let bytes = [cut, behind].concat();
            // The one byte that ends a string is gone with it.
            let is_swallowed = cut.starts_with(b"\x1b]") && behind == b"\r";
            let expected: &[Key] = if is_swallowed { &[] } else { &[key] };
            assert_eq!(keys(&bytes), expected, "{}", bytes.escape_ascii());
        }
        assert!(keys(cut).is_empty(), "{}", cut.escape_ascii());
    }
}

#[test]
fn nonsense_is_bounded_and_then_over() {
    let endless = [b"\x1b[".as_slice(), &[b'1'; 5000], b"~"].concat();
    let left = keys(&endless).len();
    assert!(left + usize::from(SEQUENCE_MAX) > 5000 - 2);
    let string = [b"\x1b]".as_slice(), &[b'x'; 5000]].concat();
    assert_eq!(keys(&string).len(), 5000 - usize::from(STRING_MAX) - 1);
    assert!(keys(&[0; 4096]).is_empty());
    assert!(keys(&[0xff; 4096]).is_empty());
    assert!(keys(b"\x1b[?1;2c\x1b[>0;276;0c\x1b[I\x1b[200~\x1b]11;rgb:0/0/0\x1b\\").is_empty());
    // Overlong, a surrogate, beyond the last, and a control character with two bytes.
    assert!(keys(b"\xc0\x80\xe0\x80\x80\xed\xa0\x80\xf4\xbf\xbf\xbf\xc2\x9b").is_empty());
}

#[test]
fn reports_are_no_keys() {
    let (columns, rows) = (132, 50);
    assert_eq!(said(b"\x1b[8;50;132t"), [Decoded::Size { columns, rows }]);
    let (column, row) = (132, 50);
    assert_eq!(said(b"\x1b[50;132R"), [Decoded::Cursor { column, row }]);
    assert_eq!(said(b"\x1b[99999;99999R").len(), 1);
    for nothing in [
        &b"\x1b[0;5R"[..],
        b"\x1b[R",
        b"\x1b[5R",
        b"\x1b[8;0;80t",
        b"\x1b[4;600;800t",
    ] {
        assert!(said(nothing).is_empty(), "{}", nothing.escape_ascii());
    }
}
