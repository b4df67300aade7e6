//! Directory entries: 32 bytes in; the file, or the piece of a long name, that they are out
//! (Microsoft FAT specification 1.03; section numbers below are its).

/// A directory entry (6).
pub(super) const ENTRY: usize = 32;
/// Attributes of a directory entry (6).
const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
/// A piece of a long name (7).
const LONG_NAME: u8 = 0x0F;
const LAST_PIECE: u8 = 0x40;
const PIECE_CHARS: usize = 13;
const PIECES_MAX: u8 = 20;

/// The file or directory that an entry leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub is_directory: bool,
    pub cluster: u32,
    pub len: u32,
}

/// The kind of an entry.
pub(super) enum Entry {
    /// Nothing follows in this directory.
    End,
    /// Unused, or the label of the volume.
    Free,
    /// Of a long name.
    Piece,
    /// A file or directory.
    Short(Found),
}

impl Entry {
    pub fn of(entry: &[u8; ENTRY]) -> Self {
        let attributes = entry[11];
        match entry[0] {
            0 => Entry::End,
            0xE5 => Entry::Free,
            _ if attributes & 0x3F == LONG_NAME => Entry::Piece,
            _ if attributes & VOLUME_LABEL != 0 => Entry::Free,
            _ => {
                let [.., h0, h1, _, _, _, _, l0, l1, s0, s1, s2, s3] = *entry;
                Entry::Short(Found {
                    is_directory: attributes & DIRECTORY != 0,
                    cluster: u32::from_le_bytes([l0, l1, h0, h1]),
                    len: u32::from_le_bytes([s0, s1, s2, s3]),
                })
            }
        }
    }
}

/// The pieces before a short entry, the last of the name first (7.2).
#[derive(Debug, Default)]
pub(super) struct LongName {
    /// Whole pieces, in the order of the name.
    chars: Vec<u16>,
    checksum: u8,
    /// The number of the piece that came last; 1 when the name is whole.
    number: u8,
}

impl LongName {
    /// Takes the next piece; one that does not follow begins a name, or none.
    pub fn take(&mut self, entry: &[u8; ENTRY]) {
        let (order, checksum) = (entry[0], entry[13]);
        let number = order & !LAST_PIECE;
        let is_first = order & LAST_PIECE != 0;
        let follows =
            !is_first && self.number == number.wrapping_add(1) && self.checksum == checksum;
        if !(1..=PIECES_MAX).contains(&number) || !(is_first || follows) {
            *self = Self::default();
            return;
        }
        let mut piece = Vec::with_capacity(PIECE_CHARS);
        for range in [1..11, 14..26, 28..32] {
            let pairs = entry.get(range).unwrap_or_default().as_chunks::<2>().0;
            piece.extend(pairs.iter().map(|pair| u16::from_le_bytes(*pair)));
        }
        if !is_first {
            piece.append(&mut self.chars);
        }
        (self.chars, self.checksum, self.number) = (piece, checksum, number);
    }

    /// Whether it is whole, belongs to this entry and is this name.
    pub fn is(&self, name: &str, entry: &[u8; ENTRY]) -> bool {
        let short = entry.get(..11).unwrap_or_default();
        let sum = short
            .iter()
            .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let mut chars = self.chars.iter().copied().take_while(|char| *char != 0);
        let is_equal = name
            .encode_utf16()
            .all(|char| chars.next().is_some_and(|found| is_alike(found, char)));
        self.number == 1 && self.checksum == sum && is_equal && chars.next().is_none()
    }
}

fn is_alike(one: u16, other: u16) -> bool {
    let lower =
        |char: u16| u8::try_from(char).map_or(char, |byte| byte.to_ascii_lowercase().into());
    lower(one) == lower(other)
}

/// Whether an entry has this short name: eight characters and three, filled up with blanks (6.1).
pub(super) fn is_short(name: &str, entry: &[u8; ENTRY]) -> bool {
    let (base, rest) = entry.split_at(8);
    let kind = rest.get(..3).unwrap_or_default().trim_ascii_end();
    let base = base.trim_ascii_end();
    let (name, name_kind) = name.rsplit_once('.').unwrap_or((name, ""));
    name.as_bytes().eq_ignore_ascii_case(base) && name_kind.as_bytes().eq_ignore_ascii_case(kind)
}
