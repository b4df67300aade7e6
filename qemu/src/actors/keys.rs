//! Keys that a person presses in; commands for QEMU's keyboard, or bytes for a serial line, out.

/// A key that a person presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A printable character of ASCII.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// F1 to F12.
    F(u8),
    /// Control and a letter.
    Ctrl(char),
    /// The left Alt and F1 to F12: the console itself takes it for another terminal.
    AltF(u8),
}

/// Characters that are not named like their key, on a keyboard of the United States: the key, and
/// whether with Shift.
const NAMED: [(char, &str, bool); 16] = [
    (' ', "spc", false),
    ('-', "minus", false),
    ('_', "minus", true),
    ('=', "equal", false),
    ('+', "equal", true),
    ('.', "dot", false),
    (',', "comma", false),
    ('/', "slash", false),
    ('?', "slash", true),
    (':', "semicolon", true),
    (';', "semicolon", false),
    ('\'', "apostrophe", false),
    ('!', "1", true),
    ('@', "2", true),
    ('#', "3", true),
    ('$', "4", true),
];

impl Key {
    /// QEMU's names of the keys that are down together (`qapi/ui.json`, `QKeyCode`); none for a
    /// character that no key is known for.
    #[must_use]
    pub fn codes(self) -> Vec<String> {
        let one = |name: &str| vec![name.to_owned()];
        match self {
            Key::Char(char) if char.is_ascii_lowercase() || char.is_ascii_digit() => {
                one(&char.to_string())
            }
            Key::Char(char) if char.is_ascii_uppercase() => {
                vec!["shift".to_owned(), char.to_ascii_lowercase().to_string()]
            }
            Key::Char(char) => match NAMED.iter().find(|(named, ..)| *named == char) {
                Some((_, name, true)) => vec!["shift".to_owned(), (*name).to_owned()],
                Some((_, name, false)) => one(name),
                None => Vec::new(),
            },
            Key::Enter => one("ret"),
            Key::Escape => one("esc"),
            Key::Tab => one("tab"),
            Key::Backspace => one("backspace"),
            Key::Up => one("up"),
            Key::Down => one("down"),
            Key::Left => one("left"),
            Key::Right => one("right"),
            Key::Home => one("home"),
            Key::End => one("end"),
            Key::F(number) => one(&format!("f{number}")),
            Key::Ctrl(letter) => vec!["ctrl".to_owned(), letter.to_string()],
            Key::AltF(number) => vec!["alt".to_owned(), format!("f{number}")],
        }
    }

    /// The bytes of a terminal: xterm's sequences, which a VT220 would understand (`ctlseqs`,
    /// PC-Style Function Keys). What stays within a terminal sends nothing.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        let text = match self {
            Key::Char(char) => char.to_string(),
            Key::Enter => "\r".to_owned(),
            Key::Escape => "\x1b".to_owned(),
            Key::Tab => "\t".to_owned(),
            Key::Backspace => "\x7f".to_owned(),
            Key::Up => "\x1b[A".to_owned(),
            Key::Down => "\x1b[B".to_owned(),
            Key::Right => "\x1b[C".to_owned(),
            Key::Left => "\x1b[D".to_owned(),
            Key::Home => "\x1b[H".to_owned(),
            Key::End => "\x1b[F".to_owned(),
            Key::F(number @ 1..=4) => format!("\x1bO{}", char::from(b'O' + number)),
            Key::F(number) => match function_key(number) {
                Some(code) => format!("\x1b[{code}~"),
                None => String::new(),
            },
            Key::Ctrl(letter) => return vec![(letter as u32 & 0x1F) as u8],
            Key::AltF(_) => String::new(),
        };
        text.into_bytes()
    }
}

/// The number of F5 to F12: that of a VT220, which has gaps.
const fn function_key(number: u8) -> Option<u8> {
    match number {
        5 => Some(15),
        6..=10 => Some(number + 11),
        11 | 12 => Some(number + 12),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn keys_have_the_names_and_the_bytes_that_others_know() {
        for (key, codes, bytes) in [
            (Key::Char('a'), "a", &b"a"[..]),
            (Key::Char('Z'), "shift z", b"Z"),
            (Key::Char('/'), "slash", b"/"),
            (Key::Char('_'), "shift minus", b"_"),
            (Key::Enter, "ret", b"\r"),
            (Key::Backspace, "backspace", b"\x7f"),
            (Key::Left, "left", b"\x1b[D"),
            (Key::F(1), "f1", b"\x1bOP"),
            (Key::F(4), "f4", b"\x1bOS"),
            (Key::F(5), "f5", b"\x1b[15~"),
            (Key::F(6), "f6", b"\x1b[17~"),
            (Key::F(10), "f10", b"\x1b[21~"),
            (Key::F(11), "f11", b"\x1b[23~"),
            (Key::F(12), "f12", b"\x1b[24~"),
            (Key::Ctrl('l'), "ctrl l", b"\x0c"),
            (Key::AltF(2), "alt f2", b""),
            (Key::Char('ä'), "", "ä".as_bytes()),
        ] {
            assert_eq!(key.codes().join(" "), codes, "{key:?}");
            assert_eq!(key.bytes(), bytes, "{key:?}");
        }
    }
}
