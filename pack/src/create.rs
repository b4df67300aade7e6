//! `package create`: a tree into a package in a directory, from which it is deployed later.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use wire::human::size;

use super::compress::{Counting, Encoder, Format, default_threads};
use super::job::Job;
use super::output::{self, Output};
use super::report::{Report, Total};
use super::walk::{self, Seen};
use super::{PackageError, Tree, grub, job, node, system};
use crate::packages::BASE;

/// The tree, the way to pack it, and the place of the package.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// A package's name (`wire::stream::PackageName`), without `.tar.xz`.
    pub name: String,
    /// The tree to pack.
    pub tree: Tree,
    /// Where the package goes.
    pub out: PathBuf,
    /// How it is compressed.
    pub format: Format,
    /// On how many threads; `None` is all processors.
    pub threads: Option<u32>,
    /// Where the whole report goes.
    pub report: Option<PathBuf>,
}

/// How far the packing is.
#[derive(Debug)]
pub struct SoFar<'a> {
    /// The report about the tree.
    pub seen: &'a Seen<'a>,
    /// About as many bytes of contents are in the tree, where its file system says so.
    pub about_bytes: Option<u64>,
    /// Length of the package so far.
    pub packed_bytes: u64,
}

/// An observer of a package being made.
pub trait Watch {
    /// A line about the package; it stays.
    fn say(&mut self, line: &str);

    /// How far it is; called for every entry.
    fn see(&mut self, so_far: &SoFar<'_>);
}

/// Makes a package.
///
/// # Errors
/// See [`PackageError`]; an older package of that name is then still there.
pub fn run(options: &Options, watch: &mut dyn Watch) -> Result<(), PackageError> {
    let began = Instant::now();
    let mut job = job(&options.tree)?;
    if options.name == BASE {
        system::expect_ramdisk(&job)?;
    }
    let name = format!("{}{}", options.name, options.format.suffix());
    let (output, file) = Output::create(&options.out, &name, &job.root)?;
    job.own = output.own();
    let mut whole: Option<Box<dyn Write + Send>> = None;
    if let Some(path) = &options.report {
        let (file, own) = output::create_report(path)?;
        job.own.push(own);
        whole = Some(Box::new(BufWriter::new(file)));
    }
    let (lines, told) = mpsc::channel();
    // The receiver lives as long as the packing.
    let mut report = Report::new(
        whole,
        Box::new(move |line| drop(lines.send(line.to_owned()))),
    );
    let packed = Arc::new(AtomicU64::new(0));
    let out = Counting::new(file, Arc::clone(&packed));
    let mut watcher = Watcher {
        about_bytes: system::used_bytes(&job),
        packed: &packed,
        told: &told,
        watch,
    };
    let (total, file) = compressed(options, &job, out, &mut report, &mut |seen| {
        watcher.see(seen)
    })?;
    for line in told.try_iter() {
        watch.say(&line);
    }
    let path = output.path().to_owned();
    output.finish(&file)?;
    report
        .finish(&total)
        .map_err(|source| PackageError::Report {
            path: options.report.clone().unwrap_or_default(),
            source,
        })?;
    for line in report.to_string().lines() {
        watch.say(line);
    }
    let bytes = packed.load(Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    watch.say(&format!(
        "{total} into {} of {} in {seconds:.1} s, {}/s",
        size(bytes),
        path.display(),
        size((total.content_bytes as f64 / seconds) as u64),
    ));
    advise(options, &total, watch);
    Ok(())
}

/// Makes the package of this machine's GRUB.
///
/// # Errors
/// GRUB is not installed, or the package cannot be written.
pub fn run_grub(
    out: &Path,
    format: Format,
    is_secure: bool,
    watch: &mut dyn Watch,
) -> Result<(), PackageError> {
    let grub::Package { bytes, platforms } = match is_secure {
        true => grub::signed_package(format)?,
        false => grub::package(format)?,
    };
    let name = format!("{}{}", grub::NAME, format.suffix());
    let root = node::open_root(Path::new("/")).map_err(|error| PackageError::Root {
        path: "/".into(),
        source: error.into(),
    })?;
    let (output, mut file) = Output::create(out, &name, &root)?;
    file.write_all(&bytes).map_err(PackageError::Write)?;
    let path = output.path().to_owned();
    output.finish(&file)?;
    watch.say(&format!(
        "{} in {}",
        size(bytes.len() as u64),
        path.display()
    ));
    if let Some(warning) = platforms.warning() {
        watch.say(&format!("look      {warning}"));
    }
    Ok(())
}

/// Runs the tree through the encoder into the file, and gives it back with every byte in it.
fn compressed(
    options: &Options,
    job: &Job,
    out: Counting<File>,
    report: &mut Report,
    watch: &mut dyn FnMut(&Seen<'_>),
) -> Result<(Total, File), PackageError> {
    let threads = options.threads.unwrap_or_else(default_threads);
    let encoder = Encoder::new(out, options.format, threads).map_err(PackageError::Encoder)?;
    // Headers and small files come in pieces that are not worth a call of the encoder each.
    let mut plain = BufWriter::with_capacity(256 << 10, encoder);
    let total = walk::pack(job, &mut plain, report, watch)?;
    let encoder = plain
        .into_inner()
        .map_err(|error| PackageError::Write(error.into_error()))?;
    let file = encoder.finish().map_err(PackageError::Write)?;
    Ok((total, file.into_inner()))
}

/// Warns of parts that a target will miss.
fn advise(options: &Options, total: &Total, watch: &mut dyn Watch) {
    if options.name != BASE {
        return;
    }
    if !total.has_kernel {
        watch.say(
            "look      no boot/vmlinuz-* is in it, and no usr/lib/modules/*/vmlinuz with its ramdisk: the copy boots only with a kernel of another package, or with --include-mount /boot",
        );
    }
    if let Some(warning) = total.grub.warning() {
        watch.say(&format!("look      {warning}"));
    }
    if !total.grub.are_there() {
        watch.say(
            "look      GRUB's images (usr/lib/smechvisor/grub) are not in it: it is deployed together with a package bootloader-grub; \
             spk-visor package grub makes one",
        );
    }
}

/// Passes on lines of the report and how far it is.
struct Watcher<'a> {
    about_bytes: Option<u64>,
    packed: &'a AtomicU64,
    told: &'a mpsc::Receiver<String>,
    watch: &'a mut dyn Watch,
}

impl Watcher<'_> {
    fn see(&mut self, seen: &Seen<'_>) {
        for line in self.told.try_iter() {
            self.watch.say(&line);
        }
        self.watch.see(&SoFar {
            seen,
            about_bytes: self.about_bytes,
            packed_bytes: self.packed.load(Ordering::Relaxed),
        });
    }
}
