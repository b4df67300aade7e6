//! The deciding party: the machine until a key is pressed, then the person, until the person hands
//! back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod scene;

use std::time::Duration;

use disk::sizes::Sizes;
use machine::gate::{GateError, Wish};
use receiver::operator::event::ReceiverEvent;
use scene::{
    Scene, accepted, blank, complete, disk, failed, inviting, log, nic, stage, waiting, wifi_nic,
    zoo,
};
use wire::stage::Stage;
use wizard::event::MachineEvent;
use wizard::{Command, Key, Screen};

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
    tell(complete());
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
    assert_eq!(scene.commands, []);
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
    assert_eq!(scene.commands, []);
}

#[test]
fn a_key_takes_over_once_and_the_way_back_gives_it_back() {
    for key in [Key::Enter, Key::Escape, Key::Char('x'), Key::Down, Key::Tab] {
        let mut scene = Scene::new();
        assert_eq!(scene.press(key), [Command::Hold], "{key:?}");
        assert!(scene.wizard.is_held());
        // The machine is asked to stop, and may have invited before it heard.
        let screen = scene.wizard.screen();
        scene.news(inviting(&blank()));
        scene.news(ReceiverEvent::Held { refused: None });
        assert_eq!(scene.wizard.screen(), screen);
        if screen == Screen::Disk {
            assert_eq!(scene.press(Key::Escape), []);
        }
        assert_eq!(scene.press(Key::Escape), [Command::GoOn]);
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
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    scene.news(accepted());
    assert_eq!(scene.wizard.screen(), Screen::Receiving);
    scene.news(stage(Stage::Formatting));
    // It comes to nothing: the person wanted to decide, and does.
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Failed);
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.press(Key::Enter), []);
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    let commands = scene.keys(&[Key::Enter, Key::Enter, Key::Enter]);
    assert!(
        matches!(commands.as_slice(), [Command::Take { .. }]),
        "{commands:?}"
    );
    // It stops before anything is written.
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    scene.news(accepted());
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    // It is given up.
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    scene.news(accepted());
    assert_eq!(
        scene.keys(&[Key::Escape, Key::Char('y')]),
        [Command::Cancel]
    );
    scene.news(failed(false));
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    // It succeeds.
    let mut scene = waiting();
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    scene.news(accepted());
    scene.news(complete());
    assert_eq!(scene.wizard.screen(), Screen::Done);
}

#[test]
fn a_person_walks_to_the_code() {
    let mut scene = Scene::new();
    scene.disks(&[blank()]);
    let commands = scene.keys(&[Key::Enter, Key::Enter, Key::Enter, Key::Enter]);
    let wish = Wish {
        disk: Some("/dev/vda".parse().unwrap()),
        reinstall: machine::gate::Reinstall::ByHand,
        ..Wish::default()
    };
    let take = Command::Take {
        wish: wish.clone(),
        sizes: Sizes::USUAL,
    };
    assert_eq!(commands, [Command::Hold, take.clone()]);
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(inviting(&blank()));
    // Back and forth: the same is taken again.
    assert_eq!(scene.press(Key::Escape), [Command::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
    assert_eq!(scene.press(Key::Enter), [take]);
    // The disk is known from the invitation alone.
    scene.news(inviting(&blank()));
    assert_eq!(scene.keys(&[Key::Escape, Key::Enter]).len(), 2);
    assert_eq!(scene.wizard.screen(), Screen::Code);
    // Back to the beginning, and as the machine would have decided.
    scene.news(inviting(&blank()));
    let commands = scene.keys(&[Key::Escape; 5]);
    assert_eq!(commands, [Command::Hold, Command::GoOn]);
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
    assert_eq!(scene.keys(&[Key::Escape, Key::Escape]), [Command::GoOn]);
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
    let commands = sizes(&mut scene);
    assert!(
        matches!(commands.as_slice(), [Command::Take { .. }]),
        "{commands:?}"
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
    assert_eq!(
        scene.keys(&[Key::Escape, Key::Char('y')]),
        [Command::Cancel]
    );
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
        [Command::Hold, Command::GoOn]
    );
    // The receiver does not repeat what it has said of the disks.
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert!(!scene.wizard.is_held());
    scene.news(ReceiverEvent::Held { refused: None });
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert!(!scene.wizard.is_held(), "that was said of the time before");
    // A wish is not what that was said of.
    let commands = scene.keys(&[Key::Home, Key::Enter, Key::Enter, Key::Enter]);
    assert!(
        matches!(commands.as_slice(), [Command::Hold, Command::Take { .. }]),
        "{commands:?}"
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
    scene.learn(MachineEvent::Nic(wifi_nic("wlan0")));
    assert!(scene.wizard.is_changed());
    scene.learn(MachineEvent::Nic(wifi_nic("wlan0")));
    scene.learn(MachineEvent::Nic(nic("eth0")));
    assert!(!scene.wizard.is_changed());
    scene.learn(MachineEvent::NicGone("eth0".to_owned()));
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
