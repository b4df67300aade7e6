//! The words of the kernel command line that would have made the same decisions without a person
//! (`boot.md` 2).

use disk::sizes::{LayoutKind, Swap};
use machine::gate::{Candidate, Reinstall, Selector};

use crate::model::Model;

const MIB: u64 = 1 << 20;

/// The words, as they are written: what the command line said, with what was chosen instead of or
/// beside it.
#[must_use]
pub fn words(model: &Model) -> Vec<String> {
    let mut words = model.machine.decided.clone();
    let mut say = |key: &str, value: Option<String>| {
        words.retain(|word| word.split('=').next() != Some(key));
        if let Some(value) = value {
            let quote = if value.contains(' ') { "\"" } else { "" };
            words.push(format!("{key}={quote}{value}{quote}"));
        }
    };
    let choices = &model.choices;
    if let (Some(wish), Some((disk, _))) = (&choices.wish, &model.installed) {
        say("smv.disk", Some(name(disk)));
        say("smv.wipe", wish.wipe.clone());
        let reinstall = match &wish.reinstall {
            // A person types this word each time. The command line names the installation instead,
            // which then may be replaced.
            Reinstall::ByHand | Reinstall::Never => None,
            Reinstall::Only(name) => Some(name.clone()),
            Reinstall::Always => Some("always".to_owned()),
        };
        say("smv.reinstall", reinstall);
    }
    if let Some(sizes) = choices.sizes {
        let (layout, slot_bytes) = match sizes.layout {
            LayoutKind::Single => (None, None),
            LayoutKind::Ab { slot_bytes } => (Some(sizes.layout.name()), slot_bytes),
        };
        say("smv.layout", layout.map(str::to_owned));
        say("smv.slot", slot_bytes.map(mib));
        say("smv.esp", sizes.esp_bytes.map(mib));
        let swap = match sizes.swap {
            Swap::Usual => None,
            Swap::None => Some("none".to_owned()),
            Swap::Exactly(bytes) => Some(mib(bytes)),
        };
        say("smv.swap", swap);
    }
    if let Some(ip) = &choices.network {
        say("smv.ip", Some(ip.clone()));
    }
    words
}

/// A network that was joined: no word says that, the image has to bring it.
#[must_use]
pub fn wifi(model: &Model) -> Option<String> {
    model.wifi.iter().find_map(|report| match &report.state {
        wifi::State::Joined(ssid) => Some(ssid.to_string()),
        _ => None,
    })
}

/// The name of the disk that holds at the next start as well, where it has one.
fn name(disk: &Candidate) -> String {
    let path = || disk.disk().path.display().to_string();
    match &disk.disk().serial {
        // The selector is asked whether it understands it, and means this disk.
        Some(serial) if !serial.contains('"') => match serial.parse::<Selector>() {
            Ok(selector) if selector.is_name() && selector.matches(disk.disk()) => serial.clone(),
            _ => path(),
        },
        _ => path(),
    }
}

fn mib(bytes: u64) -> String {
    format!("{}M", bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::{wifi, words};
    use crate::model::Model;
    use disk::contents::DiskContents;
    use disk::sizes::{LayoutKind, Sizes, Swap};
    use machine::gate::{Candidate, Contents, Reinstall, Selector, Wish};
    use machine::inventory::{Found, Transport};

    fn model(serial: Option<&str>) -> Model {
        let disk = Found {
            path: "/dev/sda".into(),
            size_bytes: 1 << 40,
            sector_bytes: 512,
            transport: Transport::Sata,
            is_removable: false,
            is_read_only: false,
            serial: serial.map(str::to_owned),
            vendor: None,
            model: None,
            wwn: None,
        };
        let contents = Contents::Holds(DiskContents::Blank);
        let mut model = Model {
            installed: Some((Candidate::made_up(disk, contents), "smechvisor".to_owned())),
            ..Model::default()
        };
        model.machine.decided = vec!["smv.after=kexec".to_owned(), "smv.disk=/dev/sdz".to_owned()];
        model
    }

    #[test]
    fn what_the_machine_decided_needs_no_other_word() {
        assert_eq!(
            words(&model(Some("X"))),
            ["smv.after=kexec", "smv.disk=/dev/sdz"]
        );
    }

    #[test]
    fn what_was_chosen_takes_the_place_of_what_was_said() {
        let mut model = model(Some("S5Y1 0R123456"));
        model.choices.wish = Some(Wish {
            disk: Some(Selector::of_path("/dev/sda".as_ref())),
            wipe: Some("123456".to_owned()),
            reinstall: Reinstall::ByHand,
        });
        model.choices.sizes = Some(Sizes {
            layout: LayoutKind::Ab {
                slot_bytes: Some(1 << 30),
            },
            esp_bytes: Some(1 << 30),
            swap: Swap::None,
        });
        model.choices.network = Some("10.9.0.5/24,gw=10.9.0.1".to_owned());
        let expected = [
            "smv.after=kexec",
            "smv.disk=\"S5Y1 0R123456\"",
            "smv.wipe=123456",
            "smv.layout=ab",
            "smv.slot=1024M",
            "smv.esp=1024M",
            "smv.swap=none",
            "smv.ip=10.9.0.5/24,gw=10.9.0.1",
        ];
        assert_eq!(words(&model), expected);
        model.choices.sizes = Some(Sizes::USUAL);
        model.choices.wish = Some(Wish::default());
        let expected = [
            "smv.after=kexec",
            "smv.disk=\"S5Y1 0R123456\"",
            "smv.ip=10.9.0.5/24,gw=10.9.0.1",
        ];
        assert_eq!(words(&model), expected);
    }

    #[test]
    fn a_serial_number_that_is_no_word_gives_way_to_the_path() {
        for serial in [
            None,
            Some("a\"b"),
            Some("a=b"),
            Some("/dev/x"),
            Some("a\u{1b}b"),
            Some(""),
        ] {
            let mut model = model(serial);
            model.choices.wish = Some(Wish::default());
            assert!(
                words(&model).contains(&"smv.disk=/dev/sda".to_owned()),
                "{serial:?}"
            );
        }
    }

    #[test]
    fn a_network_that_was_joined_is_named() {
        let mut model = model(None);
        let ssid = wifi::Ssid::new(b"lab").unwrap();
        model.wifi = vec![wifi::Report {
            interface: "wlan0".to_owned(),
            state: wifi::State::Joining(ssid.clone()),
            networks: vec![],
        }];
        assert_eq!(wifi(&model), None);
        model.wifi[0].state = wifi::State::Joined(ssid);
        assert_eq!(wifi(&model).as_deref(), Some("lab"));
    }
}
