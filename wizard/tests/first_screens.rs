//! From the welcome to the network: pictures of every state, and the way between them.

mod scene;

use scene::{BLANK, Scene, disk, inviting, zoo};
use wizard::{Key, Order, Screen};

#[test]
fn welcome_shows_the_machine() {
    let scene = Scene::new();
    scene.golden("welcome");
}

#[test]
fn nobody_touches_a_key_and_the_machine_goes_its_way() {
    let mut scene = Scene::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    scene.disks(std::slice::from_ref(&blank));
    assert_eq!(scene.wizard.screen(), Screen::Welcome);
    scene.news(inviting(&blank));
    assert_eq!(scene.wizard.screen(), Screen::Code);
    scene.news(scene::accepted());
    assert_eq!(scene.wizard.screen(), Screen::Receiving);
    assert_eq!(scene.orders, []);
}

#[test]
fn a_key_takes_over_and_goes_back_to_the_machine() {
    let mut scene = Scene::new();
    scene.disks(&zoo());
    assert_eq!(scene.wizard.screen(), Screen::Disk);
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Welcome);
    assert_eq!(scene.press(Key::Escape), [Order::GoOn]);
    assert!(!scene.wizard.is_held());
}
