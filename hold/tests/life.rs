//! The life of a daemon that is held, with real programs: it is started again when it crashes, ends
//! with its holder, and what it has started goes on.

#![allow(clippy::unwrap_used, clippy::panic)]

mod world;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hold::event::{Event, Request, Why};
use hold::times::Times;
use rustix::process::{Pid, Signal, kill_process};
use store::stage::Again;
use world::{LONG, World, request, runs, short};

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn one_that_crashes_is_started_again_and_nobody_is_refused() {
    let world = World::new();
    world.first();
    let held = world.hold(short());
    let mut pid = held.started();
    for _ in 0..3 {
        assert_eq!(world.ask(), "1");
        kill(pid, Signal::KILL);
        // Until then it may accept somebody.
        held.until(|event| matches!(event, Event::Ended { .. }));
        assert_eq!(world.ask(), "1"); // waits in the queue
        let next = held.started();
        assert_ne!(next, pid);
        pid = next;
    }
    assert!(held.end() && !runs(pid));
    assert!(request(world.address).is_err());
}

#[test]
fn one_that_cannot_be_started_is_tried_again_until_it_can() {
    let world = World {
        is_asked: false,
        ready: "started",
        ..World::new()
    };
    let (interpreter, program) = (world.path("sh"), world.program.display());
    let program = format!("#!{}\nexec {program} 1\n", interpreter.display());
    world.generation_of(1, &world.service(&[]), program.as_bytes());
    world.confirm(1);
    let held = world.hold(short());
    let mut pauses = vec![];
    while pauses.len() < 3 {
        if let Event::Waiting { ms } = held.until(|event| matches!(event, Event::Waiting { .. })) {
            pauses.push(ms);
        }
    }
    assert_eq!(pauses, [20, 40, 80]);
    symlink("/bin/sh", interpreter).unwrap();
    assert_eq!(world.ask(), "1");
}

#[test]
fn what_it_has_started_goes_on() {
    let world = World::new();
    let child = world.path("child");
    // Nobody else reads the environment of this process.
    let command = format!(
        "exec env HELD_CHILD={} {} 1 child",
        child.display(),
        world.program.display()
    );
    let program = format!("#!/bin/sh\n{command}\n");
    world.generation_of(1, &world.service(&[]), program.as_bytes());
    world.confirm(1);
    world.generation(2, &world.service(&["2"]));
    let held = world.hold(short());
    let pid = held.started();
    assert_eq!(world.ask(), "1");
    let machine: u32 = fs::read_to_string(&child).unwrap().parse().unwrap();
    assert!(matches!(held.swap(2), Event::Swapped { counter: 2, .. }));
    assert!(!runs(pid) && runs(machine));
    assert!(held.end() && runs(machine));
    kill(machine, Signal::KILL);
}

#[test]
fn an_end_lets_the_daemon_finish_and_takes_a_trial_back() {
    let world = World::new();
    world.first();
    world.generation(2, &world.service(&["2", "silent"]));
    let held = world.hold(Times::default());
    held.started();
    std::thread::scope(|scope| {
        let swap = scope.spawn(|| held.swap(2));
        held.until(|event| matches!(event, Event::Started { counter: 2, .. }));
        held.stop();
        assert_eq!(swap.join().unwrap(), Event::Refused { why: Why::Leaving });
    });
    assert!(held.end());
    assert_eq!(world.current(), 1);
    let ledger = world.ledger();
    assert!(ledger.trial.is_none() && ledger.failed().is_empty());
}

#[test]
fn a_trial_that_a_power_cut_interrupted_is_taken_back() {
    let world = World::new();
    world.first();
    world.generation(2, &world.service(&["2"]));
    let place = world.place();
    place.recover().unwrap();
    let candidate = place.prepare(2, Again(false)).unwrap();
    place.begin(candidate.staged).unwrap();
    assert_eq!(world.current(), 2);
    let held = world.hold(short());
    held.until(|event| *event == Event::Recovered { counter: 2 });
    held.started();
    assert_eq!(world.ask(), "1");
    assert_eq!(
        world.ledger().failed().first().unwrap().word.as_str(),
        "interrupted"
    );
    assert_eq!(
        held.swap(2),
        Event::Refused {
            why: Why::FailedBefore
        }
    );
    let again = Request::Swap {
        counter: 2,
        is_again: true,
    };
    assert!(matches!(held.ask(again), Event::Swapped { counter: 2, .. }));
    assert_eq!(world.ask(), "2");
}

#[test]
fn what_cannot_be_swapped_is_refused_and_changes_nothing() {
    let world = World::new();
    world.first();
    world.generation(2, &world.service(&["2"]));
    let held = world.hold(short());
    held.started();
    world.generation(3, &world.service(&["3"]));
    fs::write(world.daemon().join("gen/0000000003/tree/bin/d"), "else").unwrap();
    for (counter, why) in [
        (1, Why::Current),
        (3, Why::Rejected),
        (9, Why::NoGeneration),
    ] {
        assert_eq!(held.swap(counter), Event::Refused { why });
    }
    let (ledger, aside) = (world.daemon().join("ledger"), world.path("aside"));
    fs::rename(&ledger, &aside).unwrap();
    fs::create_dir(&ledger).unwrap();
    assert_eq!(held.swap(2), Event::Refused { why: Why::Ledger });
    fs::remove_dir(&ledger).unwrap();
    fs::rename(&aside, &ledger).unwrap();
    let lock = machine::locks::take(&world.daemon(), machine::locks::Which::Place, "x", LONG);
    assert_eq!(held.swap(2), Event::Refused { why: Why::Busy });
    drop(lock);
    assert_eq!(world.ask(), "1");
    assert!(matches!(held.ask(Request::Status), Event::Running { counter: 1, pid } if runs(pid)));
    assert!(matches!(held.swap(2), Event::Swapped { .. }));
}

#[test]
fn hostile_clients_of_the_control_socket_disturb_nobody() {
    let world = World::new();
    world.first();
    world.generation(2, &world.service(&["2"]));
    let held = world.hold(short());
    held.started();
    let path = hold::keeper::control_path(&world.path("run"), "d");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let connect = || UnixStream::connect(&path).unwrap();
    for said in [
        &b"\0\0\0\n"[..],
        b"swap 2 3 4\n",
        &[b'x'; 10_000],
        b"swap 99999999999999999999\n",
    ] {
        let mut client = connect();
        let _ = client.write_all(said); // dropped in the middle
        client.set_read_timeout(Some(LONG)).unwrap();
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    }
    let crowd: Vec<_> = (0..50).map(|_| connect()).collect();
    assert_eq!(world.ask(), "1");
    drop(crowd);
    let began = Instant::now();
    while !matches!(held.try_swap(2), Some(Event::Swapped { .. })) {
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_second_swap_is_refused_while_one_runs() {
    let world = World::new();
    world.first();
    world.generation(2, &world.service(&["2"]));
    world.generation(3, &world.service(&["3"]));
    let held = world.hold(Times::default());
    held.started();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| held.swap(2));
        held.until(|event| *event == Event::Trial { counter: 2 });
        assert_eq!(held.swap(3), Event::Refused { why: Why::Busy });
        assert!(matches!(
            first.join().unwrap(),
            Event::Swapped { counter: 2, .. }
        ));
    });
}

#[test]
fn sockets_follow_the_version() {
    let world = World::new();
    world.first();
    let other = World::new().address;
    let service = world
        .service(&["2"])
        .replace(&world.address.to_string(), &other.to_string());
    world.generation(2, &service);
    let held = world.hold(short());
    held.started();
    let kept = TcpStream::connect(world.address).unwrap();
    drop(kept);
    assert!(matches!(held.swap(2), Event::Swapped { .. }));
    assert_eq!(request(other).unwrap(), "2");
    assert!(request(world.address).is_err());
    world.generation(
        3,
        &service.replace("argument 2", "argument 3\nargument exit"),
    );
    assert!(matches!(held.swap(3), Event::TakenBack { .. }));
    assert_eq!(request(other).unwrap(), "2");
}

#[test]
fn it_goes_back_to_the_version_before() {
    let world = World::new();
    world.first();
    world.generation(2, &world.service(&["2"]));
    let held = world.hold(short());
    held.started();
    let refused = held.ask(Request::Back);
    assert_eq!(refused, Event::Refused { why: Why::NoFormer });
    assert!(matches!(held.swap(2), Event::Swapped { .. }));
    let back = held.ask(Request::Back);
    assert!(
        matches!(back, Event::Swapped { counter: 1, .. }),
        "{back:?}"
    );
    assert_eq!((world.ask(), world.current()), ("1".to_owned(), 1));
    let ledger = world.ledger();
    assert_eq!((ledger.trial, ledger.previous), (None, None));
    assert_eq!(ledger.failed()[0].version.counter, 2);
    assert_eq!(
        held.ask(Request::Back),
        Event::Refused { why: Why::NoFormer }
    );
    // It does not come again by itself.
    let again = held.swap(2);
    assert!(matches!(again, Event::Refused { .. }), "{again:?}");
}

#[test]
fn a_version_before_that_does_not_start_leaves_what_runs() {
    let world = World::new();
    let broken = world.path("broken");
    let program = format!(
        "#!/bin/sh\ntest ! -e {} || exit 3\nexec {} 1\n",
        broken.display(),
        world.program.display()
    );
    world.generation_of(1, &world.service(&[]), program.as_bytes());
    world.confirm(1);
    world.generation(2, &world.service(&["2"]));
    let held = world.hold(short());
    held.started();
    assert!(matches!(held.swap(2), Event::Swapped { .. }));
    fs::write(&broken, "").unwrap();
    let back = held.ask(Request::Back);
    let is_taken_back = |event: &Event| {
        matches!(
            event,
            Event::TakenBack {
                counter: 1,
                why: Why::Exit(3),
                ..
            }
        )
    };
    assert!(is_taken_back(&back), "{back:?}");
    assert_eq!((world.ask(), world.current()), ("2".to_owned(), 2));
    // The way back stays, and may be gone once it is mended.
    fs::remove_file(&broken).unwrap();
    let back = held.ask(Request::Back);
    assert!(
        matches!(back, Event::Swapped { counter: 1, .. }),
        "{back:?}"
    );
    assert_eq!(world.ask(), "1");
}
