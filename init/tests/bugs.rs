//! A bug in the screens ends the screens. A program of its own, for the panic hook belongs to the
//! whole of one; and without the harness, which takes the hook back at its end and would wait for
//! the thread that never leaves it.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::panic;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use init::dispensable::{SCREENS, THREADS, stand_still};

/// Told when the thread that has it unwinds.
struct Unwound(mpsc::Sender<()>);

impl Drop for Unwound {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn panics(name: &str) -> mpsc::Receiver<()> {
    let (unwound, is_unwound) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(move || {
        let _unwound = Unwound(unwound);
        panic!("a picture that is too wide");
    });
    drop(thread.unwrap());
    is_unwound
}

/// Where panics abort, what follows the hook is the end of the program; here it is unwinding, which
/// can be seen.
fn main() {
    let (told, heard) = mpsc::channel();
    panic::set_hook(Box::new(move |info| {
        stand_still(info, |name, text| {
            told.send((name, text.to_owned())).unwrap();
        });
        eprintln!("{info}");
    }));
    let spared = panics(SCREENS);
    let (name, text) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(name, SCREENS);
    assert!(
        text.contains("too wide") && text.contains("the screens"),
        "{text}"
    );
    assert!(spared.recv_timeout(Duration::from_millis(200)).is_err());
    // One that the deploy needs.
    let needed = panics("network");
    assert_eq!(needed.recv_timeout(Duration::from_secs(60)), Ok(()));
    assert!(heard.try_recv().is_err());
    assert!(THREADS.iter().all(|(name, _)| *name != "network"));
    println!("test result: ok. 1 passed; 0 failed; 0 ignored");
}
