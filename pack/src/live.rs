//! A tree becomes a package while it is sent; nothing is stored on this machine.
//!
//! In: what to pack. Out: streams of packages, the system and, where the tree has no images of
//! GRUB, a package of those. Packing begins with the first byte that is read, in a thread of its
//! own, and never runs ahead by more than a pipe: the target is paired and has a disk before this
//! machine's disk is read.

use std::io::{self, BufWriter, Cursor, Read};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bundle::pipe::{self, Reader, Writer};
use wire::chain::chain;
use wire::stream::PackageName;

use super::compress::{Encoder, Format, default_threads};
use super::job::Job;
use super::report::Report;
use super::walk;
use super::{PackageError, Tree, grub, job, system};
use crate::packages::BASE;

/// How often a wait for the packer looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);
/// Between the packer and the sender, in bytes.
const PIPE_BYTES: usize = 1 << 20;
/// The link is what is waited for: at this format one processor packs faster than 1 Gbit/s takes
/// it.
const FORMAT: Format = Format::QuickZst;

/// The tree that is packed while it is sent, and the way to pack it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The tree to pack.
    pub tree: Tree,
    /// On how many threads; `None` is all processors.
    pub threads: Option<u32>,
}

/// Whether the wait for the packer is to end.
pub type IsInterrupted = Arc<dyn Fn() -> bool + Send + Sync>;

/// A package that is made while it is read.
#[allow(missing_docs)] // the fields name themselves
pub struct Made {
    pub name: PackageName,
    /// Its bytes.
    pub stream: Box<dyn Read + Send>,
    /// Lines for the person, whenever there are some.
    pub notes: Receiver<String>,
}

/// The packages of a live deploy, in the order of sending. `has_packages` says that others follow,
/// which may bring kernel and GRUB. `is_interrupted` ends every wait for the packer.
///
/// # Errors
/// The tree is not there, or the target would refuse what it becomes: that is an error before
/// anything is sent.
pub fn start(
    options: &Options,
    has_packages: bool,
    is_interrupted: IsInterrupted,
) -> Result<Vec<Made>, PackageError> {
    let job = job(&options.tree)?;
    let (lines, notes) = mpsc::channel();
    let mut loader = None;
    if !has_packages {
        system::expect_kernel(&job)?;
        let mut platforms = system::grub(&job);
        if !platforms.are_there() {
            let made = grub::package(FORMAT)?;
            platforms = made.platforms;
            loader = Some(made.bytes);
        }
        if let Some(warning) = platforms.warning() {
            // Its receiver is in the first package.
            let _ = lines.send(warning.to_owned());
        }
    }
    let threads = options.threads.unwrap_or_else(default_threads);
    let start = Start {
        job,
        threads,
        lines,
    };
    let packing = Packing {
        stage: Stage::Waiting(Box::new(start)),
        is_interrupted,
    };
    let mut made = vec![Made {
        name: name(BASE)?,
        stream: Box::new(packing),
        notes,
    }];
    if let Some(bytes) = loader {
        made.push(Made {
            name: name(grub::NAME)?,
            stream: Box::new(Cursor::new(bytes)),
            notes: mpsc::channel().1,
        });
    }
    Ok(made)
}

fn name(package: &str) -> Result<PackageName, PackageError> {
    PackageName::parse(format!("{package}{}", FORMAT.suffix()).as_bytes())
        .map_err(|error| PackageError::Write(io::Error::other(error)))
}

/// The parts that a packing needs.
struct Start {
    job: Job,
    threads: u32,
    lines: Sender<String>,
}

/// A package's bytes as they are made.
struct Packing {
    stage: Stage,
    /// A packer may take minutes for a chunk of what compresses well.
    is_interrupted: IsInterrupted,
}

enum Stage {
    /// Nobody has asked yet.
    Waiting(Box<Start>),
    /// A thread makes them.
    Running(Reader, Option<JoinHandle<Result<(), PackageError>>>),
    /// All were given, or the reason why not.
    Over,
}

impl Stage {
    fn begin(start: Start) -> io::Result<Self> {
        let (writer, reader) = pipe::pipe(PIPE_BYTES);
        let packing = thread::Builder::new()
            .name("pack".to_owned())
            .spawn(move || run(start, writer))?;
        Ok(Stage::Running(reader, Some(packing)))
    }
}

impl Read for Packing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Stage::Waiting(_) = self.stage
            && let Stage::Waiting(start) = std::mem::replace(&mut self.stage, Stage::Over)
        {
            self.stage = Stage::begin(*start)?;
        }
        let Stage::Running(reader, packing) = &mut self.stage else {
            return Ok(0);
        };
        loop {
            // Also when there are bytes: a chunk that was given up half is not gone on with.
            if (self.is_interrupted)() {
                return Err(io::Error::other("interrupted"));
            }
            if reader.wait_ready(LOOK) {
                break;
            }
        }
        let read = reader.read(into);
        if matches!(read, Ok(count) if count > 0) {
            return read;
        }
        // The end, or a break: the thread knows which, and why.
        let ended = packing.take().map(JoinHandle::join);
        self.stage = Stage::Over;
        match ended {
            Some(Ok(Ok(()))) => read,
            Some(Ok(Err(error))) => Err(io::Error::other(chain(&error).to_string())),
            _ => Err(io::Error::other("the packing thread is gone")),
        }
    }
}

/// Packs everything into the pipe. When it fails the pipe breaks, so that the beginning is never
/// taken for the whole.
fn run(start: Start, out: Writer) -> Result<(), PackageError> {
    let Start {
        job,
        threads,
        lines,
    } = start;
    let told = lines.clone();
    // A deploy that has ended reads no more lines; the pipe tells that it is over.
    let mut report = Report::new(None, Box::new(move |line| drop(told.send(line.to_owned()))));
    let encoder = Encoder::new(out, FORMAT, threads).map_err(PackageError::Encoder)?;
    let mut plain = BufWriter::with_capacity(256 << 10, encoder);
    let total = walk::pack(&job, &mut plain, &mut report, &mut |_| {})?;
    let encoder = plain
        .into_inner()
        .map_err(|error| PackageError::Write(error.into_error()))?;
    // Before the end: the reader of the end asks for these lines.
    for line in report.to_string().lines() {
        let _ = lines.send(line.to_owned());
    }
    let _ = lines.send(total.to_string());
    let out = encoder.finish().map_err(PackageError::Write)?;
    out.finish().map_err(PackageError::Write)
}

#[cfg(test)]
mod tests {
    use super::{Made, Options, Packing, Stage, Start, run};
    use crate::{PackageError, Tree};
    use bundle::decode::{DecodeLimits, decode};
    use bundle::pipe::pipe;
    use bundle::unpack::{UnpackLimits, check};
    use std::fs;
    use std::io::{Read, Write};
    use std::sync::{Arc, mpsc};
    use tempfile::TempDir;

    fn start(options: &Options, has_packages: bool) -> Result<Vec<Made>, PackageError> {
        super::start(options, has_packages, Arc::new(|| false))
    }

    fn notes(made: &Made) -> String {
        made.notes.try_iter().collect::<Vec<_>>().join("\n")
    }

    struct Dir(TempDir);

    impl Dir {
        fn new() -> Self {
            Dir(tempfile::tempdir().unwrap())
        }

        fn put(&self, path: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }

        fn options(&self) -> Options {
            Options {
                tree: Tree {
                    root: self.0.path().to_owned(),
                    ..Tree::default()
                },
                threads: Some(1),
            }
        }
    }

    #[test]
    fn a_tree_with_everything_is_one_item_that_a_target_takes() {
        let dir = Dir::new();
        for path in [
            "boot/vmlinuz-1",
            "usr/lib/smechvisor/grub/grubx64.efi",
            "usr/lib/smechvisor/grub/boot.img",
            "usr/lib/smechvisor/grub/core.img",
            "etc/machine-id",
        ] {
            dir.put(path);
        }
        let mut items = start(&dir.options(), false).unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].name.as_str(), "smechvisor-base.tar.zst");
        let mut bytes = Vec::new();
        items[0].stream.read_to_end(&mut bytes).unwrap();
        let limits = DecodeLimits {
            memory_bytes: 16 << 20,
            threads: 1,
            output_cap: 1 << 20,
        };
        let tar = decode(&bytes[..], limits).unwrap();
        let unpacked = check(tar, &UnpackLimits::for_memory(1 << 20)).unwrap();
        assert_eq!(unpacked.content_bytes, 4);
        let notes = notes(&items[0]);
        assert!(notes.contains("/etc/machine-id"), "{notes}");
    }

    #[test]
    fn a_refusal_by_the_target_is_predicted_before_anything_is_sent() {
        let dir = Dir::new();
        dir.put("boot/config-1");
        assert!(matches!(
            start(&dir.options(), false),
            Err(PackageError::NoKernel { .. })
        ));
        assert_eq!(
            start(&dir.options(), true).unwrap().len(),
            1,
            "others follow"
        );
        dir.put("boot/vmlinuz-1");
        match start(&dir.options(), false) {
            Ok(items) => assert_eq!(items[1].name.as_str(), "bootloader-grub.tar.zst"),
            Err(error) => assert!(matches!(error, PackageError::Grub(_)), "{error}"),
        }
        dir.put("lib/modules/1/modules.dep");
        let error = start(&dir.options(), false).err().unwrap();
        let text = wire::chain::chain(&error).to_string();
        assert!(
            text.contains("the kernel boot/vmlinuz-1 has") && text.contains("boot/initrd.img-1,"),
            "{text}"
        );
        assert_eq!(
            start(&dir.options(), true).unwrap().len(),
            1,
            "another package may bring the ramdisk"
        );
    }

    #[test]
    fn grub_for_one_platform_is_sent_with_a_warning() {
        let dir = Dir::new();
        dir.put("boot/vmlinuz-1");
        dir.put("usr/lib/smechvisor/grub/grubx64.efi");
        let items = start(&dir.options(), false).unwrap();
        assert_eq!(items.len(), 1);
        let notes = notes(&items[0]);
        assert!(notes.contains("the copy boots under UEFI,"), "{notes}");
    }

    #[test]
    fn a_packing_that_fails_is_an_error_with_its_reason_and_never_the_end() {
        let (mut writer, reader) = pipe(1 << 10);
        let failing = std::thread::spawn(move || {
            writer.write_all(b"half").unwrap();
            Err(PackageError::TooMany { most: 7 })
        });
        let mut packing = Packing {
            stage: Stage::Running(reader, Some(failing)),
            is_interrupted: Arc::new(|| false),
        };
        let mut got = Vec::new();
        let error = packing.read_to_end(&mut got).unwrap_err();
        assert!(error.to_string().contains("more than 7 entries"), "{error}");
    }

    #[test]
    fn a_packer_that_takes_its_time_holds_up_no_interrupt() {
        let (writer, reader) = pipe(1 << 10);
        let mut packing = Packing {
            stage: Stage::Running(reader, None),
            is_interrupted: Arc::new(|| true),
        };
        let error = packing.read(&mut [0; 16]).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
        drop(writer);
    }

    #[test]
    fn a_deploy_that_is_given_up_ends_the_packing() {
        let dir = Dir::new();
        let noise: Vec<u8> = (0..9_000_000_u32)
            .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        fs::write(dir.0.path().join("noise"), noise).unwrap();
        let job = crate::job(&dir.options().tree).unwrap();
        let (lines, _notes) = mpsc::channel();
        let (writer, reader) = pipe(1 << 10);
        let threads = 1;
        let packing = std::thread::spawn(move || {
            run(
                Start {
                    job,
                    threads,
                    lines,
                },
                writer,
            )
        });
        drop(reader);
        let error = packing.join().unwrap().unwrap_err();
        assert!(matches!(error, PackageError::Write(_)), "{error}");
    }
}
