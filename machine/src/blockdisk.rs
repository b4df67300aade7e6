//! `install`'s disk on a real one: a block device, or an image file that stands for one.
//!
//! A block device is *claimed* (opened with `O_EXCL`, `open(2)`): a disk of which anything is
//! mounted or otherwise in use is refused by the kernel. The claim also forbids mounting its
//! partitions, so it is lent away while they are mounted. Besides, what is written is *locked*
//! (`flock(2)`) all the time: on a running system udev leaves a locked disk and its partitions
//! alone, and so starts no RAID and no volume group out of what it finds there (systemd, "Locking
//! Block Device Access").

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use disk::disk::{Disk, DiskError, SectorSize, write_zeros};
use rustix::fs::{
    Advice, Dev, FallocateFlags, FileType, FlockOperation, Mode, OFlags, fadvise, fallocate, flock,
    fstat, ioctl_blksszget, major, minor, open,
};
use rustix::io::Errno;

use crate::gate::Cleared;
use crate::medium::Direct;

/// How long the lock is waited for: udev holds it while it looks at a disk.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The kind of object behind a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block device of the kernel.
    Device,
    /// A regular file.
    Image,
}

/// The exclusive claim on a block device, shared by the disk and by what mounts its partitions.
#[derive(Clone, Debug)]
pub struct Claim {
    path: PathBuf,
    /// The device that was claimed first. While the disk is open the kernel gives its number to no
    /// other.
    device: Dev,
    held: Arc<Mutex<Option<OwnedFd>>>,
}

impl Claim {
    fn new(path: &Path) -> io::Result<Self> {
        let held = claimed(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: fstat(&held)?.st_rdev,
            held: Arc::new(Mutex::new(Some(held))),
        })
    }

    /// Claims the device for us alone.
    ///
    /// # Errors
    /// `EBUSY`: it, or a partition of it, is mounted or otherwise in use. Or another device is
    /// behind its path now.
    pub fn take(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            let again = claimed(&self.path)?;
            must_be(self.device, fstat(&again)?.st_rdev)?;
            *held = Some(again);
        }
        Ok(())
    }

    /// Gives the claim back, so that partitions may be mounted.
    pub fn lend(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn claimed(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// The same path may lead to another device from one moment to the next, where disks can be
/// plugged.
fn must_be(expected: Dev, found: Dev) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    let number = |device| format!("{}:{}", major(device), minor(device));
    Err(io::Error::other(format!(
        "its path leads to device {} now, it was {}",
        number(found),
        number(expected)
    )))
}

/// Keeps others from probing and from writing the disk as long as the file is open.
fn lock(file: &File, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN) if Instant::now() < deadline => thread::sleep(LOCK_PAUSE),
            Err(Errno::AGAIN) => {
                let text = "another program has locked it (flock)";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A whole disk, read and written through the page cache.
#[derive(Debug)]
pub struct BlockDisk {
    name: String,
    path: PathBuf,
    file: File,
    kind: Kind,
    size_bytes: u64,
    sector: SectorSize,
    claim: Option<Claim>,
}

impl BlockDisk {
    /// Opens a disk that the gate has cleared, to write it. A block device is claimed; an image
    /// file has sectors of `image_sector`.
    ///
    /// The path may lead elsewhere by now: the caller compares what is
    /// [`behind`](crate::disks::behind) the open disk with what was cleared before it writes.
    ///
    /// # Errors
    /// It is in use, is neither a block device nor a file, or has sectors of a size no format here
    /// knows.
    pub fn open_to_write(cleared: &Cleared, image_sector: SectorSize) -> Result<Self, DiskError> {
        let path = &cleared.candidate().disk().path;
        Self::open_as(path, image_sector, OFlags::RDWR)
    }

    /// Opens the disk to look at it: not claimed, and every write fails.
    ///
    /// # Errors
    /// As for [`BlockDisk::open_to_write`], except for being in use.
    pub fn open_to_read(path: &Path, image_sector: SectorSize) -> Result<Self, DiskError> {
        Self::open_as(path, image_sector, OFlags::RDONLY)
    }

    /// Opens a partition of the disk that this very system was started from: `slot_disks`, and
    /// slot-init before that, know which may be written. It is claimed when it `is_written`, so one
    /// that is mounted is refused.
    ///
    /// # Errors
    /// As for [`BlockDisk::open_to_write`].
    pub fn open_partition(path: &Path, is_written: bool) -> Result<Self, DiskError> {
        let access = match is_written {
            true => OFlags::RDWR,
            false => OFlags::RDONLY,
        };
        Self::open_as(path, SectorSize::B512, access)
    }

    /// Opens the image file of a whole node, of which only some partitions are written.
    ///
    /// # Errors
    /// As for [`BlockDisk::open_to_write`].
    pub(crate) fn open_image_to_write(path: &Path, sector: SectorSize) -> Result<Self, DiskError> {
        Self::open_as(path, sector, OFlags::RDWR)
    }

    fn open_as(path: &Path, image_sector: SectorSize, access: OFlags) -> Result<Self, DiskError> {
        let failed = |source: io::Error| disk_error("opening", path, 0, 0, source);
        let file_type = std::fs::metadata(path).map_err(failed)?.file_type();
        let kind = match (file_type.is_block_device(), file_type.is_file()) {
            (true, _) => Kind::Device,
            (_, true) => Kind::Image,
            _ => {
                return Err(failed(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "neither a block device nor a file",
                )));
            }
        };
        let is_written = access == OFlags::RDWR;
        let claim = (kind == Kind::Device && is_written).then(|| Claim::new(path));
        let claim = claim.transpose().map_err(failed)?;
        let file = File::from(
            open(path, access | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| failed(errno.into()))?,
        );
        if let Some(claim) = &claim {
            let found = fstat(&file).map_err(|errno| failed(errno.into()))?;
            must_be(claim.device, found.st_rdev).map_err(failed)?;
        }
        if is_written {
            lock(&file, LOCK_PATIENCE).map_err(failed)?;
        }
        let (size_bytes, sector) = geometry(&file, kind, image_sector).map_err(failed)?;
        Ok(Self {
            name: path.display().to_string(),
            path: path.to_owned(),
            file,
            kind,
            size_bytes,
            sector,
            claim,
        })
    }

    /// Device node or file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kind of object behind it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The claim, when there is one: on a block device opened to write.
    #[must_use]
    pub const fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// Major and minor number of the open device; none of an image file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn device_number(&self) -> io::Result<Option<(u32, u32)>> {
        let stat = fstat(&self.file)?;
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice;
        Ok(is_device.then(|| (major(stat.st_rdev), minor(stat.st_rdev))))
    }

    /// The same disk a second time, with the same claim.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let (name, path, claim) = (self.name.clone(), self.path.clone(), self.claim.clone());
        Ok(Self {
            name,
            path,
            file: self.file.try_clone()?,
            kind: self.kind,
            size_bytes: self.size_bytes,
            sector: self.sector,
            claim,
        })
    }

    /// Another handle of the same open device or file.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn try_clone_file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// A partition of it a second time, to be read past the cache.
    ///
    /// # Errors
    /// It cannot be opened, or its path leads elsewhere by now.
    pub(crate) fn open_medium(&self, name: String, area: (u64, u64)) -> Result<Direct, DiskError> {
        let opened = Direct::open(&self.path, &self.file, name, area);
        opened.map_err(|source| disk_error("opening", &self.path, 0, 0, source))
    }

    fn check(&self, action: &'static str, offset: u64, len: usize) -> Result<(), DiskError> {
        let is_inside = offset
            .checked_add(len as u64)
            .is_some_and(|end| end <= self.size_bytes);
        if is_inside {
            return Ok(());
        }
        let source = io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the disk ends at byte {}", self.size_bytes),
        );
        Err(disk_error(action, &self.path, offset, len, source))
    }
}

fn geometry(file: &File, kind: Kind, image_sector: SectorSize) -> io::Result<(u64, SectorSize)> {
    let (size_bytes, sector) = match kind {
        Kind::Device => {
            let bytes = u64::from(ioctl_blksszget(file)?);
            let unknown = |bytes| {
                io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("logical sectors of {bytes} bytes"),
                )
            };
            (
                sys::block::size_bytes(file)?,
                SectorSize::from_bytes(bytes).map_err(unknown)?,
            )
        }
        Kind::Image => (
            u64::try_from(fstat(file)?.st_size).unwrap_or(0),
            image_sector,
        ),
    };
    Ok((size_bytes / sector.bytes() * sector.bytes(), sector))
}

fn disk_error(
    action: &'static str,
    path: &Path,
    offset: u64,
    len: usize,
    source: io::Error,
) -> DiskError {
    DiskError {
        action,
        disk: path.display().to_string(),
        offset,
        len,
        source,
    }
}

impl Disk for BlockDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn sector_size(&self) -> SectorSize {
        self.sector
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.check("reading", offset, buf.len())?;
        self.file
            .read_exact_at(buf, offset)
            .map_err(|source| disk_error("reading", &self.path, offset, buf.len(), source))
    }

    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.check("writing", offset, buf.len())?;
        self.file
            .write_all_at(buf, offset)
            .map_err(|source| disk_error("writing", &self.path, offset, buf.len(), source))
    }

    /// By a command of the disk, or a hole in the image; where there is no such thing, by writing.
    fn zero_at(&mut self, offset: u64, len_bytes: u64) -> Result<(), DiskError> {
        let len = usize::try_from(len_bytes).unwrap_or(usize::MAX);
        self.check("clearing", offset, len)?;
        let zeroed = match self.kind {
            Kind::Device => sys::block::zero(&self.file, offset, len_bytes),
            Kind::Image => {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&self.file, hole, offset, len_bytes)
            }
        };
        match zeroed {
            Ok(()) => Ok(()),
            // A disk that is broken says so again.
            Err(_) => write_zeros(self, offset, len_bytes),
        }
    }

    /// `fsync(2)` of a block device writes what is dirty in its page cache and then has the device
    /// empty its own cache.
    fn flush(&mut self) -> Result<(), DiskError> {
        self.file
            .sync_all()
            .map_err(|source| disk_error("flushing", &self.path, 0, 0, source))
    }

    /// Another machine may share the disk, and as long as it is open the kernel answers from its
    /// page cache. That of an image file belongs to everybody: the kernel is asked, and may keep
    /// what others use.
    fn forget_cache(&mut self) -> Result<(), DiskError> {
        let forgotten = match self.kind {
            Kind::Device => sys::block::forget_cache(&self.file),
            Kind::Image => fadvise(&self.file, 0, None, Advice::DontNeed),
        };
        forgotten.map_err(|errno| disk_error("rereading", &self.path, 0, 0, errno.into()))
    }

    fn begin_flush(&mut self, offset: u64, len_bytes: u64) {
        let _ = sys::block::begin_writing(&self.file, offset, len_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockDisk, Kind, lock, must_be};
    use disk::disk::{Disk, DiskError, SectorSize};
    use rustix::fs::OFlags;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    fn image(name: &str, len: u64) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("smv-blockdisk-{name}-{}", std::process::id()));
        File::create(&path).unwrap().set_len(len).unwrap();
        path
    }

    /// To write, without asking the gate.
    fn open(path: &Path, sector: SectorSize) -> Result<BlockDisk, DiskError> {
        BlockDisk::open_as(path, sector, OFlags::RDWR)
    }

    #[test]
    fn an_image_file_is_a_disk_of_whole_sectors() {
        let path = image("whole", 1_000_000);
        for (sector, size) in [(SectorSize::B512, 999_936), (SectorSize::B4096, 999_424)] {
            let mut disk = open(&path, sector).unwrap();
            assert_eq!(
                (disk.kind(), disk.size_bytes(), disk.sector_size()),
                (Kind::Image, size, sector)
            );
            disk.write_at(4096, &[7; 4096]).unwrap();
            disk.flush().unwrap();
            let mut back = [0; 4096];
            disk.read_at(4096, &mut back).unwrap();
            assert_eq!(back, [7; 4096]);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn nothing_outside_the_disk_is_read_or_written() {
        let path = image("outside", 8192);
        let mut disk = open(&path, SectorSize::B512).unwrap();
        for offset in [8192, 7681, u64::MAX, u64::MAX - 511] {
            let error = disk.write_at(offset, &[1; 512]).unwrap_err();
            assert_eq!((error.offset, error.action), (offset, "writing"));
            assert!(disk.read_at(offset, &mut [0; 512]).is_err());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 8192);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_disk_opened_to_read_cannot_be_written() {
        let path = image("read", 8192);
        let mut disk = BlockDisk::open_to_read(&path, SectorSize::B512).unwrap();
        assert!(disk.write_at(0, &[1; 512]).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_directory_is_no_disk() {
        let error = open(&std::env::temp_dir(), SectorSize::B512).unwrap_err();
        assert_eq!(error.action, "opening");
    }

    #[test]
    fn a_range_of_an_image_is_cleared_and_takes_no_room() {
        let path = image("clear", 8 << 20);
        let mut disk = open(&path, SectorSize::B512).unwrap();
        disk.write_at(0, &vec![7; 8 << 20]).unwrap();
        disk.zero_at(512, 4 << 20).unwrap();
        disk.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (head, rest) = bytes.split_at(512);
        let (cleared, tail) = rest.split_at(4 << 20);
        assert!(cleared.iter().all(|&byte| byte == 0), "cleared");
        let mut others = head.iter().chain(tail);
        assert!(others.all(|&byte| byte == 7), "nothing else");
        assert!(disk.zero_at(8 << 20, 512).is_err(), "beyond its end");
        let blocks = std::fs::metadata(&path).unwrap().blocks();
        assert!(blocks < (5 << 20) / 512, "{blocks} blocks");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_disk_that_is_written_is_locked_until_it_is_closed() {
        let path = image("lock", 8192);
        let other = File::open(&path).unwrap();
        let disk = open(&path, SectorSize::B512).unwrap();
        let again = disk.try_clone().unwrap();
        drop(disk);
        let error = lock(&other, Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "another program has locked it (flock)");
        drop(again);
        lock(&other, Duration::ZERO).unwrap();
        // Reading takes no lock.
        let reader = BlockDisk::open_to_read(&path, SectorSize::B512).unwrap();
        assert_eq!(reader.device_number().unwrap(), None);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn another_device_behind_the_path_is_named_by_its_number() {
        must_be(0x0800, 0x0800).unwrap();
        let error = must_be(0x0800, 0x0810).unwrap_err();
        assert_eq!(
            error.to_string(),
            "its path leads to device 8:16 now, it was 8:0"
        );
    }
}
