//! Says on standard error how far long work has come: a line every few seconds, none for work that
//! is done before.

use std::time::{Duration, Instant};

use wire::human::size;

const EVERY: Duration = Duration::from_secs(5);

/// One piece of work.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    /// 0 when it is not known.
    total_bytes: u64,
    said: Instant,
}

impl Progress {
    /// `what` is what is being done, in the -ing form; `total_bytes` is 0 when it is not known.
    #[must_use]
    pub fn new(what: &'static str, total_bytes: u64) -> Self {
        Self {
            what,
            total_bytes,
            said: Instant::now(),
        }
    }

    /// So many bytes are done.
    pub fn at(&mut self, done_bytes: u64) {
        if self.said.elapsed() < EVERY {
            return;
        }
        self.said = Instant::now();
        eprintln!("media: {}", self.line(done_bytes));
    }

    fn line(&self, done_bytes: u64) -> String {
        let (what, done) = (self.what, size(done_bytes));
        match self.total_bytes {
            0 => format!("{what}: {done}"),
            total => {
                let percent = u128::from(done_bytes) * 100 / u128::from(total);
                format!("{what}: {done} of {}, {percent} %", size(total))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn lines_say_what_is_known() {
        assert_eq!(
            Progress::new("joining", 0).line(3 << 20),
            "joining: 3.0 MiB"
        );
        let line = Progress::new("compressing", 12 << 20).line(3 << 20);
        assert_eq!(line, "compressing: 3.0 MiB of 12.0 MiB, 25 %");
    }
}
