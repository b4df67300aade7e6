//! An `/init` that does nothing but say so: the time to its line is what the kernel alone needs.

use std::io::{Write, stdout};
use std::thread::park;

fn main() {
    // The kernel has opened /dev/console for us. Nobody reads the reason if it could not; the other
    // side gives up waiting.
    let _ = writeln!(stdout(), "nothing: started");
    loop {
        park();
    }
}
