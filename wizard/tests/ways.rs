//! Who decides, and that nobody gets lost: automatic until touched, every key in every state, a way out of each.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use std::time::Duration;

use disk::sizes::Sizes;
use receiver::gate::{GateError, Wish, choose};
use receiver::operator::event::ReceiverEvent;
use scene::{BLANK, Scene, accepted, disk, inviting, log, machine, nic, wifi_nic, zoo};
use wire::stage::Stage;
use wizard::fact::{Fact, Machine};
use wizard::{Key, Order, Screen};

fn blank() -> receiver::gate::Candidate {
    disk("/dev/vda", "A1B2C3D4", BLANK)
}

fn stage(stage: Stage) -> ReceiverEvent {
    ReceiverEvent::Stage {
        stage,
        facts: String::new(),
    }
}

fn installed() -> ReceiverEvent {
    ReceiverEvent::Installed {
        disk: Box::new(blank()),
        title: "Debian GNU/Linux 13".to_owned(),
    }
}

fn failed(is_fatal: bool) -> ReceiverEvent {
    ReceiverEvent::Failed {
        reason: "receiving package base: connection reset".to_owned(),
        is_fatal,
    }
}

/// A machine with a blank disk that invites donors.
fn waiting() -> Scene {
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    scene.news(inviting(&blank()));
    scene
}

#[test]
fn nobody_touches_a_key_and_the_machine_goes_its_way() {
    let mut scene = Scene::new();
    let mut seen = vec![scene.wizard.screen()];
    let mut tell = |news: ReceiverEvent| {
        scene.news(news);
        scene.pass(Duration::from_secs(5));
        seen.push(scene.wizard.screen());
    };
    tell(inviting(&blank()));
    tell(accepted());
    tell(stage(Stage::Planned));
    tell(stage(Stage::Formatting));
    tell(failed(false));
    tell(inviting(&blank()));
    tell(accepted());
    tell(stage(Stage::Formatting));
    tell(stage(Stage::Receiving));
    tell(stage(Stage::Committing));
    tell(installed());
    assert_eq!(
        seen,
        [
            Screen::Welcome,
            Screen::Code,
            Screen::Receiving,
            Screen::Receiving,
            Screen::Receiving,
            Screen::Failed,
            Screen::Failed,
            Screen::Receiving,
            Screen::Receiving,
            Screen::Receiving,
            Screen::Receiving,
            Screen::Done,
        ]
    );
    assert_eq!(scene.orders, []);
}

#[test]
fn a_failure_is_shown_for_a_while_and_then_the_code() {
    let mut scene = waiting();
    scene.news(accepted());
    scene.news(failed(false));
    scene.pass(Duration::from_secs(3600));
    assert_eq!(scene.wizard.screen(), Screen::Failed, "nobody is invited");
    scene.news(failed(false));
    scene.news(inviting(&blank()));
    scene.pass(Duration::from_secs(59));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(failed(true));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
}

#[test]
fn a_disk_that_cannot_be_chosen_is_waited_for_until_it_can() {
    let mut scene = Scene::new();
    scene.disks(&zoo());
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    scene.disks(&[blank()]);
    assert_eq!(scene.wizard.screen(), Screen::Welcome);
    scene.news(inviting(&blank()));
    assert_eq!(scene.wizard.screen(), Screen::Code);
    // It is pulled out while donors are invited.
    scene.disks(&[]);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert_eq!(scene.orders, []);
}

#[test]
fn a_key_takes_over_once_and_the_way_back_gives_it_back() {
    for key in [Key::Enter, Key::Escape, Key::Char('x'), Key::Down, Key::Tab] {
        let mut scene = Scene::new();
        assert_eq!(scene.press(key), [Order::Hold], "{key:?}");
        assert!(scene.wizard.is_held());
        // The machine is asked to stop, and may have invited before it heard.
        let screen = scene.wizard.screen();
        scene.news(inviting(&blank()));
        scene.news(ReceiverEvent::Held { refused: None });
        assert_eq!(scene.wizard.screen(), screen);
        if screen == Screen::Disk {
            assert_eq!(scene.press(Key::Escape), []);
        }
        assert_eq!(scene.press(Key::Escape), [Order::GoOn]);
        assert!(!scene.wizard.is_held());
        scene.news(inviting(&blank()));
        assert_eq!(scene.wizard.screen(), Screen::Code);
    }
}

#[test]
fn keys_that_work_everywhere_take_nothing_over() {
    for number in 0..=13 {
        let mut scene = Scene::new();
        scene.press(Key::F(number));
        assert!(!scene.wizard.is_held());
    }
    for key in [Key::F(1), Key::F(2), Key::F(11), Key::F(12)] {
        let mut scene = Scene::new();
        assert_eq!(scene.keys(&[key, Key::Escape]), []);
        assert_eq!(scene.wizard.screen(), Screen::Welcome);
        assert!(
            !scene.wizard.is_held(),
            "it closes what lies over the screen"
        );
    }
    let mut scene = Scene::new();
    assert_eq!(scene.press(Key::Ctrl('l')), []);
    assert!(!scene.wizard.is_held());
}

#[test]
fn a_donor_that_was_faster_than_the_person_is_shown() {
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    scene.news(accepted());
    assert_eq!(scene.wizard.screen(), Screen::Receiving);
    scene.news(stage(Stage::Formatting));
    // It comes to nothing: the person wanted to decide, and does.
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    let orders = scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    assert!(
        matches!(orders.as_slice(), [Order::Take { .. }]),
        "{orders:?}"
    );
    // It stops before anything is written.
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    scene.news(accepted());
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    // It is given up.
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    scene.news(accepted());
    assert_eq!(scene.keys(&[Key::Escape, Key::Char('y')]), [Order::Cancel]);
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    // It succeeds.
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    scene.news(accepted());
    scene.news(installed());
    assert_eq!(scene.wizard.screen(), Screen::Done);
}

#[test]
fn a_person_walks_to_the_code() {
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    let orders = scene.keys(&[Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    let wish = Wish {
        disk: Some("/dev/vda".parse().unwrap()),
        reinstall: receiver::gate::Reinstall::ByHand,
        ..Wish::default()
    };
    let take = Order::Take {
        wish: wish.clone(),
        sizes: Sizes::USUAL,
    };
    assert_eq!(orders, [Order::Hold, take.clone()]);
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(inviting(&blank()));
    // Back and forth: the same is taken again.
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    assert_eq!(scene.press(Key::Enter), [take]);
    // The disk is known from the invitation alone.
    scene.news(inviting(&blank()));
    assert_eq!(scene.keys(&[Key::Escape, Key::Enter]).len(), 2);
    assert_eq!(scene.wizard.screen(), Screen::Code);
    // Back to the beginning, and as the machine would have decided.
    scene.news(inviting(&blank()));
    let orders = scene.keys(&[Key::Escape; 5]);
    assert_eq!(orders, [Order::Hold, Order::GoOn]);
    assert_eq!(scene.wizard.model().choices.wish, None);
}

#[test]
fn what_cannot_be_taken_any_more_leads_back_to_the_disks() {
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    scene.disks(&zoo());
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    // And when the receiver is the one that finds out.
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(ReceiverEvent::Disks {
        seen: zoo(),
        choice: Err(GateError::NoDisk),
    });
    assert_eq!(scene.wizard.screen(), Screen::Disk);
}

#[test]
fn a_take_that_is_refused_says_why_and_a_person_goes_on_deciding() {
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    scene.keys(&[Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    let refused = Some("planning a disk of 5 MiB".to_owned());
    scene.news(ReceiverEvent::Held { refused });
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert!(scene.wizard.is_held() && scene.shows("planning a disk of 5 MiB"));
    assert_eq!(scene.keys(&[Key::Escape, Key::Escape]), [Order::GoOn]);
    assert!(!scene.shows("planning a disk of 5 MiB"));
}

#[test]
fn other_sizes_for_the_machines_own_disk_need_its_word_again() {
    let sizes = |scene: &mut Scene| {
        scene.keys(&[Key::Escape, Key::Escape, Key::Up, Key::Ctrl('u')]);
        scene.write("none");
        scene.keys(&[Key::Down, Key::Enter, Key::Enter])
    };
    let mut scene = waiting();
    let orders = sizes(&mut scene);
    assert!(
        matches!(orders.as_slice(), [Order::Take { .. }]),
        "{orders:?}"
    );
    // Another one was confirmed on the kernel command line, which we do not repeat.
    let mut scene = Scene::new();
    let full = disk("/dev/vda", "A1B2C3D4", scene::occupied());
    scene.news(ReceiverEvent::Disks {
        seen: vec![full.clone()],
        choice: Ok(Box::new(full.clone())),
    });
    scene.news(inviting(&full));
    assert_eq!(sizes(&mut scene), []);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
}

#[test]
fn cancelling_leads_back_to_the_code() {
    let mut scene = waiting();
    scene.news(accepted());
    scene.news(stage(Stage::Formatting));
    assert_eq!(scene.keys(&[Key::Escape, Key::Escape]), []);
    assert_eq!(scene.keys(&[Key::Escape, Key::Char('y')]), [Order::Cancel]);
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(inviting(&blank()));
    assert_eq!(scene.wizard.screen(), Screen::Code);
    // The next failure is one again.
    scene.news(accepted());
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
}

#[test]
fn a_machine_that_is_to_decide_and_cannot_says_so_at_once() {
    let mut scene = Scene::new();
    scene.disks(&zoo());
    assert_eq!(
        scene.keys(&[Key::Escape, Key::Escape]),
        [Order::Hold, Order::GoOn]
    );
    // The receiver does not repeat what it has said of the disks.
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert!(!scene.wizard.is_held());
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert!(!scene.wizard.is_held(), "that was said of the time before");
    // A wish is not what that was said of.
    let orders = scene.keys(&[Key::Home, Key::Enter, Key::Enter, Key::Enter]);
    assert!(
        matches!(orders.as_slice(), [Order::Hold, Order::Take { .. }]),
        "{orders:?}"
    );
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Code);
}

#[test]
fn after_a_failure_a_machine_that_cannot_choose_shows_its_disks() {
    let mut scene = waiting();
    scene.news(accepted());
    scene.news(failed(false));
    scene.disks(&zoo());
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
}

#[test]
fn a_failure_before_a_donor_was_let_in_is_shown_as_well() {
    let mut scene = waiting();
    // The disk that somebody was invited for is gone when it is wanted.
    scene.disks(&zoo());
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    scene.press(Key::Enter);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    // Nobody who decides is torn away from that.
    scene.press(Key::Home);
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Disk);
}

#[test]
fn a_question_about_a_deploy_ends_with_it() {
    for keys in [&[Key::Escape][..], &[Key::Escape, Key::Tab]] {
        let mut scene = waiting();
        scene.news(accepted());
        scene.keys(keys);
        assert!(scene.shows("Give up this deploy?"));
        scene.news(failed(false));
        assert!(!scene.shows("Give up this deploy?"));
        assert_eq!(scene.press(Key::Char('y')), []);
    }
}

#[test]
fn what_is_known_already_is_not_drawn_again() {
    let mut scene = Scene::new();
    scene.learn(Fact::Nic(wifi_nic("wlan0")));
    assert!(scene.wizard.is_changed());
    scene.learn(Fact::Nic(wifi_nic("wlan0")));
    scene.learn(Fact::Nic(nic("eth0")));
    assert!(!scene.wizard.is_changed());
    scene.learn(Fact::NicGone("eth0".to_owned()));
    assert!(scene.wizard.is_changed());
}

#[test]
fn the_log_is_bounded_and_draws_only_where_it_is_seen() {
    let mut scene = Scene::new();
    assert!(scene.wizard.is_changed());
    scene.learn(log(6, &"x".repeat(100_000)));
    assert!(!scene.wizard.is_changed());
    for _ in 0..10_000 {
        scene.learn(log(6, "line"));
    }
    let model = scene.wizard.model();
    assert_eq!(model.log.len(), wizard::model::LOG_MAX);
    scene.press(Key::F(2));
    assert!(scene.wizard.is_changed() && !scene.wizard.is_changed());
    scene.learn(log(6, "another"));
    assert!(scene.wizard.is_changed());
}

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

/// What was said of a deploy, in every way that it can stand.
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
        7 => vec![installed()],
        _ => vec![ReceiverEvent::Held { refused: None }],
    }
}

/// A state that facts lead to.
fn state(number: usize) -> Scene {
    let mut scene = Scene::empty();
    scene.learn(Fact::Machine(match number % 2 {
        0 => machine(),
        _ => Machine {
            owns_network: false,
            owns_power: false,
            has_shell: true,
            ..machine()
        },
    }));
    scene.learn(Fact::Nic(nic("eth0")));
    scene.learn(Fact::Nic(wifi_nic("wlan0")));
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
        scene.learn(Fact::Leaving { how, within });
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

/// What holds after every key: an order is one that the machine can follow.
fn check(scene: &mut Scene, orders: &[Order]) {
    let model = scene.wizard.model();
    for order in orders {
        match order {
            Order::Take { wish, .. } => {
                choose(&model.disks, wish).unwrap();
            }
            Order::Network(value) => assert!(value.starts_with("dhcp") || value.contains('/')),
            Order::Shell => assert!(model.machine.has_shell),
            Order::Reboot | Order::PowerOff | Order::Boot(_) => {
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
                let orders = scene.press(key);
                check(&mut scene, &orders);
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
        9 => scene.learn(Fact::NicGone("wlan0".to_owned())),
        10 => scene.learn(Fact::Nic(wifi_nic("wlan0"))),
        11 => scene.pass(Duration::from_secs(70)),
        12 => scene.news(ReceiverEvent::DonorLost {
            peer: ([10, 9, 0, 1], 40_000).into(),
            reason: "connection reset".to_owned(),
        }),
        _ => scene.learn(Fact::Leaving {
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
            let orders = scene.press(KEYS[random(KEYS.len())]);
            check(&mut scene, &orders);
        }
        scene.picture((80, 24), scene::UNICODE);
        way_out(&mut scene);
    }
}

/// From wherever it is: Escape until nothing moves, and then the machine goes on by itself or a person can still do something.
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
                // Escape goes round in a circle where the machine cannot decide; it is never stuck in one place.
                let orders = scene.keys(&[Key::Escape; 6]);
                assert!(orders.contains(&Order::GoOn), "{was:?} {now:?} {orders:?}");
            }
        }
        // It was ordered already.
        Screen::Receiving if scene.wizard.model().is_cancelling => {}
        Screen::Receiving => {
            scene.press(Key::Char('n'));
            let orders = scene.keys(&[Key::Escape, Key::Char('y')]);
            assert!(orders.contains(&Order::Cancel), "{orders:?}");
        }
        Screen::Done => assert!(scene.press(Key::Enter).contains(&Order::Leave)),
        Screen::Failed => {
            let owns_power = scene.wizard.model().machine.owns_power;
            let orders = scene.keys(&[Key::F(11), Key::Char('y')]);
            assert_eq!(orders.contains(&Order::Reboot), owns_power);
        }
        Screen::Wifi => panic!("{was:?} ends at {now:?}"),
    }
}
