//! From the code to the end, and the log: pictures of every state.

#![allow(clippy::unwrap_used, clippy::panic)] // a failure here is a failed test

mod scene;

use std::time::Duration;

use receiver::operator::event::ReceiverEvent;
use scene::{BLANK, Scene, disk, inviting, occupied};
use wire::stage::Stage;
use wizard::event::Machine;
use wizard::{Command, Key, MachineEvent, Screen};

/// Donors are invited to a blank disk.
fn invited() -> Scene {
    let mut scene = Scene::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    scene.disks(std::slice::from_ref(&blank));
    scene.news(inviting(&blank));
    scene
}

fn refused(count: u64, reason: &str) -> ReceiverEvent {
    ReceiverEvent::Refused {
        peer: ([10, 9, 0, 77], 40_001).into(),
        count,
        reason: reason.to_owned(),
        unreported: 0,
    }
}

#[test]
fn the_code_is_shown_with_all_that_a_donor_needs() {
    let mut scene = invited();
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.golden("code");
    scene.news(refused(
        3,
        "pairing: the donor does not know the secret of this screen",
    ));
    scene.golden("code-refused");
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
}

#[test]
fn without_a_secret_there_is_another_command() {
    for (policy, name) in [("pinned", "code-pinned"), ("legacy", "code-legacy")] {
        let mut scene = invited();
        let ReceiverEvent::Inviting { code, disk, .. } =
            inviting(&disk("/dev/sda", "S1", occupied()))
        else {
            unreachable!()
        };
        scene.news(ReceiverEvent::Inviting {
            code,
            secret: None,
            policy: policy.to_owned(),
            disk,
            addresses: vec![],
            is_renewed: false,
        });
        scene.golden(name);
    }
}

fn stage(stage: Stage) -> ReceiverEvent {
    ReceiverEvent::Stage {
        stage,
        facts: String::new(),
    }
}

/// A donor has been let in and sends the first of two packages.
fn receiving() -> Scene {
    let mut scene = invited();
    scene.news(scene::accepted());
    for it in [Stage::Accepted, Stage::Planned, Stage::Formatting] {
        scene.news(stage(it));
    }
    scene.news(ReceiverEvent::Package {
        name: "base".to_owned(),
        claimed_len: 300_000_000,
    });
    scene
}

/// So many bytes in a second.
fn second(scene: &mut Scene, received_bytes: u64) {
    scene.pass(Duration::from_secs(1));
    scene.news(ReceiverEvent::Progress {
        received_bytes,
        unpacked_bytes: received_bytes * 3,
        is_line_due: false,
    });
}

#[test]
fn a_deploy_is_followed_from_stage_to_stage() {
    let mut scene = invited();
    scene.news(scene::accepted());
    scene.golden("receiving-accepted");
    scene.news(ReceiverEvent::AwaitingConsent {
        peer: ([10, 9, 0, 1], 40_000).into(),
    });
    scene.golden("receiving-consent");
    let mut scene = receiving();
    scene.golden("receiving-begins");
    let mut bytes = 0;
    for at in 0..20 {
        bytes += 10_000_000 + at % 7 * 1_000_000;
        second(&mut scene, bytes);
    }
    scene.golden("receiving");
    scene.news(ReceiverEvent::Warning(
        "no swap: the disk has 4096 MiB".to_owned(),
    ));
    scene.learn(scene::log(4, "nvme nvme0: controller is slow"));
    scene.news(ReceiverEvent::Package {
        name: "grub".to_owned(),
        claimed_len: 100_000_000,
    });
    second(&mut scene, bytes + 3_000_000);
    scene.golden("receiving-warning");
    scene.news(stage(Stage::Committing));
    scene.golden("receiving-committing");
}

#[test]
fn a_donor_that_is_gone_is_waited_for() {
    let mut scene = receiving();
    second(&mut scene, 20_000_000);
    let peer = ([10, 9, 0, 1], 40_000).into();
    let reason = "reading from the donor: Connection reset by peer".to_owned();
    scene.news(ReceiverEvent::DonorLost { peer, reason });
    scene.pass(Duration::from_secs(30));
    scene.golden("receiving-lost");
    // Somebody guessed: the secret is another one, and the deploy goes on all the same.
    let ReceiverEvent::Inviting { code, disk, .. } = inviting(&disk("/dev/vda", "A1B2C3D4", BLANK))
    else {
        unreachable!()
    };
    scene.news(ReceiverEvent::Inviting {
        code,
        secret: Some("9D4T-X2WM-7".to_owned()),
        policy: "secret".to_owned(),
        disk,
        addresses: vec![],
        is_renewed: false,
    });
    assert_eq!(scene.wizard.screen(), Screen::Receiving);
    assert!(scene.shows("secret 9D4T-X2WM-7"));
    scene.news(ReceiverEvent::DonorBack { peer });
    assert!(!scene.shows("waited for"));
}

#[test]
fn cancelling_is_asked_for_once_more() {
    let mut scene = receiving();
    assert_eq!(scene.press(Key::Escape), []);
    assert!(scene.shows("unbootable"));
    scene.golden("receiving-cancel");
    assert_eq!(scene.press(Key::Enter), []); // No is selected
    assert!(!scene.shows("unbootable"));
    scene.press(Key::Escape);
    assert_eq!(scene.write("y"), [Command::Cancel]);
    scene.golden("receiving-cancelling");
    assert_eq!(scene.keys(&[Key::Escape, Key::Char('y')]), []);
    scene.news(ReceiverEvent::Failed {
        reason: "cancelled at the machine".to_owned(),
        is_fatal: false,
    });
    scene.news(inviting(&disk("/dev/vda", "A1B2C3D4", BLANK)));
    assert_eq!(scene.wizard.screen(), Screen::Code);
}

#[test]
fn a_second_changes_few_cells() {
    let mut scene = receiving();
    let mut bytes = 0;
    for at in 0..50 {
        let before = scene.picture((80, 24), scene::UNICODE);
        bytes += 5_000_000;
        second(&mut scene, bytes);
        let after = scene.picture((80, 24), scene::UNICODE);
        let changed = before
            .lines()
            .zip(after.lines())
            .map(|(before, after)| {
                let (before, after) = (format!("{before:80}"), format!("{after:80}"));
                let cells = before.chars().zip(after.chars());
                cells.filter(|(before, after)| before != after).count()
            })
            .sum::<usize>();
        // The first rate, and its scale, are drawn again.
        assert!(changed < 40 || at < 5, "{changed} cells:\n{before}{after}");
    }
}

#[test]
fn the_log_is_followed_scrolled_and_thinned_out() {
    let mut scene = Scene::new();
    for number in 0..200_u8 {
        scene.learn(scene::log(
            number % 8,
            &format!("line {number} says {}", "much ".repeat(30)),
        ));
    }
    scene.press(Key::F(2));
    scene.golden("log");
    assert!(scene.shows("line 199 "));
    scene.press(Key::PageUp);
    scene.golden("log-scrolled");
    assert!(!scene.shows("line 199 ") && scene.shows("line 184 "));
    // Further lines move nothing.
    let before = scene.picture((80, 24), scene::UNICODE);
    scene.learn(scene::log(3, "line 200"));
    assert_eq!(scene.picture((80, 24), scene::UNICODE), before);
    scene.press(Key::Down);
    assert!(scene.shows("line 185 "));
    scene.press(Key::Home);
    assert!(scene.shows("line 0 ") && scene.shows("line 19 "));
    scene.press(Key::End);
    assert!(scene.shows("line 200"));
    scene.keys(&[Key::Tab, Key::Tab]);
    assert!(!scene.shows("line 197 ") && scene.shows("line 196 "));
    scene.keys(&[Key::Right, Key::Right]);
    scene.golden("log-errors-shifted");
    assert_eq!(scene.press(Key::Escape), []);
    assert!(scene.shows("Welcome"));
}

#[test]
fn a_log_that_is_flooded_stays_where_it_was_scrolled_to_or_at_its_beginning() {
    let mut scene = Scene::new();
    for number in 0..1000 {
        scene.learn(scene::log(6, &format!("line {number}")));
    }
    scene.keys(&[Key::F(2), Key::PageUp]);
    for number in 1000..5000 {
        scene.learn(scene::log(6, &format!("line {number}")));
    }
    assert!(scene.shows("line 4000\n") && scene.shows("4000 older lines"));
    scene.keys(&[Key::Up, Key::PageDown, Key::PageDown]);
    assert!(scene.shows("line 4030\n"));
}

fn installed(scene: &mut Scene) {
    scene.news(stage(Stage::Installed));
    scene.news(ReceiverEvent::Installed {
        disk: Box::new(disk("/dev/vda", "A1B2C3D4", BLANK)),
        title: "smechvisor 2026.11".to_owned(),
    });
}

#[test]
fn a_complete_disk_is_shown_and_left_for() {
    let mut scene = receiving();
    second(&mut scene, 400_000_000);
    installed(&mut scene);
    assert_eq!(scene.wizard.screen(), Screen::Done);
    scene.golden("done");
    assert_eq!(scene.press(Key::Enter), [Command::Leave]);
}

#[test]
fn a_key_before_the_donor_has_said_goodbye_prevents_the_countdown() {
    let mut scene = receiving();
    installed(&mut scene);
    assert!(scene.shows("leaves once the donor has finished"));
    assert_eq!(scene.press(Key::Char(' ')), [Command::Stay]);
    assert!(scene.shows("until Enter is pressed"));
    let leaving = MachineEvent::Leaving {
        how: "reboot",
        within: Duration::from_secs(10),
    };
    scene.learn(leaving.clone());
    scene.pass(Duration::from_secs(3));
    assert!(scene.shows("until Enter is pressed"));
    assert_eq!(scene.press(Key::Char(' ')), []);
    assert_eq!(scene.press(Key::Enter), [Command::Leave]);
    scene.learn(leaving);
    assert!(scene.shows("in 10 s."));
}

#[test]
fn a_key_stops_the_countdown() {
    let mut scene = receiving();
    installed(&mut scene);
    scene.learn(MachineEvent::Leaving {
        how: "kexec",
        within: Duration::from_secs(10),
    });
    assert!(scene.shows("in 10 s."));
    scene.pass(Duration::from_secs(3));
    assert!(scene.shows("in 7 s."));
    scene.golden("done-leaving");
    assert_eq!(scene.press(Key::Char(' ')), [Command::Stay]);
    scene.pass(Duration::from_secs(30));
    assert!(scene.shows("until Enter is pressed"));
    assert_eq!(scene.press(Key::Char(' ')), []);
}

fn failed(scene: &mut Scene, is_fatal: bool) {
    let reason = "unpacking smechvisor-base.tar.xz: writing /usr/lib/x86_64-linux-gnu/libc.so.6: \
                  writing lba 2048 on \
                  /dev/vda: Input/output error (os error 5)";
    scene.news(ReceiverEvent::Failed {
        reason: reason.to_owned(),
        is_fatal,
    });
}

#[test]
fn a_failure_tells_why_and_what_to_try() {
    let mut scene = receiving();
    scene.learn(scene::log(
        3,
        "blk_update_request: I/O error, dev vda, sector 2048",
    ));
    failed(&mut scene, false);
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    scene.golden("failed");
    scene.learn(MachineEvent::Missing(vec![
        "no driver: network device 8086:15f3 at 0000:02:00.0".to_owned(),
        "missing firmware: iwlwifi-ty-a0-gf-a0-72.ucode".to_owned(),
    ]));
    scene.golden("failed-missing");
    scene.news(inviting(&disk("/dev/vda", "A1B2C3D4", BLANK)));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Code);
}

#[test]
fn what_no_donor_can_help_with_leads_to_a_restart() {
    let mut scene = invited();
    failed(&mut scene, true);
    scene.golden("failed-fatal");
    scene.press(Key::Enter);
    assert_eq!(scene.write("y"), [Command::Reboot]);
    // On a Linux that runs, the program ends.
    let mut scene = invited();
    scene.learn(MachineEvent::Machine(Machine {
        owns_power: false,
        ..scene::machine()
    }));
    failed(&mut scene, true);
    assert_eq!(scene.press(Key::Enter), [Command::Leave]);
}
