//! Every key in every state, and events between keys: each command can be carried out, and each
//! state has a way out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use receiver::operator::event::ReceiverEvent;
use std::time::Duration;

use machine::gate::choose;
use scene::{
    Scene, accepted, blank, complete, failed, inviting, machine, nic, stage, wifi_nic, zoo,
};
use wire::stage::Stage;
use wizard::event::{Machine, MachineEvent};
use wizard::{Command, Key, Screen};

#[test]
fn nothing_moves_while_nothing_happens() {
    for scene in (0..STATES).map(state) {
        let is_moving = matches!(
            scene.wizard.model().phase,
            wizard::model::Phase::Writing | wizard::model::Phase::Installed
        ) || scene.wizard.screen() == Screen::Failed;
        let next = scene.wizard.next_tick(scene.now);
        assert!(next.is_none() || is_moving, "{:?}", scene.wizard.screen());
    }
}

/// The reports of a deploy, in every state that it can be in.
const WAYS: usize = 9;
const STATES: usize = 2 * 3 * WAYS;

fn way(number: usize) -> Vec<ReceiverEvent> {
    match number {
        0 => vec![],
        1 => vec![inviting(&blank())],
        2 => vec![accepted()],
        3 => vec![accepted(), stage(Stage::Receiving)],
        4 => vec![accepted(), stage(Stage::Receiving), failed(false)],
        5 => vec![accepted(), failed(false), inviting(&blank())],
        6 => vec![failed(true)],
        7 => vec![complete()],
        _ => vec![ReceiverEvent::Held { refused: None }],
    }
}

/// A state that facts lead to.
fn state(number: usize) -> Scene {
    let mut scene = Scene::empty();
    scene.learn(MachineEvent::Machine(match number % 2 {
        0 => machine(),
        _ => Machine {
            owns_network: false,
            owns_power: false,
            has_shell: true,
            ..machine()
        },
    }));
    scene.learn(MachineEvent::Nic(nic("eth0")));
    scene.learn(MachineEvent::Nic(wifi_nic("wlan0")));
    match number / 2 % 3 {
        0 => scene.disks(&zoo()),
        1 => scene.disks(&[blank()]),
        _ => scene.disks(&[]),
    }
    let way = way(number / 6);
    for news in &way {
        scene.news(news.clone());
    }
    if matches!(way.as_slice(), [ReceiverEvent::Installed { .. }]) {
        let (how, within) = ("reboot", Duration::from_secs(10));
        scene.learn(MachineEvent::Leaving { how, within });
    }
    scene
}

const KEYS: [Key; 33] = [
    Key::Char('y'),
    Key::Char('n'),
    Key::Char('w'),
    Key::Char(' '),
    Key::Char('/'),
    Key::Char('1'),
    Key::Char('ß'),
    Key::Enter,
    Key::Escape,
    Key::Tab,
    Key::BackTab,
    Key::Backspace,
    Key::Delete,
    Key::Up,
    Key::Down,
    Key::Left,
    Key::Right,
    Key::Home,
    Key::End,
    Key::PageUp,
    Key::PageDown,
    Key::F(1),
    Key::F(2),
    Key::F(3),
    Key::F(9),
    Key::F(11),
    Key::F(12),
    Key::F(255),
    Key::Ctrl('a'),
    Key::Ctrl('c'),
    Key::Ctrl('l'),
    Key::Ctrl('u'),
    Key::Char('\0'),
];

/// The invariant after every key: the machine can carry out each command.
fn check(scene: &mut Scene, commands: &[Command]) {
    let model = scene.wizard.model();
    for command in commands {
        match command {
            Command::Take { wish, .. } => {
                choose(&model.disks, wish).unwrap();
            }
            Command::Network(value) => assert!(value.starts_with("dhcp") || value.contains('/')),
            Command::Shell => assert!(model.machine.has_shell),
            Command::Reboot | Command::PowerOff | Command::Boot(_) => {
                assert!(model.machine.owns_power);
            }
            _ => {}
        }
    }
    scene.wizard.tick(scene.now);
}

const SIZES: [(u16, u16); 5] = [(80, 24), (1, 1), (20, 5), (0, 0), (60, 12)];

#[test]
fn every_key_in_every_state_leaves_a_way_out() {
    let mut random = numbers(1);
    let mut visited = Vec::new();
    for number in 0..STATES {
        for first in KEYS {
            let mut scene = state(number);
            let mut key = first;
            for step in 0..9 {
                let commands = scene.press(key);
                check(&mut scene, &commands);
                let size = SIZES[(number + step) % SIZES.len()];
                scene.picture(size, scene::UNICODE);
                visited.push(scene.wizard.screen());
                key = KEYS[random(KEYS.len())];
            }
            way_out(&mut scene);
        }
    }
    for screen in Screen::ALL {
        assert!(visited.contains(&screen), "{screen:?} was never seen");
    }
}

/// The same numbers each time, each below what is asked for.
fn numbers(mut seed: u32) -> impl FnMut(usize) -> usize {
    move |below| {
        // Xorshift: small, seeded, good enough.
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        usize::try_from(seed).unwrap() % below
    }
}

/// Anything that may be said at any time, in any order.
fn anything(scene: &mut Scene, number: usize) {
    match number {
        0 => scene.disks(&zoo()),
        1 => scene.disks(&[blank()]),
        2 => scene.disks(&[]),
        3 => scene.news(inviting(&blank())),
        4 => scene.news(accepted()),
        5 => scene.news(stage(Stage::Receiving)),
        6 => scene.news(failed(false)),
        7 => scene.news(ReceiverEvent::Held { refused: None }),
        8 => scene.news(ReceiverEvent::Held {
            refused: Some("it is gone".to_owned()),
        }),
        9 => scene.learn(MachineEvent::NicGone("wlan0".to_owned())),
        10 => scene.learn(MachineEvent::Nic(wifi_nic("wlan0"))),
        11 => scene.pass(Duration::from_secs(70)),
        12 => scene.news(ReceiverEvent::DonorLost {
            peer: ([10, 9, 0, 1], 40_000).into(),
            reason: "connection reset".to_owned(),
        }),
        _ => scene.learn(MachineEvent::Leaving {
            how: "kexec",
            within: Duration::from_secs(3),
        }),
    }
}

#[test]
fn facts_between_keys_confuse_nobody() {
    for seed in 1..=60 {
        let mut random = numbers(seed);
        let mut scene = Scene::new();
        for _ in 0..200 {
            if random(4) == 0 {
                let number = random(14);
                anything(&mut scene, number);
            }
            let commands = scene.press(KEYS[random(KEYS.len())]);
            check(&mut scene, &commands);
        }
        scene.picture((80, 24), scene::UNICODE);
        way_out(&mut scene);
    }
}

/// From any state: Escape until nothing changes, and then the machine continues by itself or a
/// person can still do something.
fn way_out(scene: &mut Scene) {
    let was = scene.wizard.screen();
    for _ in 0..12 {
        scene.press(Key::Escape);
    }
    let now = scene.wizard.screen();
    match now {
        // The machine decides; what follows from it is shown.
        Screen::Welcome | Screen::Code | Screen::Disk | Screen::Network | Screen::Plan => {
            if scene.wizard.is_held() {
                // Escape goes round in a circle where the machine cannot decide; it is never stuck
                // in one place.
                let commands = scene.keys(&[Key::Escape; 6]);
                assert!(
                    commands.contains(&Command::GoOn),
                    "{was:?} {now:?} {commands:?}"
                );
            }
        }
        // It was ordered already.
        Screen::Receiving if scene.wizard.model().is_cancelling => {}
        Screen::Receiving => {
            scene.press(Key::Char('n'));
            let commands = scene.keys(&[Key::Escape, Key::Char('y')]);
            assert!(commands.contains(&Command::Cancel), "{commands:?}");
        }
        Screen::Done => assert!(scene.press(Key::Enter).contains(&Command::Leave)),
        Screen::Failed => {
            let owns_power = scene.wizard.model().machine.owns_power;
            let commands = scene.keys(&[Key::F(11), Key::Char('y')]);
            assert_eq!(commands.contains(&Command::Reboot), owns_power);
        }
        Screen::Wifi => panic!("{was:?} ends at {now:?}"),
    }
}
