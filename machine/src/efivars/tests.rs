use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use disk::boot_order::load_option::Program;
use disk::boot_order::{Found, Step, Wanted, plan};
use disk::contents::PartitionRef;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use uuid::Uuid;
use wire::chain::chain;

use super::{GLOBAL, Variables};
use crate::children::awaited::Awaited;

const ESP: PartitionRef = PartitionRef {
    number: 1,
    first_lba: 2048,
    sectors: 1_048_576,
    guid: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
};

const fn wanted(title: &str, esp: PartitionRef) -> Wanted<'_> {
    Wanted {
        title,
        program: Program::Grub,
        esp,
    }
}

/// A directory that stands for the firmware's variables, removed in the end.
struct Nvram(PathBuf);

impl Nvram {
    fn new(name: &str, variables: &[(&str, &[u8])]) -> Self {
        let path = std::env::temp_dir().join(format!("smv-efivars-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (name, content) in variables {
            fs::write(
                path.join(format!("{name}-{GLOBAL}")),
                [&[7, 0, 0, 0], *content].concat(),
            )
            .unwrap();
        }
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}-{GLOBAL}"))
    }

    fn deploy(&self, esp: PartitionRef) -> Vec<String> {
        let variables = Variables::new(&self.0);
        let found = variables.boot().unwrap();
        let steps = plan(&found, &wanted("Debian GNU/Linux 12", esp), &[]).unwrap();
        let faults = variables.apply(&found, &steps);
        faults
            .iter()
            .map(|fault| chain(fault).to_string())
            .collect()
    }

    fn found(&self) -> Found {
        Variables::new(&self.0).boot().unwrap()
    }
}

impl Drop for Nvram {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An option of somebody else's: active, "a", end of path.
const FOREIGN: &[u8] = &[1, 0, 0, 0, 4, 0, b'a', 0, 0, 0, 0x7F, 0xFF, 4, 0];

#[test]
fn efibootmgr_reads_what_we_wrote() {
    let nvram = Nvram::new(
        "efibootmgr",
        &[
            ("Boot0000", FOREIGN),
            ("Boot0007", FOREIGN),
            ("BootOrder", &[7, 0, 0, 0]),
            ("BootOptionSupport", &[3]),
        ],
    );
    fs::write(
        nvram
            .0
            .join("Boot0001-12345678-0000-0000-0000-000000000000"),
        [7, 0, 0, 0],
    )
    .unwrap();
    assert_eq!(nvram.deploy(ESP), [""; 0]);
    let mut command = Command::new("efibootmgr");
    command
        .arg("-v")
        .env("EFIVARFS_PATH", format!("{}/", nvram.0.display()))
        .stdout(Stdio::piped());
    // Other tests of this program reap every child that nobody awaits.
    let mut running = Awaited::start(&mut command).unwrap();
    let mut said = String::new();
    let output = running.child().stdout.as_mut().unwrap();
    output.read_to_string(&mut said).unwrap();
    assert!(running.wait().unwrap().success(), "{said}");
    for line in [
        "BootNext: 0001",
        "BootOrder: 0001,0007,0000",
        "Boot0001* Debian GNU/Linux 12\t\
         HD(1,GPT,01020304-0506-0708-090a-0b0c0d0e0f10,0x800,0x100000)/\
         File(\\EFI\\smechvisor\\grubx64.efi)",
    ] {
        assert!(said.lines().any(|found| found == line), "{line}: {said}");
    }
}

#[test]
fn ten_deploys_leave_one_option_and_strangers_alone() {
    let nvram = Nvram::new("ten", &[("Boot0000", FOREIGN), ("BootOrder", &[0, 0])]);
    for round in 1..=10 {
        assert_eq!(
            nvram.deploy(PartitionRef {
                guid: Uuid::from_u128(round),
                ..ESP
            }),
            [""; 0]
        );
    }
    let found = nvram.found();
    assert_eq!((found.options.len(), found.order), (2, vec![1, 0]));
    assert_eq!(found.options[&0], FOREIGN);
    assert_eq!(
        fs::read(nvram.file("BootNext")).unwrap(),
        [7, 0, 0, 0, 1, 0]
    );
}

/// A directory in a variable's place stands for a firmware that refuses to write it.
#[test]
fn the_order_names_no_option_that_could_not_be_written() {
    let nvram = Nvram::new("refused", &[("Boot0000", FOREIGN), ("BootOrder", &[0, 0])]);
    let variables = Variables::new(&nvram.0);
    let found = nvram.found();
    fs::create_dir(nvram.file("Boot0001")).unwrap();
    let steps = plan(&found, &wanted("x", ESP), &[]).unwrap();
    let faults = variables.apply(&found, &steps);
    assert_eq!(faults.len(), 1);
    assert!(
        chain(&faults[0])
            .to_string()
            .starts_with("writing Boot0001: "),
        "{faults:?}"
    );
    assert_eq!(
        fs::read(nvram.file("BootOrder")).unwrap(),
        [7, 0, 0, 0, 0, 0]
    );
    assert!(!nvram.file("BootNext").exists());
}

#[test]
fn one_fault_does_not_hide_the_rest() {
    let nvram = Nvram::new("next", &[("BootOrder", &[0, 0])]);
    fs::create_dir(nvram.file("BootNext")).unwrap();
    let faults = nvram.deploy(ESP);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("writing BootNext: "), "{faults:?}");
    assert_eq!(nvram.found().order, [1, 0]);
}

#[test]
fn a_variable_that_cannot_be_read_stops_everything() {
    let nvram = Nvram::new("unreadable", &[("BootOrder", &[0, 0])]);
    fs::create_dir(nvram.file("Boot0003")).unwrap();
    let error = Variables::new(&nvram.0).boot().unwrap_err();
    assert!(chain(&error).to_string().starts_with("reading Boot0003: "));
}

#[test]
fn variables_without_content_and_none_at_all_are_no_fault() {
    let nvram = Nvram::new("none", &[]);
    fs::write(nvram.file("Boot0000"), b"").unwrap();
    fs::write(nvram.file("BootOrder"), [7, 0, 0, 0, 9]).unwrap();
    assert_eq!(nvram.found(), Found::default());
    assert_eq!(nvram.deploy(ESP), [""; 0]);
    assert_eq!(nvram.found().order, [0]);
    assert!(Variables::new(&nvram.0.join("nowhere")).boot().is_err());
}

#[test]
#[ignore = "needs root"] // to set the flag, on a temporary directory whose file system has it
fn an_immutable_variable_is_written_all_the_same() {
    let nvram = Nvram::new(
        "immutable",
        &[("Boot0000", FOREIGN), ("BootOrder", &[0, 0])],
    );
    let file = fs::File::open(nvram.file("BootOrder")).unwrap();
    let flags = ioctl_getflags(&file).unwrap();
    ioctl_setflags(&file, flags | IFlags::IMMUTABLE).unwrap();
    assert!(fs::write(nvram.file("BootOrder"), [1]).is_err());
    assert_eq!(nvram.deploy(ESP), [""; 0]);
    assert_eq!(nvram.found().order, [1, 0]);
    let steps = [Step::Remove(1)];
    let option = fs::File::open(nvram.file("Boot0001")).unwrap();
    ioctl_setflags(&option, flags | IFlags::IMMUTABLE).unwrap();
    assert!(
        Variables::new(&nvram.0)
            .apply(&nvram.found(), &steps)
            .is_empty()
    );
    assert!(!nvram.file("Boot0001").exists());
}
