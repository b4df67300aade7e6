//! A boot option as firmware keeps it: `EFI_LOAD_OPTION` (UEFI 2.10 3.1.3) with a device path
//! (10.3). Bytes in, meaning out, and back. Integers are little-endian, text is UCS-2.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | attributes; bit 0: active |
//! | 2 | length of the device paths |
//! | 2 each | description, ends in a zero |
//! | as said | device paths, of which the first is booted |
//! | the rest | for the program that is started |

use uuid::Uuid;

use crate::contents::PartitionRef;

/// The program that an entry of ours starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// GRUB.
    #[default]
    Grub,
    /// A signed first stage, which starts GRUB: for Secure Boot.
    FirstStage,
}

impl Program {
    /// Each.
    pub const ALL: [Program; 2] = [Program::Grub, Program::FirstStage];

    /// As firmware writes a path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Program::Grub => "\\EFI\\smechvisor\\grubx64.efi",
            Program::FirstStage => "\\EFI\\smechvisor\\shimx64.efi",
        }
    }
}

/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
/// Attributes and length of the paths.
const HEADER_BYTES: usize = 6;
/// Type, sub-type and length of a node (10.2).
const NODE_BYTES: usize = 4;
/// Media device path (10.3.5): hard drive, and file path.
const HARD_DRIVE: (u8, u8) = (4, 1);
const FILE_PATH: (u8, u8) = (4, 4);
/// End of the entire device path (10.3.1).
const END: [u8; NODE_BYTES] = [0x7F, 0xFF, 4, 0];
/// In a hard drive's node: a partition of a GPT, known by its GUID.
const GPT_BY_GUID: [u8; 2] = [2, 2];
/// Number, first block, blocks, GUID, table, kind of identity.
const HARD_DRIVE_BYTES: usize = 4 + 8 + 8 + 16 + 2;

/// A file on a partition: the short form of a device path, which does not say how the disk is
/// attached (10.3.5.1). Firmware looks for the partition on every disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The partition, in blocks of its disk.
    pub partition: PartitionRef,
    /// From the root of the partition, with backslashes.
    pub path: &'a str,
}

/// A boot option of the kind that we make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOption<'a> {
    /// For the firmware's menu.
    pub description: &'a str,
    /// The file or device that it starts.
    pub target: Target<'a>,
}

impl LoadOption<'_> {
    /// The content of a `Boot####` variable.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let PartitionRef {
            number,
            first_lba,
            sectors,
            guid,
        } = self.target.partition;
        let mut drive = number.to_le_bytes().to_vec();
        drive.extend(first_lba.to_le_bytes());
        drive.extend(sectors.to_le_bytes());
        drive.extend(guid.to_bytes_le());
        drive.extend(GPT_BY_GUID);
        let mut paths = node(HARD_DRIVE, &drive);
        paths.extend(node(FILE_PATH, &ucs2(self.target.path)));
        paths.extend(END);
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        bytes.extend(length(paths.len()));
        bytes.extend(ucs2(self.description));
        bytes.extend(paths);
        bytes
    }
}

fn node((kind, sub_kind): (u8, u8), data: &[u8]) -> Vec<u8> {
    let mut node = vec![kind, sub_kind];
    node.extend(length(data.len().saturating_add(NODE_BYTES)));
    node.extend(data);
    node
}

/// A path and a title are far shorter than 64 KiB.
fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes()
}

/// Every character of the first plane; what is beyond has no place in UCS-2.
fn ucs2(text: &str) -> Vec<u8> {
    let units = text
        .chars()
        .map(|char| u16::try_from(u32::from(char)).unwrap_or(0xFFFD));
    units.chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A boot option of anybody, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawOption<'a> {
    /// Bit 0: active.
    pub attributes: u32,
    /// UCS-2, without its end.
    pub description: &'a [u8],
    /// All device paths.
    pub paths: &'a [u8],
    /// For the program that is started.
    pub data: &'a [u8],
}

impl<'a> RawOption<'a> {
    /// Takes the content of a `Boot####` variable apart; `None` when it is malformed.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let (attributes, len) = header.split_at_checked(4)?;
        let len = u16::from_le_bytes(len.try_into().ok()?);
        let units = rest.as_chunks::<2>().0;
        let end = units
            .iter()
            .position(|unit| *unit == [0, 0])?
            .checked_mul(2)?;
        let (description, rest) = rest.split_at_checked(end)?;
        let (paths, data) = rest.get(2..)?.split_at_checked(usize::from(len))?;
        Some(Self {
            attributes: u32::from_le_bytes(attributes.try_into().ok()?),
            description,
            paths,
            data,
        })
    }

    /// The first path, when it is a file on a partition of a GPT: number, blocks and GUID, and the
    /// path in UCS-2 as it stands.
    #[must_use]
    pub fn file(&self) -> Option<(PartitionRef, &'a [u8])> {
        let (drive, rest) = take_node(self.paths, HARD_DRIVE)?;
        let (file, rest) = take_node(rest, FILE_PATH)?;
        if !rest.starts_with(&END) {
            return None;
        }
        let drive: &[u8; HARD_DRIVE_BYTES] = drive.try_into().ok()?;
        let (number, rest) = drive.split_first_chunk()?;
        let (first_lba, rest) = rest.split_first_chunk()?;
        let (sectors, rest) = rest.split_first_chunk()?;
        let (guid, kinds) = rest.split_first_chunk()?;
        let partition = PartitionRef {
            number: u32::from_le_bytes(*number),
            first_lba: u64::from_le_bytes(*first_lba),
            sectors: u64::from_le_bytes(*sectors),
            guid: Uuid::from_bytes_le(*guid),
        };
        (kinds == GPT_BY_GUID).then_some((partition, file))
    }
}

/// The data of the node at the beginning, when it is of this kind, and what follows.
fn take_node(path: &[u8], kind: (u8, u8)) -> Option<(&[u8], &[u8])> {
    let (header, rest) = path.split_first_chunk::<NODE_BYTES>()?;
    let [found, sub_kind, low, high] = *header;
    let len = usize::from(u16::from_le_bytes([low, high])).checked_sub(NODE_BYTES)?;
    ((found, sub_kind) == kind).then(|| rest.split_at_checked(len))?
}

/// The partition that this boot option starts our program from; `None` when somebody else made it.
/// The description does not count: people and firmware change it.
#[must_use]
pub fn ours(option: &[u8]) -> Option<Uuid> {
    let (partition, path) = RawOption::parse(option)?.file()?;
    let is_ours = Program::ALL
        .iter()
        .any(|program| is_path(path, program.path()));
    is_ours.then_some(partition.guid)
}

/// FAT does not tell upper from lower case, and firmware rewrites paths. Some leave the end out.
fn is_path(found: &[u8], path: &str) -> bool {
    let path = ucs2(path);
    path.get(..found.len())
        .is_some_and(|path| found.eq_ignore_ascii_case(path))
        && path.len().saturating_sub(found.len()) <= 2
}
