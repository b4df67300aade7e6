//! The hardware watchdogs that an installed system takes over from the shim that started it: its
//! kernel has the driver, and nothing keeps that from being loaded. A watchdog that nobody takes
//! over would reset a healthy system.

use bundle::directory::{Directory, DirectoryError};
use bundle::module_list::{self, has};
use wire::names::WATCHDOG_TIMERS;

/// Drivers of the timers in chipsets, as their modules are called. The first and the third stop
/// the timer as soon as they are loaded, the others go on feeding it (`drivers/watchdog/`:
/// `esb_initdevice()`, `sp5100_tco_timer_init()`; `WDOG_HW_RUNNING`).
fn drivers() -> impl Iterator<Item = &'static str> {
    WATCHDOG_TIMERS.into_iter().map(|(_, driver)| driver)
}

const CONFIGURATION_MAX: u64 = 64 * 1024;
/// Where modprobe(8) reads which modules not to load.
const CONFIGURATION: [&str; 3] = ["etc/modprobe.d", "lib/modprobe.d", "usr/lib/modprobe.d"];

/// Drivers of [`WATCHDOG_TIMERS`] that the kernel `release` of this root will have.
///
/// # Errors
/// A list is larger than any, or the file system failed.
pub fn taken_over(root: Directory<'_>, release: &str) -> Result<Vec<&'static str>, DirectoryError> {
    let list = |name| module_list::read(root, &format!("lib/modules/{release}/{name}"));
    let built_in = list("modules.builtin")?;
    let modules = list("modules.dep")?;
    let refused = if modules.is_empty() {
        Vec::new()
    } else {
        refused(root)?
    };
    let is_taken = |driver: &&str| {
        has(&built_in, driver) || has(&modules, driver) && !refused.contains(driver)
    };
    Ok(drivers().filter(is_taken).collect())
}

/// Modules that modprobe.d(5) keeps from being loaded: `blacklist NAME`, or `install NAME` with
/// another command.
fn refused(root: Directory<'_>) -> Result<Vec<&'static str>, DirectoryError> {
    let mut refused = Vec::new();
    for directory in CONFIGURATION {
        for name in root.names(directory)? {
            let path = format!("{directory}/{name}");
            let text = root.read(&path, CONFIGURATION_MAX)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).replace('-', "_");
            for line in text.lines() {
                let mut words = line.split_whitespace();
                let command = words.next();
                let module = words.next().unwrap_or_default();
                if matches!(command, Some("blacklist" | "install")) {
                    refused.extend(drivers().filter(|driver| *driver == module));
                }
            }
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::taken_over;
    use bundle::directory::Directory;
    use std::fs;
    use std::os::fd::AsFd;
    use tempfile::TempDir;

    fn found(files: &[(&str, &str)]) -> Vec<&'static str> {
        let dir = TempDir::new().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let handle = fs::File::open(dir.path()).unwrap();
        taken_over(Directory::new(handle.as_fd(), "in the test"), "6.12.1").unwrap()
    }

    const BUILT_IN: &str = "kernel/fs/ext4/ext4.ko\nkernel/drivers/watchdog/i6300esb.ko\n";
    const MODULES: &str = "kernel/drivers/watchdog/iTCO_wdt.ko.xz: kernel/drivers/watchdog/iTCO_vendor_support.ko.xz\n\
        kernel/x/wdat_wdt_more.ko:\nkernel/y.ko: kernel/drivers/watchdog/sp5100_tco.ko\n";

    #[test]
    fn a_driver_counts_built_in_or_as_a_module() {
        assert!(found(&[]).is_empty());
        assert!(found(&[("lib/modules/6.12.2/modules.builtin", BUILT_IN)]).is_empty());
        let lists = [
            ("lib/modules/6.12.1/modules.builtin", BUILT_IN),
            ("lib/modules/6.12.1/modules.dep", MODULES),
        ];
        assert_eq!(found(&lists), ["i6300esb", "iTCO_wdt"]);
    }

    #[test]
    fn a_module_that_is_kept_from_being_loaded_does_not_count() {
        for (file, line) in [
            ("etc/modprobe.d/a.conf", "# x\n  blacklist iTCO_wdt\n"),
            ("lib/modprobe.d/b.conf", "blacklist iTCO-wdt"),
            ("usr/lib/modprobe.d/c.conf", "install iTCO_wdt /bin/false"),
        ] {
            let dep = ("lib/modules/6.12.1/modules.dep", MODULES);
            assert!(found(&[dep, (file, line)]).is_empty(), "{line}");
            let other = line
                .replace("iTCO", "other")
                .replace("blacklist i6", "# blacklist i6");
            assert_eq!(found(&[dep, (file, &other)]), ["iTCO_wdt"], "{other}");
            // A built-in driver cannot be kept away.
            let built_in = (
                "lib/modules/6.12.1/modules.builtin",
                "drivers/watchdog/iTCO_wdt.ko",
            );
            assert_eq!(found(&[built_in, dep, (file, line)]), ["iTCO_wdt"]);
        }
    }
}
