//! The steps and profiles of this source tree. A new step is one value in one of these files
//! (`docs/building.md` 3); a new profile is a row below.

mod fetched;
mod kernels;
mod programs;
mod release;
mod shim;
mod systems;

use crate::table::{Profile, Table};

/// All of them.
#[must_use]
pub fn table() -> Table {
    let steps = [
        fetched::steps(),
        kernels::steps(),
        programs::steps(),
        release::steps(),
        shim::steps(),
        systems::steps(),
    ];
    Table {
        steps: steps.concat(),
        profiles: PROFILES.to_vec(),
    }
}

const PROFILES: [Profile; 10] = [
    Profile {
        name: "shim",
        about: "the Deploy Shim: kernel, initramfs, ISO, UKI, files for network boot",
        results: &["kernel-vm", "initramfs", "iso", "uki", "pxe"],
    },
    Profile {
        name: "shim-metal",
        about: "the same with the kernel for real machines",
        results: &[
            "kernel-metal",
            "initramfs",
            "iso-metal",
            "uki-metal",
            "pxe-metal",
        ],
    },
    Profile {
        name: "demo",
        about: "the packages of the small demo system",
        results: &["system-demo"],
    },
    Profile {
        name: "smechvisor",
        about: "the demo system as the image of a slot, for nodes that update themselves",
        results: &["slot-demo"],
    },
    Profile {
        name: "debian",
        about: "a plain Debian 12: its packages, and its image of a slot",
        results: &["system-debian", "slot-debian"],
    },
    Profile {
        name: "scenarios",
        about: "what scenarios of ./check need besides: Debian's kernel, a newer QEMU",
        results: &["debian-kernel", "newer-qemu"],
    },
    Profile {
        name: "release",
        about: "what ./dist puts together: the command, its packages, media, the demo system",
        results: &[
            "programs",
            "components",
            "deb",
            "oci",
            "kernel-vm",
            "initramfs",
            "iso",
            "uki",
            "pxe",
            "kernel-metal",
            "iso-metal",
            "uki-metal",
            "pxe-metal",
            "system-demo",
        ],
    },
    Profile {
        name: "setup",
        about: "what is slow and seldom changes; `./setup build` makes it",
        results: &["kernel-vm", "mke2fs"],
    },
    Profile {
        name: "setup-bench",
        about: "the same for ./bench: also the kernel for real machines",
        results: &["kernel-vm", "mke2fs", "kernel-metal"],
    },
    Profile {
        name: "setup-check",
        about: "the same for ./check: also the kernel for real machines and the supplicant",
        results: &["kernel-vm", "mke2fs", "kernel-metal", "supplicant"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_profile_is_in_order() {
        let table = table();
        for profile in &table.profiles {
            table.order(profile.results).unwrap();
        }
    }

    #[test]
    fn every_step_has_a_name_of_its_own_and_is_in_a_profile() {
        let table = table();
        let names: BTreeSet<&str> = table.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names.len(), table.steps.len());
        let results = table.profiles.iter().map(|profile| profile.results);
        let built: BTreeSet<String> = results
            .flat_map(|results| table.order(results).unwrap())
            .map(|step| step.name)
            .collect();
        let unused: Vec<_> = names
            .iter()
            .filter(|name| !built.contains(**name))
            .collect();
        assert!(unused.is_empty(), "in no profile: {unused:?}");
    }

    #[test]
    fn what_a_step_reads_is_in_the_tree() {
        let top = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        for mut step in table().steps {
            // Answers are the machine's, which may have no dpkg.
            step.questions.clear();
            let needs = std::collections::BTreeMap::new();
            let read = crate::inputs::Inputs::of(&step, top, &needs, &Default::default());
            read.unwrap_or_else(|error| panic!("{}: {error}", step.name));
        }
    }
}
