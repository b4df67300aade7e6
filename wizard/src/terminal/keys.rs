//! Bytes that a terminal sends in, keys out. Whatever the bytes are, what is kept of them has a
//! fixed size, and how they were cut into pieces changes nothing.
//!
//! Read are ECMA-48 control sequences as the Linux console (console_codes(4)), xterm, VT220 and
//! rxvt send them for keys, and the two reports that we ask for. Only time tells a lone Escape from
//! the start of a sequence, and only the caller knows the time.

use crate::key::Key;

/// Numbers of one sequence that are looked at.
const NUMBERS: usize = 3;
/// No sequence that we know is longer; what goes on after this is taken for what it looks like.
const SEQUENCE_MAX: u8 = 32;
/// Strings that terminals send (ECMA-48 8.2.7) are thrown away as far as this.
const STRING_MAX: u8 = 128;

const ESCAPE: u8 = 0x1b;

/// The messages of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A key was pressed.
    Key(Key),
    /// The answer to [`super::ASK_SIZE`].
    Size {
        /// Characters of a line.
        columns: u16,
        /// Lines.
        rows: u16,
    },
    /// The answer to a question for the cursor's place, from 1.
    Cursor {
        /// From the left.
        column: u16,
        /// From the top.
        row: u16,
    },
}

/// Where in a sequence we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In none.
    #[default]
    Ground,
    /// Behind CR: a LF belongs to it.
    Return,
    /// Behind ESC.
    Escape,
    /// Behind ESC `[`.
    Control(Sequence),
    /// Behind ESC `[` `[`, as the Linux console begins F1 to F5.
    Linux,
    /// Behind ESC `O`.
    Shift3(u8),
    /// In a string that ends with BEL or ESC `\`.
    String(u8),
    /// In a character of UTF-8.
    Utf8 {
        /// Of the character so far.
        bits: u32,
        /// Bytes that are to come.
        left: u8,
        /// Smaller ones have a shorter form.
        least: u32,
    },
}

/// The part of a control sequence that has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sequence {
    numbers: [u16; NUMBERS],
    /// The number that is being read; beyond the last they are skipped.
    at: u8,
    len: u8,
    /// Begins with one of `<=>?`: an unsolicited report.
    is_private: bool,
}

/// Reads one terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], said: &mut Vec<Decoded>) {
        for byte in bytes {
            self.take(*byte, said);
        }
    }

    /// Whether something has begun that time decides: call [`Decoder::expire`] when nothing more
    /// has come for a while.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        !matches!(self.state, State::Ground | State::Return)
    }

    /// Nothing more has come: what has begun was all. An Escape becomes a key, anything else was
    /// cut off.
    pub fn expire(&mut self) -> Option<Key> {
        match std::mem::take(&mut self.state) {
            State::Escape => Some(Key::Escape),
            _ => None,
        }
    }

    fn take(&mut self, byte: u8, said: &mut Vec<Decoded>) {
        match self.state {
            State::Ground => self.ground(byte, said),
            State::Return => {
                self.state = State::Ground;
                if byte != b'\n' {
                    self.ground(byte, said);
                }
            }
            State::Escape => self.escape(byte, said),
            State::Control(sequence) => self.control(sequence, byte, said),
            State::Linux => self.finish(linux(byte), byte, said),
            State::Shift3(len) => match byte {
                // Of a modifier.
                b'0'..=b';' if len < SEQUENCE_MAX => self.state = State::Shift3(len + 1),
                _ => self.finish(shift3(byte), byte, said),
            },
            State::String(len) => match byte {
                ESCAPE => self.state = State::Escape, // ESC \ ends it, and means nothing by itself
                0x20.. if len < STRING_MAX => self.state = State::String(len + 1),
                _ => self.state = State::Ground,
            },
            State::Utf8 { bits, left, least } => self.utf8(byte, bits, left, least, said),
        }
    }

    fn ground(&mut self, byte: u8, said: &mut Vec<Decoded>) {
        self.state = State::Ground;
        let begun = |bits: u8, left, least| State::Utf8 {
            bits: u32::from(bits),
            left,
            least,
        };
        let key = match byte {
            ESCAPE => {
                self.state = State::Escape;
                return;
            }
            b'\r' => {
                self.state = State::Return;
                Key::Enter
            }
            b'\n' => Key::Enter,
            b'\t' => Key::Tab,
            0x08 | 0x7f => Key::Backspace,
            0x01..=0x1a => Key::Ctrl(char::from(byte | 0x60)),
            b' '..=b'~' => Key::Char(char::from(byte)),
            0xc2..=0xdf => {
                self.state = begun(byte & 0x1f, 1, 0x80);
                return;
            }
            0xe0..=0xef => {
                self.state = begun(byte & 0x0f, 2, 0x800);
                return;
            }
            0xf0..=0xf4 => {
                self.state = begun(byte & 0x07, 3, 0x1_0000);
                return;
            }
            _ => return, // NUL, and what is in no UTF-8
        };
        said.push(Decoded::Key(key));
    }

    /// `ESC 1` to `ESC 0` are F1 to F10, `ESC !` and `ESC @` F11 and F12: so firmware has it for
    /// terminals without those keys (UEFI 2.10 appendix B, PC ANSI), and so have programs with
    /// menus.
    fn escape(&mut self, byte: u8, said: &mut Vec<Decoded>) {
        let key = match byte {
            b'[' => {
                self.state = State::Control(Sequence::default());
                return;
            }
            b'O' => {
                self.state = State::Shift3(0);
                return;
            }
            b']' | b'P' | b'_' | b'^' | b'X' => {
                self.state = State::String(0);
                return;
            }
            b'\\' => {
                self.state = State::Ground; // the end of a string
                return;
            }
            // Alt and Tab, for terminals that do not tell Shift and Tab from Tab, as the Linux
            // console.
            b'\t' => Key::BackTab,
            b'1'..=b'9' => Key::F(byte - b'0'),
            b'0' => Key::F(10),
            b'!' => Key::F(11),
            b'@' => Key::F(12),
            _ => {
                said.push(Decoded::Key(Key::Escape));
                self.ground(byte, said);
                return;
            }
        };
        self.state = State::Ground;
        said.push(Decoded::Key(key));
    }

    fn control(&mut self, mut sequence: Sequence, byte: u8, said: &mut Vec<Decoded>) {
        sequence.len += 1;
        match byte {
            b'[' if sequence.len == 1 => self.state = State::Linux,
            // rxvt ends with it when Shift is held; nothing that we ask for has it.
            b'$' => self.finish(sequence.meaning(b'~'), byte, said),
            0x20..=0x3f if sequence.len < SEQUENCE_MAX => {
                sequence.read(byte);
                self.state = State::Control(sequence);
            }
            0x40..=0x7e => self.finish(sequence.meaning(byte), byte, said),
            // Cut off: what comes now is something else.
            _ => self.ground(byte, said),
        }
    }

    /// The last byte of a sequence has come. When that can end none the sequence was cut off.
    fn finish(&mut self, meaning: Option<Decoded>, byte: u8, said: &mut Vec<Decoded>) {
        self.state = State::Ground;
        said.extend(meaning);
        if !(0x20..0x7f).contains(&byte) {
            self.ground(byte, said);
        }
    }

    fn utf8(&mut self, byte: u8, bits: u32, left: u8, least: u32, said: &mut Vec<Decoded>) {
        if byte & 0xc0 != 0x80 {
            self.ground(byte, said);
            return;
        }
        let bits = bits << 6 | u32::from(byte & 0x3f);
        if left > 1 {
            let left = left - 1;
            self.state = State::Utf8 { bits, left, least };
            return;
        }
        self.state = State::Ground;
        let char = char::from_u32(bits).filter(|char| bits >= least && !char.is_control());
        said.extend(char.map(|char| Decoded::Key(Key::Char(char))));
    }
}

impl Sequence {
    fn read(&mut self, byte: u8) {
        match byte {
            b'0'..=b'9' => {
                if let Some(number) = self.numbers.get_mut(usize::from(self.at)) {
                    let digit = u16::from(byte - b'0');
                    *number = number.saturating_mul(10).saturating_add(digit);
                }
            }
            b';' | b':' => self.at += 1, // at most SEQUENCE_MAX times
            b'<'..=b'?' => self.is_private = true,
            _ => {}
        }
    }

    /// With this last byte. Modifiers, in the second number, change nothing.
    const fn meaning(&self, last: u8) -> Option<Decoded> {
        if self.is_private {
            return None;
        }
        let [first, second, third] = self.numbers;
        let key = match (last, first) {
            (b'A' | b'a', _) => Key::Up,
            (b'B' | b'b', _) => Key::Down,
            (b'C' | b'c', _) => Key::Right,
            (b'D' | b'd', _) => Key::Left,
            (b'H', _) | (b'~' | b'^' | b'@', 1 | 7) => Key::Home,
            (b'F', _) | (b'~' | b'^' | b'@', 4 | 8) => Key::End,
            (b'Z', _) => Key::BackTab,
            (b'~' | b'^' | b'@', 3) => Key::Delete,
            (b'~' | b'^' | b'@', 5) => Key::PageUp,
            (b'~' | b'^' | b'@', 6) => Key::PageDown,
            (b'~' | b'^' | b'@', 11) | (b'P', _) => Key::F(1),
            (b'~' | b'^' | b'@', 12) | (b'Q', _) => Key::F(2),
            (b'~' | b'^' | b'@', 13) => Key::F(3),
            (b'~' | b'^' | b'@', 14) | (b'S', _) => Key::F(4),
            (b'~' | b'^' | b'@', 15) => Key::F(5),
            (b'~' | b'^' | b'@', 17) => Key::F(6),
            (b'~' | b'^' | b'@', 18) => Key::F(7),
            (b'~' | b'^' | b'@', 19) => Key::F(8),
            (b'~' | b'^' | b'@', 20) => Key::F(9),
            (b'~' | b'^' | b'@', 21) => Key::F(10),
            (b'~' | b'^' | b'@', 23) => Key::F(11),
            (b'~' | b'^' | b'@', 24) => Key::F(12),
            // F3 with Shift looks like a report of the first line: xterm(1) has been living with
            // it.
            (b'R', 1..) if self.at == 1 && second > 0 => {
                let (row, column) = (first, second);
                return Some(Decoded::Cursor { column, row });
            }
            (b't', 8) if self.at == 2 && second > 0 && third > 0 => {
                let (rows, columns) = (second, third);
                return Some(Decoded::Size { columns, rows });
            }
            _ => return None,
        };
        Some(Decoded::Key(key))
    }
}

const fn linux(byte: u8) -> Option<Decoded> {
    match byte {
        b'A'..=b'E' => Some(Decoded::Key(Key::F(byte - b'A' + 1))),
        _ => None,
    }
}

/// Keys of a keypad in its application mode are what is printed on them.
fn shift3(byte: u8) -> Option<Decoded> {
    let key = match byte {
        b'A' | b'a' => Key::Up,
        b'B' | b'b' => Key::Down,
        b'C' | b'c' => Key::Right,
        b'D' | b'd' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'P'..=b'S' => Key::F(byte - b'P' + 1),
        b'M' => Key::Enter,
        b'I' => Key::Tab,
        b'j'..=b'y' => Key::Char(char::from(byte - b'j' + b'*')),
        b'X' => Key::Char('='),
        _ => return None,
    };
    Some(Decoded::Key(key))
}

#[cfg(test)]
mod tests;
