//! A machine that sends events, and pictures of what the wizard shows.
//!
//! `UPDATE_GOLDEN=1 cargo test -p wizard` redraws the pictures in `tests/golden/`; else they are
//! compared.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(dead_code)] // each test takes what it needs

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use disk::contents::{DiskContents, PartitionRef};
use machine::gate::{Candidate, Contents, Wish, choose};
use machine::inventory::{Found, Transport};
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use receiver::operator::event::ReceiverEvent;
use wire::stage::Stage;
use wizard::event::{Address, LogLine, Machine, Nic};
use wizard::theme::{Charset, Theme};
use wizard::{Command, Key, MachineEvent, Wizard};

/// Each picture is made in these sizes.
const SIZES: [(u16, u16); 2] = [(80, 24), (132, 50)];

pub const UNICODE: Theme = Theme {
    charset: Charset::Unicode,
    colours: true,
};

pub const ASCII: Theme = Theme {
    charset: Charset::Ascii,
    colours: false,
};

/// A wizard and the time it lives in.
pub struct Scene {
    pub wizard: Wizard,
    pub now: Instant,
    /// Every command so far.
    pub commands: Vec<Command>,
}

/// Stands for what init gives: an address with a prefix, or `dhcp`, and what may follow. Its
/// reasons are as long as those.
pub fn check_ip(value: &str) -> Result<(), String> {
    let expected = "expected dhcp, or ADDR/PREFIX of IPv4, IPv6 or one of each; then gw=ADDR \
                    for each, and if=NAME or \
                    mac=XX:XX:XX:XX:XX:XX; all separated by commas";
    let mut words = value.split(',');
    let address = words.next().unwrap_or_default();
    let network = address.split_once('/').and_then(|(address, len)| {
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        len.parse::<u8>()
            .ok()
            .filter(|len| (1..=max).contains(len))?;
        Some(address)
    });
    if network.is_none() && address != "dhcp" {
        return Err(expected.to_owned());
    }
    for word in words {
        let is_good = match word.split_once('=') {
            Some(("gw", address)) => match address.parse::<IpAddr>() {
                Ok(gateway) if Some(gateway) == network => {
                    return Err(
                        "expected a gateway (gw=) in the network of an address before it, or \
                                link-local for IPv6; \
                                not the machine's own"
                            .to_owned(),
                    );
                }
                gateway => gateway.is_ok(),
            },
            Some(("if" | "mac", name)) => !name.is_empty(),
            _ => false,
        };
        if !is_good {
            return Err(expected.to_owned());
        }
    }
    Ok(())
}

impl Scene {
    /// Nothing is known.
    pub fn empty() -> Self {
        Self {
            wizard: Wizard::new(check_ip),
            now: Instant::now(),
            commands: Vec::new(),
        }
    }

    /// A machine of our own with two cards.
    pub fn new() -> Self {
        let mut scene = Self::empty();
        scene.learn(MachineEvent::Machine(machine()));
        scene.learn(MachineEvent::Nic(nic("eth0")));
        scene.learn(MachineEvent::Nic(Nic {
            has_link: false,
            speed_mbit: None,
            addresses: vec![],
            mac: "52:54:00:12:34:57".to_owned(),
            driver: Some("e1000e".to_owned()),
            ..nic("eth1")
        }));
        scene
    }

    pub fn learn(&mut self, fact: MachineEvent) {
        self.wizard.learn(fact, self.now);
    }

    pub fn news(&mut self, news: ReceiverEvent) {
        self.learn(MachineEvent::News(news));
    }

    /// The disks as they are seen, and the choice among them without a word.
    pub fn disks(&mut self, seen: &[Candidate]) {
        let choice =
            choose(seen, &Wish::default()).map(|cleared| Box::new(cleared.into_candidate()));
        let seen = seen.to_vec();
        self.news(ReceiverEvent::Disks { seen, choice });
    }

    pub fn press(&mut self, key: Key) -> Vec<Command> {
        let commands = self.wizard.press(key, self.now);
        self.commands.extend(commands.iter().cloned());
        commands
    }

    pub fn keys(&mut self, keys: &[Key]) -> Vec<Command> {
        keys.iter().flat_map(|key| self.press(*key)).collect()
    }

    pub fn write(&mut self, text: &str) -> Vec<Command> {
        text.chars()
            .flat_map(|char| self.press(Key::Char(char)))
            .collect()
    }

    /// Time passes, with ticks as the wizard asks for them.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.wizard.next_tick(self.now) {
            if self.now + next > end {
                break;
            }
            self.now += next;
            let commands = self.wizard.tick(self.now);
            self.commands.extend(commands);
        }
        self.now = end;
        self.wizard.tick(end);
    }

    /// The screen of a terminal: its rows and its cursor.
    pub fn picture(&self, (width, height): (u16, u16), theme: Theme) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| self.wizard.draw(frame, theme))
            .unwrap();
        let backend = terminal.backend();
        let rows = backend.buffer().content().chunks(usize::from(width).max(1));
        let mut picture = String::new();
        for row in rows {
            let row: String = row.iter().map(|cell| cell.symbol()).collect();
            picture.push_str(row.trim_end());
            picture.push('\n');
        }
        let position = backend.cursor_position();
        picture.push_str(&match backend.cursor_visible() {
            true => format!("cursor: column {} row {}\n", position.x, position.y),
            false => "cursor: none\n".to_owned(),
        });
        picture
    }

    /// Does the smallest screen show this?
    pub fn shows(&self, text: &str) -> bool {
        self.picture((80, 24), UNICODE).contains(text)
    }

    /// Compares with `tests/golden/NAME-80x24.txt` and `NAME-132x50.txt`, and
    /// `NAME-ascii-80x24.txt`.
    pub fn golden(&self, name: &str) {
        for (width, height) in SIZES {
            let picture = self.picture((width, height), UNICODE);
            compare(&format!("{name}-{width}x{height}.txt"), &picture);
        }
        let ascii = self.picture(SIZES[0], ASCII);
        assert!(ascii.is_ascii(), "{name} in ASCII:\n{ascii}");
        compare(&format!("{name}-ascii-80x24.txt"), &ascii);
    }
}

/// Compares with a file of `tests/golden/`, or writes it.
pub fn compare(name: &str, picture: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, picture).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name}: {error}; UPDATE_GOLDEN=1 draws it"));
    if golden == picture {
        return;
    }
    let mut difference = String::new();
    let longest = golden.lines().count().max(picture.lines().count());
    for row in 0..longest {
        let (old, new) = (golden.lines().nth(row), picture.lines().nth(row));
        if old != new {
            let (old, new) = (old.unwrap_or("(none)"), new.unwrap_or("(none)"));
            difference.push_str(&format!("{row:3} - {old}\n    + {new}\n"));
        }
    }
    panic!("{name} is not as drawn (UPDATE_GOLDEN=1 draws it again):\n{difference}");
}

pub fn machine() -> Machine {
    Machine {
        version: "0.1.0".to_owned(),
        firmware: "uefi",
        memory_bytes: 8 << 30,
        decided: vec!["smv.after=kexec".to_owned()],
        owns_network: true,
        has_shell: false,
        owns_power: true,
    }
}

pub fn nic(name: &str) -> Nic {
    Nic {
        name: name.to_owned(),
        mac: "52:54:00:12:34:56".to_owned(),
        driver: Some("virtio_net".to_owned()),
        is_wifi: false,
        has_link: true,
        speed_mbit: Some(1000),
        addresses: vec![Address {
            address: [10, 9, 0, 5].into(),
            prefix_len: 24,
            gateway: Some([10, 9, 0, 1].into()),
            source: "dhcp",
            lease: Some(Duration::from_secs(3600)),
        }],
        trouble: None,
    }
}

pub fn wifi_nic(name: &str) -> Nic {
    Nic {
        is_wifi: true,
        has_link: false,
        speed_mbit: None,
        addresses: vec![],
        driver: Some("iwlwifi".to_owned()),
        mac: "02:00:00:00:01:00".to_owned(),
        ..nic(name)
    }
}

pub fn disk(path: &str, serial: &str, contents: Contents) -> Candidate {
    let disk = Found {
        path: PathBuf::from(path),
        size_bytes: 480_103_981_056,
        sector_bytes: 512,
        transport: Transport::Sata,
        is_removable: false,
        is_read_only: false,
        serial: (!serial.is_empty()).then(|| serial.to_owned()),
        vendor: Some("ATA".to_owned()),
        model: Some("Samsung SSD 870".to_owned()),
        wwn: None,
    };
    Candidate::made_up(disk, contents)
}

pub const BLANK: Contents = Contents::Holds(DiskContents::Blank);

pub fn occupied() -> Contents {
    Contents::Holds(DiskContents::Occupied {
        what: "GPT partition table, ext2/3/4".to_owned(),
        protected: None,
        is_shim_medium: false,
    })
}

pub fn protected() -> Contents {
    Contents::Holds(DiskContents::Occupied {
        what: "GPT partition table, LVM2 member".to_owned(),
        protected: Some("LVM2 member".to_owned()),
        is_shim_medium: false,
    })
}

/// Its name is `4f1c2a9e`.
pub fn installed() -> Contents {
    let partition = |number, guid| PartitionRef {
        number,
        first_lba: 2048,
        sectors: 2048,
        guid: uuid::Uuid::from_u128(guid),
    };
    Contents::Holds(DiskContents::Installed {
        esp: partition(1, 1),
        root: partition(3, 0x4f1c_2a9e << 96),
        besides: None,
        protected: None,
    })
}

/// The disk after a change to its facts.
pub fn altered(candidate: &Candidate, alter: impl FnOnce(&mut Found)) -> Candidate {
    let mut found = candidate.disk().clone();
    alter(&mut found);
    Candidate::made_up(found, candidate.contents().clone())
}

/// Of every kind one.
pub fn zoo() -> Vec<Candidate> {
    let medium = Contents::Holds(DiskContents::Occupied {
        what: "ISO 9660".to_owned(),
        protected: None,
        is_shim_medium: true,
    });
    let stick = altered(&disk("/dev/sdd", "0123456789AB", medium), |found| {
        found.transport = Transport::Usb;
        found.is_removable = true;
        found.size_bytes = 4_004_511_744;
        found.vendor = Some("SanDisk".to_owned());
        found.model = Some("Cruzer".to_owned());
    });
    let card = altered(&disk("/dev/mmcblk0", "0xDEADBEEF", BLANK), |found| {
        found.transport = Transport::Mmc;
        found.is_read_only = true;
        found.size_bytes = 31_914_983_424;
        found.vendor = None;
        found.model = Some("SD32G".to_owned());
    });
    let nvme = altered(&disk("/dev/nvme0n1", "S3X0042B7", BLANK), |found| {
        found.transport = Transport::Nvme;
        found.vendor = None;
        found.model = Some("WD_BLACK SN770 1TB".to_owned());
        found.size_bytes = 1_000_204_886_016;
    });
    vec![
        nvme,
        disk("/dev/sda", "S5Y1NX0R123456", occupied()),
        disk("/dev/sdb", "S5Y1NX0R654321", protected()),
        disk("/dev/sdc", "S5Y1NX0R777777", installed()),
        stick,
        card,
        disk(
            "/dev/sde",
            "S5Y1NX0R000001",
            Contents::Unreadable("Input/output error".to_owned()),
        ),
    ]
}

/// Donors are invited to write on this disk.
pub fn inviting(disk: &Candidate) -> ReceiverEvent {
    ReceiverEvent::Inviting {
        code: "e13gts2".to_owned(),
        secret: Some("k4m-9tz-w7p".to_owned()),
        policy: "secret".to_owned(),
        disk: Box::new(disk.clone()),
        addresses: vec![[10, 9, 0, 5].into()],
        is_renewed: false,
    }
}

/// A donor with two packages is let in.
pub fn accepted() -> ReceiverEvent {
    ReceiverEvent::Accepted {
        peer: ([10, 9, 0, 1], 40_000).into(),
        version: Some("2026.11".to_owned()),
        packages: vec!["base".to_owned(), "grub".to_owned()],
        total_bytes: Some(400_000_000),
        facts: String::new(),
    }
}

pub fn log(level: u8, text: &str) -> MachineEvent {
    MachineEvent::Log(LogLine {
        level,
        at: Duration::from_millis(1250),
        text: text.to_owned(),
    })
}

/// A blank disk.
pub fn blank() -> Candidate {
    disk("/dev/vda", "A1B2C3D4", BLANK)
}

pub fn stage(stage: Stage) -> ReceiverEvent {
    ReceiverEvent::Stage {
        stage,
        facts: String::new(),
    }
}

pub fn complete() -> ReceiverEvent {
    ReceiverEvent::Installed {
        disk: Box::new(blank()),
        title: "Debian GNU/Linux 13".to_owned(),
    }
}

pub fn failed(is_fatal: bool) -> ReceiverEvent {
    ReceiverEvent::Failed {
        reason: "receiving package base: connection reset".to_owned(),
        is_fatal,
    }
}

/// A machine with a blank disk that invites donors.
pub fn waiting() -> Scene {
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    scene.news(inviting(&blank()));
    scene
}
