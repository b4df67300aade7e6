//! A daemon of a signed bundle is changed while it serves, by the program that holds it; one that
//! does not get ready is taken back, and one that nobody holds is only made ready.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod content;

use std::net::{Ipv4Addr, SocketAddr};

use content::Node;
use content::daemon::{Held, PLACE, answers, ask, bundle};
use receiver::fakes::ports;
use spk_visor::exit::Exit;

#[test]
fn a_daemon_that_is_held_is_changed_by_apply() {
    let node = Node::new();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
    node.apply(&bundle(1, address, &answers(1))).unwrap();
    // Nobody holds it: the second one is only made ready.
    node.apply(&bundle(2, address, &answers(2))).unwrap();
    assert_eq!(node.current(PLACE), "gen/0000000001");

    let held = Held::of(node.dir.path());
    assert_eq!(ask(address), "1");
    node.apply(&bundle(2, address, &answers(2))).unwrap();
    assert_eq!(node.current(PLACE), "gen/0000000002");
    assert_eq!(ask(address), "2");

    let error = node.apply(&bundle(3, address, "#!/bin/sh\nexit 3\n"));
    let error = error.unwrap_err();
    assert_eq!(Exit::from(&error), Exit::Unhealthy, "{error}");
    assert!(error.to_string().contains("exit-3"), "{error}");
    assert_eq!(node.current(PLACE), "gen/0000000002");
    assert_eq!(ask(address), "2");
    let error = node.apply(&bundle(3, address, "#!/bin/sh\nexit 3\n"));
    assert_eq!(Exit::from(&error.unwrap_err()), Exit::NotNow);

    node.apply(&bundle(4, address, &answers(4))).unwrap();
    assert_eq!(ask(address), "4");

    // Back while it serves, and nothing leads back to what was left.
    node.rollback(PLACE).unwrap();
    assert_eq!(node.current(PLACE), "gen/0000000002");
    assert_eq!(ask(address), "2");
    let error = node.rollback(PLACE).unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow, "{error}");
    let error = node.apply(&bundle(4, address, &answers(4))).unwrap_err();
    assert_eq!(Exit::from(&error), Exit::NotNow, "{error}");
    assert_eq!(ask(address), "2");

    // Nobody holds it: the pointer goes back alone.
    node.apply(&bundle(5, address, &answers(5))).unwrap();
    drop(held);
    node.rollback(PLACE).unwrap();
    assert_eq!(node.current(PLACE), "gen/0000000002");
}
