//! One deploy, from a donor's packages to an installed disk: the order of the steps and nothing
//! else.
//!
//! Before anything is written, the first package's header and magic were seen, what the packages
//! say they unpack to fits, the disk was planned, and a decoder was started to see that the machine
//! has one. After [`commit::begin`] the disk does not boot until [`commit::commit`] has returned.
//! Whatever fails in between leaves nothing mounted and the marker in place (`disk-layout.md` 3).

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use wire::record::Slot;
use wire::stage::Stage;

use crate::boot_files::{self, BootFiles};
use crate::commit::{self, Installed};
use crate::fstab;
use crate::identity;
use crate::image::{self, Release};
use crate::options::Options;
use crate::state;
use crate::swap;
use crate::wifi_handover::{self, WifiHandover};
use bundle::decode::Format;
use bundle::directory::{Directory, DirectoryError};
use bundle::event::{Event, Observer};
use bundle::host_keys::HostKeys;
use bundle::package_stream::{Header, Packages, PackagesError};
use bundle::records::RecordsError;
use bundle::trust::Approved;
use bundle::unpack_pipeline::{self, UnpackPipeline};
use disk::contents;
use disk::disk::Disk;
use disk::esp;
use disk::layout::{self, Layout, Role};
use disk::marker::Former;
use disk::sizes::MIB;
use disk::sizes::Sizes;
use disk::slots::SlotArea;
use disk::volumes::Volumes;

mod error;

pub use error::{DeployError, StepError};

/// What a system in a slot is called in firmware's menu. Updates leave that as it is, so it names
/// no version.
const TITLE: &str = "smechvisor";
/// A longer fstab is an error.
const FSTAB_MAX: u64 = 1024 * 1024;

/// Installs `packages` onto `disk`.
///
/// # Errors
/// [`DeployError::wrote`] tells whether the old contents are gone. Nothing stays mounted either
/// way.
pub fn deploy(
    packages: &mut dyn Packages,
    disk: &mut dyn Disk,
    volumes: &mut dyn Volumes,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Installed, DeployError> {
    let name = disk.name().to_owned();
    let error = |wrote| {
        let disk = name.clone();
        move |step| DeployError {
            disk,
            wrote,
            step: Box::new(step),
        }
    };
    let (first, layout) = prepare(packages, disk, options, observer).map_err(error(false))?;
    let former = contents::former(disk).map_err(|source| error(false)(source.into()))?;
    let deploy = Deploy {
        disk,
        volumes,
        options,
        observer,
        started: Instant::now(),
    };
    deploy
        .run(packages, first, layout, former)
        .map_err(error(true))
}

/// What a deploy would make of `disk`, for somebody who wants to know before: the facts of
/// [`Stage::Planned`]. Nothing is written.
///
/// # Errors
/// There is no plan for this disk.
pub fn outline(disk: &dyn Disk, sizes: Sizes) -> Result<String, DeployError> {
    let name = disk.name().to_owned();
    match plan(disk, sizes) {
        Ok(layout) => Ok(facts(&name, &layout)),
        Err(step) => Err(DeployError {
            disk: name,
            wrote: false,
            step: Box::new(step),
        }),
    }
}

/// Whether `disk` takes this image with such a layout, for somebody who wants to know before a
/// donor sends it. Nothing is read or written.
///
/// # Errors
/// There is no plan for this disk, or image and layout do not suit each other.
pub fn check(disk: &dyn Disk, sizes: Sizes, image: Option<&Approved>) -> Result<(), DeployError> {
    let check = || {
        let layout = plan(disk, sizes)?;
        let Some((image, file)) = image.and_then(|image| Some((image, image.files().next()?)))
        else {
            return Ok(());
        };
        match Release::of(sizes.layout, &file.name, Some(image))? {
            Some(release) => Ok(release.check_room(&slot_a(&layout)?)?),
            None => Ok(()),
        }
    };
    check().map_err(|step| DeployError {
        disk: disk.name().to_owned(),
        wrote: false,
        step: Box::new(step),
    })
}

/// A package's header and the first bytes of its data.
struct First {
    header: Header,
    head: Vec<u8>,
    /// The image that it is, on a disk with slots; its head is then the first chunk.
    release: Option<Release>,
}

/// Everything that can be refused without touching the disk.
fn prepare(
    packages: &mut dyn Packages,
    disk: &mut dyn Disk,
    options: &Options,
    observer: &dyn Observer,
) -> Result<(First, Layout), StepError> {
    let header = packages.next_header()?;
    let header = header.ok_or(PackagesError::from(RecordsError::NoPackages))?;
    let release = Release::of(options.sizes.layout, &header.name, packages.approved())?;
    let head_bytes = release.as_ref().map(Release::first_bytes);
    let mut head = vec![0; head_bytes.unwrap_or(Format::HEAD_BYTES)];
    let len = image::fill(packages, &mut head)?;
    head.truncate(len);
    let layout = match &release {
        Some(release) => {
            let layout = plan(disk, options.sizes)?;
            release.check_room(&slot_a(&layout)?)?;
            release.check_head(&head)?;
            layout
        }
        None => {
            Format::of(&head).map_err(|source| StepError::FirstPackage {
                package: header.name.to_string(),
                source,
            })?;
            let layout = plan(disk, options.sizes)?;
            check_archives(packages, options, &layout, observer)?;
            layout
        }
    };
    observer.event(Event::Stage {
        stage: Stage::Planned,
        facts: facts(disk.name(), &layout),
    });
    if let Some(warning) = swap_warning(disk.name(), &layout) {
        observer.event(Event::Warning(warning));
    }
    let first = First {
        header,
        head,
        release,
    };
    Ok((first, layout))
}

/// Archives fit by their own account, and there is somebody to decode them.
fn check_archives(
    packages: &dyn Packages,
    options: &Options,
    layout: &Layout,
    observer: &dyn Observer,
) -> Result<(), StepError> {
    let cap = unpacked_cap(options, layout);
    let claimed = packages.claimed_unpacked_bytes();
    if let Some(claimed) = claimed.filter(|claimed| *claimed > cap) {
        return Err(StepError::TooLarge { claimed, cap });
    }
    let warning = unpack_pipeline::try_worker(&options.resources).map_err(StepError::Worker)?;
    if let Some(warning) = warning {
        observer.event(Event::Warning(warning));
    }
    Ok(())
}

/// Where the image of a deploy goes.
fn slot_a(layout: &Layout) -> Result<SlotArea, StepError> {
    // Only a layout with slots has a release that is an image.
    layout.slot(Slot::A).ok_or(StepError::NoSlot)
}

/// Bytes of tar that all packages together may have.
fn unpacked_cap(options: &Options, layout: &Layout) -> u64 {
    let root = layout.partition(Role::Root);
    let root_bytes = root.map_or(0, |root| layout.len_bytes(root));
    options.unpacked_max_bytes.unwrap_or(root_bytes)
}

/// A warning about the swap of a small disk.
fn swap_warning(disk: &str, layout: &Layout) -> Option<String> {
    let missing = layout.swap_missing_bytes() / MIB;
    let usual = layout::SWAP_BYTES / MIB;
    let size = layout.disk_bytes() / MIB;
    match missing {
        0 => None,
        missing if missing == usual => Some(format!(
            "{disk} has {size} MiB: too small for swap, which usually has {usual} MiB"
        )),
        missing => Some(format!(
            "{disk} has {size} MiB: swap is {missing} MiB smaller than the usual {usual} MiB"
        )),
    }
}

fn plan(disk: &dyn Disk, sizes: Sizes) -> Result<Layout, StepError> {
    let mut failed = None;
    let mut fresh_id = || {
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            failed = Some(error);
        }
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    };
    let layout = layout::plan(disk.size_bytes(), disk.sector_size(), sizes, &mut fresh_id)?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(layout),
    }
}

fn facts(disk: &str, layout: &Layout) -> String {
    let mib = |role| {
        layout
            .partition(role)
            .map_or(0, |partition| layout.len_bytes(partition) / MIB)
    };
    let rest = match layout.slot(Slot::A) {
        None => format!("root={}MiB", mib(Role::Root)),
        Some(_) => format!(
            "slot={}MiB state={}MiB layout=ab",
            mib(Role::Slot(Slot::A)),
            mib(Role::State)
        ),
    };
    format!(
        "disk={disk} size={}MiB sector={} esp={}MiB swap={}MiB {rest}",
        layout.disk_bytes() / MIB,
        layout.sector.bytes(),
        mib(Role::Esp),
        mib(Role::Swap),
    )
}

/// A deploy past the point of no return.
struct Deploy<'a> {
    disk: &'a mut dyn Disk,
    volumes: &'a mut dyn Volumes,
    options: &'a Options,
    observer: &'a dyn Observer,
    started: Instant,
}

impl Deploy<'_> {
    fn run(
        mut self,
        packages: &mut dyn Packages,
        first: First,
        layout: Layout,
        former: Former,
    ) -> Result<Installed, StepError> {
        self.stage(Stage::Formatting, format!("disk={}", self.disk.name()));
        let cleared_bytes = commit::begin(self.disk, &layout, former)?;
        self.stage(
            Stage::Formatting,
            format!(
                "disk={} cleared={}MiB",
                self.disk.name(),
                cleared_bytes / MIB
            ),
        );
        esp::format(self.disk, &layout)?;
        if let Some(area) = layout.partition(Role::Swap) {
            swap::format(self.disk, &layout, area)?;
        }
        self.disk.flush()?;

        let (boot, bytes) = match &first.release {
            Some(release) => self.fill_slots(packages, &first, release, &layout)?,
            None => self.mounted(&layout, |deploy, root| {
                deploy.fill(root, packages, &first, &layout)
            })?,
        };
        self.disk.flush()?;

        self.stage(Stage::Committing, format!("disk={}", self.disk.name()));
        let installed = commit::commit(self.disk, layout, boot)?;
        let seconds = self.started.elapsed().as_secs_f64();
        self.stage(
            Stage::Installed,
            format!(
                "disk={} bytes={bytes} seconds={seconds:.1}",
                installed.disk_name()
            ),
        );
        Ok(installed)
    }

    /// Lends the file system that is made for this disk. Nothing stays mounted.
    fn mounted<T>(
        &mut self,
        layout: &Layout,
        work: impl FnOnce(&mut Self, BorrowedFd<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let root = self.volumes.mount(self.disk, layout)?;
        let done = work(self, root.as_fd());
        let unmounted = self.volumes.unmount(self.disk, root);
        // The first error is the reason; one from unmounting after it would only hide it.
        let done = done?;
        unmounted?;
        Ok(done)
    }

    /// The image into slot A, an empty state beside it, and an ESP that starts it; returns the
    /// bytes received.
    fn fill_slots(
        &mut self,
        packages: &mut dyn Packages,
        first: &First,
        release: &Release,
        layout: &Layout,
    ) -> Result<(BootFiles, u64), StepError> {
        let area = slot_a(layout)?;
        release.write(packages, &first.head, &area, self.disk, self.observer)?;
        let bytes = packages.offset_bytes();
        self.stage(Stage::Finishing, format!("bytes={bytes} slot={}", Slot::A));
        self.mounted(layout, |deploy, top| {
            let top = Directory::new(top, "in the state partition");
            state::fill(top, layout)?;
            deploy.leave_wifi(top);
            Ok(())
        })?;
        let firmware = self.options.firmware;
        let boot = boot_files::put_slots(self.disk, layout, firmware, TITLE.to_owned())?;
        self.warn_of_one_firmware(&boot);
        Ok((boot, bytes))
    }

    fn warn_of_one_firmware(&self, boot: &BootFiles) {
        if let Some(firmware) = boot.only {
            self.warn(format!(
                "the packages have GRUB for {firmware} only: nothing else starts this disk"
            ));
        }
    }

    /// Packages and everything made from them; returns the bytes received.
    fn fill(
        &mut self,
        root: BorrowedFd<'_>,
        packages: &mut dyn Packages,
        first: &First,
        layout: &Layout,
    ) -> Result<(BootFiles, u64), StepError> {
        let cap = unpacked_cap(self.options, layout);
        let mut pipeline = UnpackPipeline::new(root, &self.options.resources, cap, self.observer);
        pipeline.receive(packages, &first.header, &first.head)?;
        while let Some(header) = packages.next_header()? {
            pipeline.receive(packages, &header, &[])?;
        }

        self.stage(
            Stage::Finishing,
            format!("bytes={}", packages.offset_bytes()),
        );
        let root = Directory::new(root, "in the installed root");
        let boot = esp::with(self.disk, layout, |esp| -> Result<_, StepError> {
            Ok(boot_files::put(root, esp, layout, self.options.firmware)?)
        })?;
        self.warn_of_one_firmware(&boot);
        let host_keys = identity::reset(root)?;
        if let HostKeys::Nobody(_) = host_keys {
            self.warn(host_keys.to_string());
        }
        self.hand_over_wifi(root);
        let foreign = write_fstab(root, layout).map_err(StepError::Fstab)?;
        if !foreign.is_empty() {
            self.warn(format!(
                "/etc/fstab named partitions of another machine, now comments: {}",
                foreign.join(", ")
            ));
        }
        Ok((boot, packages.offset_bytes()))
    }

    /// A system that cannot be configured is installed nevertheless: its owner has other ways to
    /// it.
    fn hand_over_wifi(&self, root: Directory<'_>) {
        let Some(wifi) = self.options.wifi_handover.and_then(WifiHandover::get) else {
            return;
        };
        match wifi_handover::put(root, &wifi) {
            Ok(Some(how)) => self.stage(Stage::Finishing, format!("wifi={how}")),
            Ok(None) => self.warn(
                "the installed system has nothing that this version can tell a Wi-Fi network"
                    .to_owned(),
            ),
            Err(error) => self.warn(format!(
                "the installed system did not get the Wi-Fi network: {error}: {}",
                error.source
            )),
        }
    }

    /// Likewise for an image, into which nobody looks.
    fn leave_wifi(&self, top: Directory<'_>) {
        let Some(wifi) = self.options.wifi_handover.and_then(WifiHandover::get) else {
            return;
        };
        match wifi_handover::put_above(top, &wifi) {
            Ok(who) => self.warn(format!(
                "the installed system joins the Wi-Fi network if it has {who}"
            )),
            Err(error) => self.warn(format!(
                "the installed system did not get the Wi-Fi network: {error}: {}",
                error.source
            )),
        }
    }

    fn warn(&self, text: String) {
        self.observer.event(Event::Warning(text));
    }

    fn stage(&self, stage: Stage, facts: String) {
        self.observer.event(Event::Stage { stage, facts });
    }
}

/// Where the lines that became comments would have mounted something.
fn write_fstab(root: Directory<'_>, layout: &Layout) -> Result<Vec<String>, DirectoryError> {
    let old = root.read("etc/fstab", FSTAB_MAX)?.unwrap_or_default();
    root.make_directories("etc")?;
    root.make_directories("boot/efi")?;
    let table = fstab::rewrite(&old, layout);
    root.write("etc/fstab", 0o644, &mut table.bytes.as_slice())?;
    Ok(table.foreign)
}

#[cfg(test)]
mod tests;
