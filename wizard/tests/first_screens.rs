//! From the welcome to the network: pictures of every state, and the way between them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use disk::sizes::{LayoutKind, Sizes, Swap};
use machine::gate::{Reinstall, choose};
use receiver::operator::event::ReceiverEvent;
use scene::{BLANK, Scene, altered, disk, inviting, machine, nic, occupied, wifi_nic, zoo};
use wizard::event::{Machine, MachineEvent};
use wizard::{Command, Key, Screen};

/// Help is about the screen it lies over, and all of it fits.
#[test]
fn help_fits() {
    let mut scenes = [
        Scene::new(),
        at_disks(),
        at_plan(),
        at_network(),
        at_network(),
        Scene::new(),
        Scene::new(),
        Scene::new(),
        Scene::new(),
    ];
    scenes[4].learn(MachineEvent::Nic(wifi_nic("wlan0")));
    scenes[4].press(Key::Char('w'));
    scenes[5].news(inviting(&disk("/dev/vda", "A1B2C3D4", BLANK)));
    scenes[6].news(scene::accepted());
    scenes[7].news(ReceiverEvent::Installed {
        disk: Box::new(disk("/dev/vda", "A1B2C3D4", BLANK)),
        title: "smechvisor 2026.11".to_owned(),
    });
    scenes[8].news(ReceiverEvent::Failed {
        reason: "no disk".to_owned(),
        is_fatal: true,
    });
    for (scene, screen) in scenes.iter_mut().zip(Screen::ALL) {
        assert_eq!(scene.wizard.screen(), screen);
        scene.press(Key::F(1));
        scene.golden(&format!("help-{}", screen.name().to_lowercase()));
        assert!(scene.shows("another style"), "{screen:?}");
    }
}

/// At the list of disks, with a person in charge.
fn at_disks() -> Scene {
    let mut scene = Scene::new();
    scene.disks(&zoo());
    assert_eq!(scene.press(Key::Home), [Command::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    scene
}

fn select(scene: &mut Scene, row: usize) {
    scene.press(Key::Home);
    scene.keys(&vec![Key::Down; row]);
}

/// At the plan of a disk that holds something.
fn at_plan() -> Scene {
    let mut scene = at_disks();
    select(&mut scene, 1);
    scene.press(Key::Enter);
    scene.write("123456");
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
    scene
}

fn at_network() -> Scene {
    let mut scene = at_plan();
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    scene
}

#[test]
fn welcome() {
    Scene::empty().golden("welcome-nothing-known");
    let mut scene = Scene::new();
    scene.golden("welcome");
    assert_eq!(scene.press(Key::Char(' ')), [Command::Hold]);
    scene.golden("welcome-held");
    let mut scene = Scene::new();
    for number in 0..20 {
        let mut nic = nic(&format!("enp{number}s0f0np0"));
        nic.trouble = (number == 3).then(|| "firmware missing".to_owned());
        scene.learn(MachineEvent::Nic(nic));
    }
    scene.learn(MachineEvent::NicGone("eth0".to_owned()));
    scene.golden("welcome-many-cards");
}

#[test]
fn disks() {
    let mut scene = Scene::new();
    scene.disks(&[]);
    scene.golden("disk-none");
    let mut scene = at_disks();
    scene.golden("disk-list");
    for (row, name) in [
        (2, "disk-protected"),
        (3, "disk-installed"),
        (4, "disk-boot-medium"),
        (5, "disk-read-only"),
        (6, "disk-unreadable"),
    ] {
        select(&mut scene, row);
        scene.golden(name);
    }
    let mut many = zoo();
    many.extend((0..30).map(|number| disk(&format!("/dev/vd{number}"), "", occupied())));
    scene.disks(&many);
    scene.press(Key::PageDown);
    scene.golden("disk-many");
    scene.press(Key::End);
    scene.press(Key::Enter);
    scene.golden("disk-without-serial");
}

#[test]
fn a_disk_that_holds_something_wants_the_end_of_its_serial_number() {
    let mut scene = at_disks();
    select(&mut scene, 1);
    scene.press(Key::Enter);
    scene.write("12345");
    scene.golden("disk-word");
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    scene.golden("disk-word-wrong");
    scene.write("123456");
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
    let wish = scene.wizard.model().choices.wish.clone().unwrap();
    assert_eq!(wish.reinstall, Reinstall::ByHand);
    let disks = zoo();
    let chosen = choose(&disks, &wish).unwrap();
    assert_eq!(chosen.candidate().disk().path.to_str(), Some("/dev/sda"));
}

#[test]
fn a_protected_disk_wants_the_whole_of_it() {
    let mut scene = at_disks();
    select(&mut scene, 2);
    scene.press(Key::Enter);
    scene.write("654321");
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    scene.golden("disk-word-whole");
    scene.write("S5Y1NX0R654321");
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
}

#[test]
fn what_the_gate_never_lets_pass_cannot_be_taken() {
    let mut scene = at_disks();
    for row in [5, 6] {
        select(&mut scene, row);
        scene.keys(&[Key::Enter, Key::Enter]);
        assert_eq!(scene.wizard.screen(), Screen::Disk);
        assert_eq!(scene.wizard.model().choices.wish, None);
    }
}

#[test]
fn an_installed_system_is_booted_or_replaced() {
    let mut scene = at_disks();
    select(&mut scene, 3);
    scene.press(Key::Enter);
    scene.golden("disk-boot-or-replace");
    assert_eq!(
        scene.press(Key::Enter),
        [Command::Boot("4f1c2a9e".to_owned())]
    );
    scene.golden("disk-booting");
    scene.keys(&[Key::Escape, Key::Enter, Key::Down]);
    assert_eq!(scene.press(Key::Enter), []);
    scene.write("777777");
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
}

#[test]
fn the_disk_that_the_machine_holds_at_is_selected() {
    let mut scene = Scene::new();
    scene.disks(&zoo());
    let commands = scene.keys(&[Key::Enter, Key::Enter]);
    let boot = Command::Boot("4f1c2a9e".to_owned());
    assert_eq!(commands, [Command::Hold, boot]);
    // A running system boots nothing: there is only the way to replace it.
    let mut scene = Scene::new();
    scene.learn(MachineEvent::Machine(Machine {
        owns_power: false,
        ..machine()
    }));
    scene.disks(&zoo());
    assert_eq!(scene.press(Key::Enter), [Command::Hold]);
    scene.write("777777");
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
}

#[test]
fn a_disk_that_is_pulled_out_is_not_mistaken_for_another() {
    let mut scene = at_disks();
    select(&mut scene, 1);
    scene.press(Key::Enter);
    scene.write("12345");
    let left: Vec<_> = zoo()
        .into_iter()
        .filter(|it| it.disk().path.to_str() != Some("/dev/sda"))
        .collect();
    scene.disks(&left);
    assert!(!scene.shows("type"));
    scene.write("6");
    assert_eq!(scene.press(Key::Enter), []);
    let wish = &scene.wizard.model().choices.wish;
    assert!(wish.as_ref().is_none_or(|wish| wish.wipe.is_none()));
}

#[test]
fn plans() {
    let mut scene = at_plan();
    scene.golden("plan");
    scene.keys(&[Key::Up, Key::Ctrl('u')]);
    scene.write("8T");
    scene.golden("plan-too-large");
    scene.keys(&[Key::Down, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
    scene.keys(&[Key::Up, Key::Ctrl('u')]);
    scene.write("many");
    scene.golden("plan-no-size");
    scene.keys(&[Key::Down, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Plan);
    scene.keys(&[Key::Up, Key::Ctrl('u')]);
    scene.write("none");
    scene.keys(&[Key::Up, Key::Ctrl('u')]);
    scene.write("1G");
    scene.golden("plan-other-sizes");
    scene.keys(&[Key::Up, Key::Ctrl('u')]);
    scene.write("ab 1G");
    scene.golden("plan-two-slots");
    scene.keys(&[Key::Ctrl('u')]);
    scene.write("ab 1");
    scene.golden("plan-no-layout");
    scene.keys(&[Key::Ctrl('u')]);
    scene.write("ab 1G");
    scene.keys(&[Key::Enter]);
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    let sizes = Sizes {
        esp_bytes: Some(1 << 30),
        swap: Swap::None,
        layout: LayoutKind::Ab {
            slot_bytes: Some(1 << 30),
        },
    };
    assert_eq!(scene.wizard.model().choices.sizes, Some(sizes));
}

#[test]
fn a_small_disk_says_so() {
    for (mib, name) in [(600, "plan-disk-too-small"), (3000, "plan-small-disk")] {
        let mut scene = Scene::new();
        let small = altered(&disk("/dev/nvme0n1", "A1B2C3D4", BLANK), |found| {
            found.size_bytes = mib << 20;
        });
        scene.disks(&[small]);
        scene.keys(&[Key::Enter, Key::Enter]);
        assert_eq!(scene.wizard.screen(), Screen::Plan);
        scene.golden(name);
        scene.press(Key::Enter);
        let is_planned = scene.wizard.screen() == Screen::Network;
        assert_eq!(is_planned, mib == 3000);
    }
}

#[test]
fn what_the_command_line_says_is_where_a_person_begins() {
    let mut scene = Scene::new();
    let decided = [
        "smv.esp=1G",
        "smv.swap=none",
        "smv.ip=10.9.0.7/24,gw=10.9.0.1,if=eth1",
    ];
    scene.learn(MachineEvent::Machine(Machine {
        decided: decided.map(str::to_owned).to_vec(),
        ..machine()
    }));
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    scene.disks(std::slice::from_ref(&blank));
    scene.news(inviting(&blank));
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    assert!(scene.shows("[10.9.0.7/24"));
    scene.press(Key::Escape);
    assert!(scene.shows("[1G"));
    // And nothing of it is said to the machine as if it were new.
    assert_eq!(scene.keys(&[Key::Enter, Key::Enter]), [Command::GoOn]);
}

#[test]
fn networks() {
    let mut scene = at_network();
    scene.learn(MachineEvent::Nic(wifi_nic("wlan0")));
    scene.golden("network-dhcp");
    scene.press(Key::Up);
    scene.press(Key::Char(' '));
    scene.press(Key::Down);
    scene.golden("network-static");
    scene.write("10.9.0.7");
    scene.golden("network-static-wrong");
    let commands = scene.commands.len();
    scene.keys(&[Key::Down, Key::Down, Key::Down, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    assert_eq!(scene.commands.len(), commands);
    scene.keys(&[Key::Home, Key::Down, Key::Down, Key::Enter]);
    scene.keys(&[Key::Down, Key::Down, Key::Down]);
    scene.write("/24");
    scene.press(Key::Down);
    scene.write("10.9.0.");
    scene.golden("network-gateway-wrong");
    scene.write("7");
    scene.golden("network-gateway-unusable");
    scene.press(Key::Backspace);
    scene.write("1");
    scene.golden("network-static-right");
    let expected = Command::Network("10.9.0.7/24,gw=10.9.0.1,if=eth1".to_owned());
    scene.press(Key::Down);
    assert_eq!(scene.press(Key::Enter), [expected]);
    scene.golden("network-applied");
    scene.keys(&[Key::Home, Key::Down, Key::Down, Key::Down]);
    scene.golden("network-wifi-card");
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Wifi);
    scene.press(Key::Escape);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    // A setting that holds is not ordered again.
    let commands = scene.keys(&[Key::End, Key::Enter]);
    assert!(
        matches!(commands.as_slice(), [Command::Take { .. }]),
        "{commands:?}"
    );
}

#[test]
fn a_running_system_keeps_its_network_and_its_power() {
    let mut scene = Scene::new();
    scene.learn(MachineEvent::Machine(Machine {
        owns_network: false,
        owns_power: false,
        ..machine()
    }));
    scene.disks(&[disk("/dev/vda", "A1B2C3D4", BLANK)]);
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    scene.golden("network-of-a-running-system");
    for key in [Key::F(9), Key::F(11), Key::F(12)] {
        assert_eq!(scene.press(key), []);
        assert!(!scene.shows("[ No ]"));
    }
    let commands = scene.press(Key::Enter);
    assert!(
        matches!(commands.as_slice(), [Command::Take { .. }]),
        "{commands:?}"
    );
}

#[test]
fn overlays() {
    let mut scene = Scene::new();
    scene.learn(MachineEvent::Machine(Machine {
        has_shell: true,
        ..machine()
    }));
    scene.press(Key::F(1));
    assert!(scene.shows("Help"));
    assert_eq!(scene.press(Key::Enter), []);
    assert!(!scene.wizard.is_held(), "help takes nothing over");
    assert_eq!(scene.press(Key::F(9)), [Command::Shell]);
    scene.press(Key::F(11));
    scene.golden("ask-reboot");
    assert_eq!(
        scene.press(Key::Enter),
        [],
        "no is what Enter says at first"
    );
    scene.press(Key::F(12));
    scene.golden("ask-power-off");
    assert_eq!(scene.keys(&[Key::Tab, Key::Enter]), [Command::PowerOff]);
    scene.press(Key::F(11));
    assert_eq!(scene.press(Key::Char('y')), [Command::Reboot]);
}

#[test]
fn giving_a_deploy_up_is_asked_for_and_forgotten_when_it_ends_by_itself() {
    let mut scene = Scene::new();
    scene.news(scene::accepted());
    scene.press(Key::F(11));
    scene.golden("ask-reboot-in-a-deploy");
    scene.keys(&[Key::Escape, Key::Escape]);
    scene.golden("ask-cancel");
    scene.news(ReceiverEvent::Failed {
        reason: "receiving: connection reset".to_owned(),
        is_fatal: false,
    });
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    assert_eq!(scene.press(Key::Char('y')), []);
}
