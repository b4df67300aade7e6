//! The diagnosis of a machine after a failed deploy: the kernel's last words, network
//! cards and disk controllers that no driver has taken, firmware files that drivers asked for in
//! vain.
//!
//! `/dev/kmsg` and sysfs in, a bounded number of lines out. Nothing here fails: what cannot be read
//! is left out, because the reason of the failure itself is reported elsewhere.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The kernel's log, one record for each read (`Documentation/ABI/testing/dev-kmsg`).
pub const KERNEL_LOG: &str = "/dev/kmsg";
/// Every bus with its devices.
pub const BUSES: &str = "/sys/bus";

/// Level of a record (syslog(3)); what is above is news.
const WARNING: u32 = 4;
/// Of the kernel's log, so many records from its end.
const RECORDS_MAX: usize = 40;
/// Longest line; the kernel's own are below 1024 (`PRINTKRB_RECORD_MAX`).
const LINE_MAX: usize = 400;
/// Devices and firmware files, each.
const NAMES_MAX: usize = 16;
/// No record with its dictionary is longer (`PRINTK_MESSAGE_MAX` in `kernel/printk/internal.h`).
const RECORD_BYTES: usize = 8192;
/// The devices that a deploy needs: the bus, the attribute that tells, how it begins, what it
/// is then.
const NEEDED: [(&str, &str, &str, &str); 5] = [
    // PCI Code and ID Assignment 1.1, 1.2 and 1.3: base classes "mass storage" and "network".
    ("pci", "class", "0x02", "network"),
    ("pci", "class", "0x01", "storage"),
    // virtio 1.2 5: these lie behind a PCI function that has its driver already.
    ("virtio", "device", "0x0001", "network"),
    ("virtio", "device", "0x0002", "storage"),
    ("virtio", "device", "0x0008", "storage"),
];
/// What the kernel says of a file that is not there (`drivers/base/firmware_loader/main.c`), and
/// what Debian's says.
const FIRMWARE_MARKS: [&str; 2] = ["Direct firmware load for ", "firmware: failed to load "];

/// A position in the kernel's log. A time would not do: NTP corrects `CLOCK_MONOTONIC`, but not the
/// clock of the records, and after weeks the two are minutes apart.
#[derive(Debug)]
pub struct Mark(Option<File>);

impl Mark {
    /// Behind the newest record.
    #[must_use]
    pub fn now() -> Self {
        Self::at_the_end_of(Path::new(KERNEL_LOG))
    }

    fn at_the_end_of(path: &Path) -> Self {
        let log = open(path).filter(|mut log| log.seek(SeekFrom::End(0)).is_ok());
        Self(log)
    }
}

/// Everything worth telling of a deploy that began at this position, the most useful last.
#[must_use]
pub fn gather(since: Mark) -> Vec<String> {
    lines(&log_since(since, Path::new(KERNEL_LOG)), Path::new(BUSES))
}

/// The part of it that a person can mend: devices without a driver, missing firmware.
#[must_use]
pub fn missing() -> Vec<String> {
    what_is_missing(&read_log(Path::new(KERNEL_LOG)), Path::new(BUSES))
}

fn lines(log: &KernelLog, buses: &Path) -> Vec<String> {
    let records = log.last.iter().map(|record| format!("kernel: {record}"));
    records.chain(what_is_missing(log, buses)).collect()
}

fn what_is_missing(log: &KernelLog, buses: &Path) -> Vec<String> {
    let mut lines = devices_without_driver(buses);
    let firmware = log.missing_firmware.iter();
    lines.extend(firmware.map(|name| format!("missing firmware: {name}")));
    lines
}

/// The last records are those behind the mark; firmware may have been missed long before.
fn log_since(since: Mark, path: &Path) -> KernelLog {
    let behind = since.0.map(|mut log| KernelLog::read(&mut log));
    KernelLog {
        last: behind.unwrap_or_default().last,
        ..read_log(path)
    }
}

fn read_log(path: &Path) -> KernelLog {
    let log = open(path).map(|mut log| KernelLog::read(&mut log));
    log.unwrap_or_default()
}

/// Without ever waiting for the log's next record.
fn open(path: &Path) -> Option<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags).open(path).ok()
}

/// The kernel's own records; what programs wrote there is left out, and of the last ones what is no
/// more than news: on a machine that does other work, somebody mounts something all the time.
#[derive(Debug, Default)]
struct KernelLog {
    last: VecDeque<String>,
    missing_firmware: BTreeSet<String>,
}

impl KernelLog {
    /// Each read must give one record, and an error or nothing at the end.
    fn read(log: &mut dyn Read) -> Self {
        let mut all = Self::default();
        let mut record = [0; RECORD_BYTES];
        loop {
            match log.read(&mut record) {
                Ok(0) => return all,
                Ok(len) => all.take(record.get(..len).unwrap_or_default()),
                // EPIPE: records were overwritten while we read; the next read goes on behind them.
                Err(error)
                    if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
                Err(_) => return all, // EAGAIN is the end
            }
        }
    }

    fn take(&mut self, record: &[u8]) {
        let Some(Told { level, text }) = Told::by_the_kernel(record) else {
            return;
        };
        if let Some(name) = missing_firmware(&text)
            && self.missing_firmware.len() < NAMES_MAX
        {
            self.missing_firmware.insert(name);
        }
        if level > WARNING {
            return;
        }
        if self.last.len() >= RECORDS_MAX {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }
}

/// The messages of the kernel.
struct Told {
    level: u32,
    text: String,
}

impl Told {
    /// A record `priority,sequence,microseconds,flags;text\n...` of facility 0, which is the
    /// kernel.
    fn by_the_kernel(record: &[u8]) -> Option<Self> {
        let record = String::from_utf8_lossy(record);
        let (header, body) = record.split_once(';')?;
        let mut fields = header.split(',');
        let level: u32 = fields.next()?.parse().ok()?;
        let microseconds: u64 = fields.nth(1)?.parse().ok()?;
        if level >> 3 != 0 {
            return None;
        }
        let text = body.lines().next().unwrap_or_default();
        Some(Self {
            level,
            text: printable(&format!(
                "[{:5}.{:06}] {text}",
                microseconds / 1_000_000,
                microseconds % 1_000_000
            )),
        })
    }
}

/// `... for rtl_nic/rtl8168h-2.fw failed with error -2`.
fn missing_firmware(text: &str) -> Option<String> {
    let (_, rest) = FIRMWARE_MARKS
        .iter()
        .find_map(|mark| text.split_once(mark))?;
    let name = rest.split_whitespace().next()?;
    Some(name.to_owned())
}

/// As `lspci -n` names them: address, vendor and device.
fn devices_without_driver(buses: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (bus, attribute, start, kind) in NEEDED {
        let devices = fs::read_dir(buses.join(bus).join("devices"));
        for entry in devices.into_iter().flatten().flatten() {
            let directory = entry.path();
            let read = |name: &str| {
                let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
                text.trim().to_owned()
            };
            // A device that vanishes while it is looked at says nothing.
            if !read(attribute).starts_with(start) || directory.join("driver").exists() {
                continue;
            }
            let (vendor, device) = (read("vendor"), read("device"));
            found.push(printable(&format!(
                "{kind} device without a driver: {} {}:{}",
                entry.file_name().to_string_lossy(),
                vendor.trim_start_matches("0x"),
                device.trim_start_matches("0x")
            )));
        }
    }
    found.sort_unstable();
    found.truncate(NAMES_MAX);
    found
}

/// A line that no terminal acts upon, of bounded length.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_ascii_graphic() || char == ' ' {
                char
            } else {
                '?'
            }
        })
        .take(LINE_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{KernelLog, LINE_MAX, Mark, RECORDS_MAX, devices_without_driver, lines, log_since};
    use std::fs::{self, OpenOptions};
    use std::io::{self, Read, Write};
    use std::path::{Path, PathBuf};

    /// One record for each read, as the kernel gives them.
    struct Records(Vec<Result<Vec<u8>, io::ErrorKind>>);

    impl Read for Records {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let record = self.0.remove(0)?;
            buf[..record.len()].copy_from_slice(&record);
            Ok(record.len())
        }
    }

    fn log(records: &[&str]) -> KernelLog {
        let records = records.iter().map(|text| Ok(text.as_bytes().to_vec()));
        KernelLog::read(&mut Records(records.collect()))
    }

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let name = format!("smv-evidence-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&dir); // left by a run that was killed
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn device(&self, address: &str, attributes: &[(&str, &str)], has_driver: bool) {
            let dir = self.0.join(address);
            fs::create_dir_all(&dir).unwrap();
            for (name, text) in attributes {
                fs::write(dir.join(name), format!("{text}\n")).unwrap();
            }
            if has_driver {
                fs::create_dir(dir.join("driver")).unwrap();
            }
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0); // a test's leftovers harm nobody
        }
    }

    #[test]
    fn only_the_kernels_own_records_are_kept() {
        let log = log(&[
            "4,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n",
            "12,340,5140901,-;smv waiting: code=e13gts2\n",
            "3,341,12000007,-;vda: I/O error\u{1b}[2J\n",
            "nonsense",
            "x,1,2;three",
        ]);
        assert_eq!(
            log.last,
            [
                "[    5.140900] NET: Registered protocol family 10",
                "[   12.000007] vda: I/O error?[2J"
            ]
        );
    }

    #[test]
    fn what_others_did_on_the_machine_explains_nothing() {
        let records = [
            "6,2,11000000,-;EXT4-fs (loop7): mounted filesystem of another deploy\n",
            "5,3,11000001,-;audit: somebody\n",
            "3,4,12000000,-;vda: I/O error\n",
        ];
        assert_eq!(log(&records).last, ["[   12.000000] vda: I/O error"]);
    }

    /// Whatever the clock of the records says: here it stands still.
    #[test]
    fn what_was_told_before_the_deploy_is_left_out_but_for_firmware() {
        let tree = Tree::new("mark");
        let path = tree.0.join("kmsg");
        let before =
            "3,1,9000000,-;tg3 0000:04:00.0: Direct firmware load for tigon/tg3.bin failed\n";
        fs::write(&path, before).unwrap();
        let mark = Mark::at_the_end_of(&path);
        let mut kernel = OpenOptions::new().append(true).open(&path).unwrap();
        kernel.write_all(b"3,2,9000000,-;vda: I/O error\n").unwrap();
        let log = log_since(mark, &path);
        assert_eq!(log.last, ["[    9.000000] vda: I/O error"]);
        let missing: Vec<_> = log.missing_firmware.iter().collect();
        assert_eq!(missing, ["tigon/tg3.bin"]);
        let nothing = log_since(Mark::at_the_end_of(&path), &path);
        assert!(nothing.last.is_empty(), "{nothing:?}");
    }

    /// `/dev/kmsg` gives a reader its records from the first one, and from where it has been sent.
    #[test]
    #[ignore = "needs root"]
    fn the_kernels_log_has_an_end_to_begin_at() {
        let Some(mut all) = super::open(Path::new(super::KERNEL_LOG)) else {
            return; // a container without one
        };
        let Mark(Some(mut end)) = Mark::now() else {
            panic!("no end");
        };
        let mut record = [0; super::RECORD_BYTES];
        let sequence = |log: &mut dyn Read, record: &mut [u8]| {
            let len = log.read(record).unwrap();
            let text = String::from_utf8_lossy(&record[..len]).into_owned();
            text.split(',').nth(1).unwrap().parse::<u64>().unwrap()
        };
        let first = sequence(&mut all, &mut record);
        let mut log = OpenOptions::new()
            .write(true)
            .open(super::KERNEL_LOG)
            .unwrap();
        log.write_all(b"<7>smv: a test marks its place\n").unwrap();
        assert!(sequence(&mut end, &mut record) > first);
    }

    #[test]
    fn only_the_last_records_are_kept_and_none_is_long() {
        let mut records: Vec<String> = (0..RECORDS_MAX + 5)
            .map(|number| format!("4,{number},0,-;line {number}\n"))
            .collect();
        records.push(format!("3,99,0,-;{}\n", "x".repeat(5000)));
        let log = log(&records.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(log.last.len(), RECORDS_MAX);
        assert!(log.last[0].ends_with(" line 6"), "{:?}", log.last[0]);
        assert!(log.last.iter().all(|line| line.len() <= LINE_MAX));
    }

    #[test]
    fn records_that_were_overwritten_do_not_end_the_log() {
        let mut records = Records(vec![
            Ok(b"4,1,0,-;one\n".to_vec()),
            Err(io::ErrorKind::BrokenPipe),
            Ok(b"4,9,0,-;nine\n".to_vec()),
        ]);
        assert_eq!(KernelLog::read(&mut records).last.len(), 2);
    }

    #[test]
    fn firmware_is_named_once_however_often_it_was_missed() {
        let miss = "4,1,0,-;r8169 0000:03:00.0: Direct firmware load for rtl_nic/rtl8125b-2.fw failed with error -2\n";
        let debian = "3,1,0,-;tg3 0000:04:00.0: firmware: failed to load tigon/tg3_tso.bin (-2)\n";
        let log = log(&[miss, debian, miss]);
        let told = lines(&log, Path::new("/nonexistent"));
        assert_eq!(
            told[3..],
            [
                "missing firmware: rtl_nic/rtl8125b-2.fw",
                "missing firmware: tigon/tg3_tso.bin"
            ]
        );
    }

    #[test]
    fn a_device_without_a_driver_is_named_by_its_ids() {
        let tree = Tree::new("buses");
        let pci = |address: &str, class, has_driver| {
            let attributes = [("class", class), ("vendor", "0x14e4"), ("device", "0x1692")];
            tree.device(&format!("pci/devices/{address}"), &attributes, has_driver);
        };
        pci("0000:03:00.0", "0x020000", false);
        pci("0000:04:00.0", "0x028000", true);
        pci("0000:05:00.0", "0x030000", false);
        pci("0000:07:00.0", "0x010400", false);
        tree.device("pci/devices/0000:06:00.0", &[], false); // vanished while it was looked at
        for (name, device, has_driver) in [
            ("virtio0", "0x0001", false),
            ("virtio1", "0x0002", true),
            ("virtio2", "0x0004", false),
        ] {
            let attributes = [("vendor", "0x1af4"), ("device", device)];
            tree.device(&format!("virtio/devices/{name}"), &attributes, has_driver);
        }
        assert_eq!(
            devices_without_driver(&tree.0),
            [
                "network device without a driver: 0000:03:00.0 14e4:1692",
                "network device without a driver: virtio0 1af4:0001",
                "storage device without a driver: 0000:07:00.0 14e4:1692"
            ]
        );
    }
}
