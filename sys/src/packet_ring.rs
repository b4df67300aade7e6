//! The receive ring of a packet socket: blocks of frames in memory that the kernel and we take turns to own.
//!
//! A block belongs to the kernel while its status says TP_STATUS_KERNEL, to us once it says TP_STATUS_USER. The kernel writes
//! a block's frames first and its status last; we load the status with Acquire, so whoever sees TP_STATUS_USER sees the
//! frames. We give a block back by a Release store of TP_STATUS_KERNEL: all our reads of it happened before.

use std::ffi::c_void;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::tpacket3_hdr;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const TP_STATUS_KERNEL: u32 = 0;
const TP_STATUS_USER: u32 = 1;
const TP_STATUS_CSUM_NOT_READY: u32 = 1 << 3;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_CSUM_VALID: u32 = 1 << 7;

/// `struct tpacket_block_desc` with its only header, `struct tpacket_hdr_v1` (libc has it as a union of padding).
#[repr(C)]
#[derive(Clone, Copy)]
struct BlockHeader {
    version: u32,
    offset_to_private: u32,
    block_status: u32,
    frames: u32,
    offset_to_first_frame: u32,
    block_len: u32,
    sequence: u64,
    first: [u32; 2],
    last: [u32; 2],
}

const _: () = assert!(size_of::<BlockHeader>() == 48);
const _: () = assert!(offset_of!(BlockHeader, block_status) == 8);
const _: () = assert!(offset_of!(BlockHeader, frames) == 12);
const _: () = assert!(offset_of!(BlockHeader, offset_to_first_frame) == 16);
const _: () = assert!(size_of::<tpacket3_hdr>() == 48);
const _: () = assert!(offset_of!(tpacket3_hdr, tp_next_offset) == 0);
const _: () = assert!(offset_of!(tpacket3_hdr, tp_snaplen) == 12);
const _: () = assert!(offset_of!(tpacket3_hdr, tp_len) == 16);
const _: () = assert!(offset_of!(tpacket3_hdr, tp_status) == 20);
const _: () = assert!(offset_of!(tpacket3_hdr, tp_mac) == 24);
const _: () = assert!(offset_of!(tpacket3_hdr, hv1) == 28);

/// What the kernel knows of the TCP or UDP checksum of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The kernel or the hardware verified it (TP_STATUS_CSUM_VALID).
    Verified,
    /// Not computed yet: the frame comes from this machine or its hypervisor and was on no wire (TP_STATUS_CSUMNOTREADY).
    NotComputed,
    /// Nobody looked.
    Unknown,
}

/// A received Ethernet frame, as long as the next one is not asked for.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'ring> {
    /// From the destination address on, without the frame check sequence.
    pub bytes: &'ring [u8],
    /// May be relied on.
    pub checksum: Checksum,
    /// The 802.1Q tag that the hardware took off the frame (identifier and priority), when there was one.
    pub vlan_tci: Option<u16>,
    /// The frame was longer than a block can hold, its end is missing.
    pub truncated: bool,
}

/// The shared memory: `count` blocks of `block_bytes` each.
#[derive(Debug)]
pub(crate) struct Blocks {
    base: NonNull<u8>,
    block_bytes: usize,
    count: usize,
}

// SAFETY: the mapping is reached through this value only, and does not depend on the thread that made it.
unsafe impl Send for Blocks {}

impl Blocks {
    /// Maps the ring that `socket` was given by PACKET_RX_RING with the same numbers.
    pub(crate) fn map(socket: &OwnedFd, block_bytes: u32, count: u32) -> io::Result<Self> {
        let (block_bytes, count) = (block_bytes as usize, count as usize);
        let len = block_bytes
            .checked_mul(count)
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a null address lets the kernel choose a free range, so no memory of ours is replaced.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::POPULATE,
                socket,
                0,
            )
        }?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            block_bytes,
            count,
        })
    }

    fn block(&self, number: usize) -> Option<NonNull<u8>> {
        if number >= self.count {
            return None;
        }
        let offset = number.checked_mul(self.block_bytes)?;
        // SAFETY: `number` is below `count`, so the offset lies inside the mapping of `count * block_bytes` bytes.
        Some(unsafe { self.base.add(offset) })
    }

    fn status(&self, number: usize) -> Option<&AtomicU32> {
        let block = self.block(number)?;
        // SAFETY: a block is longer than its header (48 bytes), so the status lies inside it.
        let status = unsafe { block.add(offset_of!(BlockHeader, block_status)) };
        // SAFETY: blocks are page-aligned and the offset is a multiple of 4; the mapping lives as long as `self`; kernel and we
        // both access this word only atomically.
        Some(unsafe { AtomicU32::from_ptr(status.cast::<u32>().as_ptr()) })
    }

    /// A copy of the `T` at `offset` in a block that is ours.
    ///
    /// # Safety
    /// Every bit pattern is a `T`.
    unsafe fn read<T: Copy>(&self, number: usize, offset: usize) -> Option<T> {
        let bytes = self.bytes(number, offset, size_of::<T>())?;
        // SAFETY: `bytes` is `size_of::<T>()` readable bytes; any alignment will do; any bits are a `T`, says the caller.
        Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }

    /// Bytes of a block that is ours: the caller saw TP_STATUS_USER and has not given it back.
    fn bytes(&self, number: usize, offset: usize, len: usize) -> Option<&[u8]> {
        if offset.checked_add(len)? > self.block_bytes {
            return None;
        }
        let block = self.block(number)?;
        // SAFETY: `offset + len` is at most `block_bytes`, checked above.
        let start = unsafe { block.add(offset) };
        // SAFETY: the range lies inside one block of the mapping, checked above, and the mapping lives as long as `self`. The
        // kernel does not write to a block with TP_STATUS_USER, and neither do we.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len) })
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let len = self.block_bytes.saturating_mul(self.count);
        // SAFETY: this is the range that `map` got from mmap(2); no borrow of it outlives `self`.
        let result = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), len) };
        // It fails only for a range that was never mapped; there is nobody to tell in a destructor.
        let _ = result;
    }
}

/// Where we are in the block that is ours.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    frames_left: u32,
    offset: usize,
}

/// The frames of all blocks, one after the other.
#[derive(Debug)]
pub struct Ring {
    blocks: Blocks,
    current: usize,
    cursor: Option<Cursor>,
}

impl Ring {
    pub(crate) const fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            current: 0,
            cursor: None,
        }
    }

    /// The next frame, without waiting; `None` when none is there. A block goes back to the kernel when the frame after its
    /// last one is asked for, so ask until there is none before waiting for the socket to become readable.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let cursor = loop {
            match self.cursor {
                Some(cursor) if cursor.frames_left > 0 => break cursor,
                Some(_) => self.give_back()?,
                None => self.cursor = Some(self.take()?),
            }
        };
        let offset = cursor.offset;
        // SAFETY: tpacket3_hdr is made of integers only.
        let header = unsafe { self.blocks.read::<tpacket3_hdr>(self.current, offset) };
        // The kernel packs frames inside the block. Should a number not fit, the rest of the block is skipped.
        let Some(header) = header else {
            self.cursor = Some(Cursor {
                frames_left: 0,
                offset,
            });
            return None;
        };
        self.cursor = Some(Cursor {
            frames_left: cursor.frames_left.saturating_sub(1),
            offset: offset.saturating_add(header.tp_next_offset as usize),
        });
        let start = offset.checked_add(usize::from(header.tp_mac))?;
        let bytes = self
            .blocks
            .bytes(self.current, start, header.tp_snaplen as usize)?;
        Some(describe(&header, bytes))
    }

    /// The current block's frames, once it is ours.
    fn take(&self) -> Option<Cursor> {
        let status = self.blocks.status(self.current)?.load(Ordering::Acquire);
        if status & TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: BlockHeader is made of integers only.
        let header = unsafe { self.blocks.read::<BlockHeader>(self.current, 0) }?;
        Some(Cursor {
            frames_left: header.frames,
            offset: header.offset_to_first_frame as usize,
        })
    }

    fn give_back(&mut self) -> Option<()> {
        self.blocks
            .status(self.current)?
            .store(TP_STATUS_KERNEL, Ordering::Release);
        self.current = (self.current + 1) % self.blocks.count.max(1);
        self.cursor = None;
        Some(())
    }
}

fn describe<'ring>(header: &tpacket3_hdr, bytes: &'ring [u8]) -> Frame<'ring> {
    let status = header.tp_status;
    let checksum = if status & TP_STATUS_CSUM_NOT_READY != 0 {
        Checksum::NotComputed
    } else if status & TP_STATUS_CSUM_VALID != 0 {
        Checksum::Verified
    } else {
        Checksum::Unknown
    };
    // The tag is 16 bits in a field of 32.
    let tci = (status & TP_STATUS_VLAN_VALID != 0).then_some(header.hv1.tp_vlan_tci as u16);
    Frame {
        bytes,
        checksum,
        vlan_tci: tci,
        truncated: header.tp_snaplen < header.tp_len,
    }
}
