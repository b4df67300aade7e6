//! From the code to the end, Wi-Fi and the log: pictures of every state.

mod scene;

use receiver::news::News;
use scene::{BLANK, Scene, disk, inviting, occupied};
use wizard::{Key, Order, Screen};

/// Donors are invited to a blank disk.
fn invited() -> Scene {
    let mut scene = Scene::new();
    let blank = disk("/dev/vda", "A1B2C3D4", BLANK);
    scene.disks(std::slice::from_ref(&blank));
    scene.news(inviting(&blank));
    scene
}

fn refused(count: u64, reason: &str) -> News {
    News::Refused {
        peer: ([10, 9, 0, 77], 40_001).into(),
        count,
        reason: reason.to_owned(),
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
    assert_eq!(scene.press(Key::Escape), [Order::Hold]);
    assert_eq!(scene.wizard.screen(), Screen::Network);
}

#[test]
fn without_a_secret_there_is_another_command() {
    for (policy, name) in [("pinned", "code-pinned"), ("legacy", "code-legacy")] {
        let mut scene = invited();
        let News::Inviting { code, disk, .. } = inviting(&disk("/dev/sda", "S1", occupied()))
        else {
            unreachable!()
        };
        scene.news(News::Inviting {
            code,
            secret: None,
            policy: policy.to_owned(),
            disk,
            addresses: vec![],
        });
        scene.golden(name);
    }
}
