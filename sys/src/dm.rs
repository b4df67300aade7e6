//! Device mapper: block devices made of others (`linux/dm-ioctl.h`,
//! `Documentation/admin-guide/device-mapper/`).
//!
//! A name and a table of targets in, the number of a block device out. Each function is one call of
//! the kernel: [`DeviceMapper::create`], [`load`](DeviceMapper::load) into the inactive table,
//! [`resume`](DeviceMapper::resume), which makes that one the active one. No libdevmapper, no udev:
//! devtmpfs makes the node `/dev/dm-N`.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{offset_of, size_of};

use rustix::io::Errno;
use rustix::ioctl::{self, Opcode, Updater, opcode};

const CONTROL: &str = "/dev/mapper/control";
/// The interface that this file speaks; the kernel refuses another major number.
const VERSION: [u32; 3] = [4, 0, 0];
/// What a call may carry: tables and answers of a few lines.
const REQUEST_LEN: usize = 4096;
/// `DM_NAME_LEN` with its NUL.
const NAME_LEN: usize = 128;

const DM_VERSION: Opcode = opcode::read_write::<Head>(0xFD, 0);
const DM_DEV_CREATE: Opcode = opcode::read_write::<Head>(0xFD, 3);
const DM_DEV_SUSPEND: Opcode = opcode::read_write::<Head>(0xFD, 6);
const DM_TABLE_LOAD: Opcode = opcode::read_write::<Head>(0xFD, 9);

const DM_READONLY_FLAG: u32 = 1 << 0;

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it begins on the new device, in sectors of 512 bytes.
    pub start_sectors: u64,
    /// How many sectors of 512 bytes it has.
    pub len_sectors: u64,
    /// `linear`, `verity`.
    pub kind: &'static str,
    /// In the words of that target.
    pub parameters: String,
}

/// The kernel's device mapper.
#[derive(Debug)]
pub struct DeviceMapper(File);

impl DeviceMapper {
    /// Opens it and asks for its version.
    ///
    /// # Errors
    /// `ENOENT`: the kernel has none. `EINVAL`: it speaks another version than 4.
    pub fn open() -> io::Result<Self> {
        let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
        let mapper = Self(control);
        mapper.call::<DM_VERSION>(Request::new("")?)?;
        Ok(mapper)
    }

    /// Makes a device without a table and returns its minor number: its node is `/dev/dm-MINOR`.
    ///
    /// # Errors
    /// `EBUSY`: there is one of that name. `EINVAL`: the name is empty, has a slash or more than
    /// 127 bytes.
    pub fn create(&self, name: &str) -> io::Result<u32> {
        let answer = self.call::<DM_DEV_CREATE>(Request::named(name)?)?;
        Ok(minor(answer.head.dev))
    }

    /// Gives a device its next table, read-only; [`resume`](Self::resume) makes it the active one.
    ///
    /// # Errors
    /// `EINVAL`: a target refuses its parameters, or there is no such target; the kernel's log says
    /// which. `ENXIO`: no such device. `ENOSPC`: the table is longer than a call of this file.
    pub fn load(&self, name: &str, targets: &[Target]) -> io::Result<()> {
        let mut request = Request::named(name)?;
        request.head.flags = DM_READONLY_FLAG;
        request.head.target_count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        put(&mut request.payload, targets).ok_or(Errno::NOSPC)?;
        self.call::<DM_TABLE_LOAD>(request).map(drop)
    }

    /// Makes the table that was loaded last the active one, and lets reads through. Reads that wait
    /// on the device are answered by the new table.
    ///
    /// # Errors
    /// `EINVAL`: it has no table. `ENXIO`: no such device.
    pub fn resume(&self, name: &str) -> io::Result<()> {
        self.call::<DM_DEV_SUSPEND>(Request::named(name)?).map(drop)
    }

    /// One call; what was carried comes back with the answer in its place.
    fn call<const OPCODE: Opcode>(&self, mut request: Box<Request>) -> io::Result<Box<Request>> {
        // SAFETY: every call of linux/dm-ioctl.h reads a `struct dm_ioctl` at the start of
        // `data_size` bytes and writes no more than those; `Request` is so long and says so.
        let update = unsafe { Updater::<OPCODE, Request>::new(&mut request) };
        // SAFETY: the request pairs the number with that structure; the call has no effect on other
        // memory of this process.
        unsafe { ioctl::ioctl(&self.0, update) }?;
        Ok(request)
    }
}

/// `struct dm_ioctl` up to its data.
#[repr(C)]
struct Head {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_number: u32,
    padding: u32,
    dev: u64,
    name: [u8; NAME_LEN],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// `struct dm_target_spec`: in front of each target's parameters, and of its status.
#[repr(C)]
struct Spec {
    start_sectors: u64,
    len_sectors: u64,
    status: i32,
    /// To the next one, in bytes from the start of this one.
    next: u32,
    kind: [u8; 16],
}

/// A call: the structure, and behind it what it carries.
#[repr(C)]
struct Request {
    head: Head,
    payload: [u8; REQUEST_LEN - size_of::<Head>()],
}

const _: () = assert!(size_of::<Head>() == 312 && offset_of!(Head, dev) == 40);
const _: () = assert!(offset_of!(Head, name) == 48 && offset_of!(Head, uuid) == 176);
const _: () = assert!(size_of::<Spec>() == 40 && offset_of!(Spec, kind) == 24);
const _: () = assert!(size_of::<Request>() == REQUEST_LEN);
const _: () = assert!(offset_of!(Request, payload) == size_of::<Head>());

impl Request {
    /// About the device of this name; the empty name is of none.
    fn new(name: &str) -> Result<Box<Self>, Errno> {
        let mut head = Head {
            version: VERSION,
            data_size: REQUEST_LEN as u32,
            data_start: size_of::<Head>() as u32,
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_number: 0,
            padding: 0,
            dev: 0,
            name: [0; NAME_LEN],
            uuid: [0; 129],
            data: [0; 7],
        };
        // Its last byte stays NUL.
        let place = head.name.get_mut(..name.len().min(NAME_LEN - 1));
        place
            .filter(|place| place.len() == name.len() && !name.contains(['/', '\0']))
            .ok_or(Errno::INVAL)?
            .copy_from_slice(name.as_bytes());
        Ok(Box::new(Self {
            head,
            payload: [0; REQUEST_LEN - size_of::<Head>()],
        }))
    }

    fn named(name: &str) -> Result<Box<Self>, Errno> {
        match name {
            "" => Err(Errno::INVAL),
            name => Self::new(name),
        }
    }
}

/// The rows one after the other, each with its parameters and a NUL behind, filled up to 8 bytes;
/// `None` when there is no room.
fn put(payload: &mut [u8], targets: &[Target]) -> Option<()> {
    let mut rest = payload;
    for target in targets {
        let used = size_of::<Spec>() + target.parameters.len() + 1;
        let len = used.next_multiple_of(8);
        let (row, behind) = rest.split_at_mut_checked(len)?;
        let next = u32::try_from(len).ok()?.to_ne_bytes();
        let start = target.start_sectors.to_ne_bytes();
        let sectors = target.len_sectors.to_ne_bytes();
        let fields = [
            (offset_of!(Spec, start_sectors), start.as_slice()),
            (offset_of!(Spec, len_sectors), &sectors),
            (offset_of!(Spec, next), &next),
            (offset_of!(Spec, kind), target.kind.as_bytes()),
            (size_of::<Spec>(), target.parameters.as_bytes()),
        ];
        for (at, bytes) in fields {
            row.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        }
        rest = behind;
    }
    Some(())
}

/// Of a device number as the kernel writes it (`huge_encode_dev()` in `linux/kdev_t.h`).
const fn minor(dev: u64) -> u32 {
    ((dev & 0xFF) | ((dev >> 12) & 0xF_FF00)) as u32
}

#[cfg(test)]
mod tests {
    use super::{Head, REQUEST_LEN, Request, Target, minor, put};
    use rustix::io::Errno;
    use std::mem::size_of;

    fn target(parameters: &str) -> Target {
        Target {
            start_sectors: 1,
            len_sectors: 0x0203,
            kind: "linear",
            parameters: parameters.to_owned(),
        }
    }

    #[test]
    fn a_name_is_one_the_kernel_takes() {
        let longest = "n".repeat(127);
        assert_eq!(
            Request::named(&longest).unwrap().head.name[..127],
            *longest.as_bytes()
        );
        for name in ["", "a/b", "a\0b", &"n".repeat(128)] {
            assert_eq!(Request::named(name).err(), Some(Errno::INVAL), "{name:?}");
        }
    }

    #[test]
    fn rows_follow_one_another_at_multiples_of_eight() {
        let mut payload = [0; 256];
        put(&mut payload, &[target("7:0 0"), target("8:16 2048")]).unwrap();
        let number = |at: usize| u64::from_ne_bytes(payload[at..at + 8].try_into().unwrap());
        let next = |at: usize| u32::from_ne_bytes(payload[at + 20..at + 24].try_into().unwrap());
        assert_eq!((number(0), number(8), next(0)), (1, 0x0203, 48));
        assert_eq!(&payload[24..30], b"linear");
        assert_eq!(&payload[40..45], b"7:0 0");
        assert_eq!((number(48), next(48)), (1, 56));
        assert_eq!(&payload[88..97], b"8:16 2048");
    }

    #[test]
    fn a_table_without_room_is_refused() {
        let room = REQUEST_LEN - size_of::<Head>();
        let fits = room - size_of::<super::Spec>() - 1;
        let mut payload = vec![0; room];
        assert_eq!(put(&mut payload, &[target(&"x".repeat(fits))]), Some(()));
        assert_eq!(put(&mut payload, &[target(&"x".repeat(fits + 1))]), None);
        assert_eq!(
            put(&mut payload, &[target(&"x".repeat(fits)), target("")]),
            None
        );
    }

    #[test]
    fn minor_numbers_are_read_in_both_their_parts() {
        assert_eq!(minor(0xFD00), 0);
        assert_eq!(minor(0xFD07), 7);
        assert_eq!(minor(0x0010_FD01), 0x101);
    }
}
