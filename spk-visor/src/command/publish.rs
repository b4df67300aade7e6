//! `publish`: releases laid out for a web server while a terminal watches.

use std::time::Instant;

use donor::rate::Rate;
use pack::bundle_file::SoFar;
use pack::publish::{self, Publish, PublishError, Published};
use wire::human::{percent, size};

use crate::progress::Progress;
use crate::screen::Screen;

/// Publishes or promotes.
///
/// # Errors
/// See [`PublishError`].
pub fn run(options: &Publish) -> Result<(), PublishError> {
    let mut screen = Screen::stdout();
    let mut rate = Rate::start(Instant::now());
    let published = publish::publish(options, &mut |so_far| {
        let now = Instant::now();
        let rate = rate.update(now, so_far.done_bytes);
        screen.show(now, |width| vec![progress(so_far, rate).line(width)]);
    });
    screen.clear();
    for one in &published? {
        screen.say(&line(one));
    }
    Ok(())
}

fn line(published: &Published) -> String {
    let facts = &published.facts;
    let seen = match published.is_current {
        true => "nodes see it",
        false => "nodes see it when it is promoted",
    };
    format!(
        "{}: {} {} version {} counter {}, {}, {}; {seen}",
        published.name,
        facts.role,
        facts.product,
        facts.version,
        facts.counter,
        size(facts.size_bytes),
        facts.voucher,
    )
}

fn progress(so_far: SoFar, rate: f64) -> Progress {
    Progress {
        doing: so_far.doing.to_owned(),
        done: so_far.done_bytes,
        total: Some(so_far.total_bytes),
        percent: percent(so_far.done_bytes, so_far.total_bytes),
        rate,
    }
}
