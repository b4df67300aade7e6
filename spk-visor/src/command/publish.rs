//! `publish`: releases laid out for a web server while a terminal watches.

use pack::publish::{self, PublishError, Published};
use wire::human::size;

use super::bundle::Watcher;
use crate::cli::publish::Publishing;
use crate::exit::Exit;
use crate::json;

/// Publishes or promotes.
///
/// # Errors
/// See [`PublishError`].
pub fn run(publishing: &Publishing) -> Result<(), PublishError> {
    let Publishing { options, is_json } = publishing;
    let mut watcher = Watcher::new(*is_json);
    let published = publish::publish(options, &mut |so_far| watcher.see(so_far));
    if let Ok(published) = &published {
        watcher.screen.clear();
        for one in published {
            watcher.screen.say(&match is_json {
                true => json::bundle::published(one),
                false => line(one),
            });
        }
    }
    watcher.end(
        published
            .as_ref()
            .err()
            .map(|error| (Exit::from(error), error)),
    );
    published.map(drop)
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
