//! The events of a node's commands: as the golden file has them (`UPDATE_GOLDEN=1` writes it
//! again), and with the fields that the documents name, no more and no fewer.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use machine::health::Gate;
use spk_visor::command::content::event::{Event as ContentEvent, Plan as ContentPlan};
use spk_visor::command::content::sets::event::{Known, SetEvent};
use spk_visor::command::node::event::{Event, Phase, Step};
use spk_visor::exit::Exit;
use spk_visor::json;
use store::place::Place;
use store::shelf::Target;
use update::plan::Plan;
use wire::ledger::{Failed, Version, Word};
use wire::record::Slot;

/// The documents with tables of events, and the titles of their sections.
const DOCUMENTS: [(&str, &str); 4] = [
    ("update.md", "### 2.3 "),
    ("upgrade.md", "## 1. "),
    ("bundles.md", "## 6. "),
    ("node-packages.md", "## 6. "),
];

const VERSION: Version = Version {
    digest: [0x5f; 32],
    counter: 418,
};

/// Every event of a system, with all the fields that it may have.
fn system() -> Vec<Event> {
    let plan = Plan {
        slot: Slot::B,
        version: VERSION,
        image_bytes: 100,
        there_bytes: 1,
        reused_bytes: 33,
        fetched_bytes: 66,
        room_bytes: 200,
    };
    let failed = Failed {
        version: VERSION,
        tries: 3,
        word: Word::new("health").unwrap(),
    };
    let step = Step {
        phase: Phase::Write,
        done: 50,
        total: 100,
        rate: 2.5,
    };
    let text = || "text".to_owned();
    vec![
        Event::Checked {
            slot: Slot::A,
            version: "2026.11".to_owned(),
            counter: 417,
            trial: Some(2),
            is_known: false,
        },
        Event::Recovered {
            what: "fell",
            text: text(),
        },
        Event::Offered {
            name: "2026.12".to_owned(),
            version: VERSION,
            key: "RW".to_owned(),
            bytes: 100,
        },
        Event::Downloaded {
            staging: "/srv".into(),
            fetched: 60,
            kept: 40,
        },
        Event::Snapshot {
            staging: "/srv".into(),
            missing: Some(text()),
        },
        Event::Newest { counter: 417 },
        Event::Planned { from: 417, plan },
        Event::Fetching {
            slot: Slot::B,
            bytes: 100,
            resumes_at: 1,
        },
        Event::Progress(step),
        Event::Staged {
            slot: Slot::B,
            version: VERSION,
            fetched: 66,
            reused: 33,
        },
        Event::Armed {
            slot: Slot::B,
            version: VERSION,
        },
        Event::Loaded {
            slot: Slot::B,
            left: 2,
        },
        Event::NotLoaded { reason: text() },
        Event::Watchdog { text: text() },
        Event::Waiting {
            gate: Gate::Network,
            reason: text(),
        },
        Event::Stable { seconds: 120 },
        Event::Confirmed {
            slot: Slot::B,
            version: Some(VERSION),
        },
        Event::Failed {
            failed: Some(failed),
            is_stopped: true,
        },
        Event::Refused {
            exit: Exit::Busy,
            reason: text(),
        },
        Event::End { exit: Exit::Busy },
    ]
}

/// Likewise of content.
fn content() -> Vec<ContentEvent> {
    let place: Place = "site/www".parse().unwrap();
    let at = || place.clone();
    let text = || "text".to_owned();
    let target = Target::Generation(417);
    let path = || "/srv".into();
    let plan = ContentPlan {
        from: Some(417),
        version: VERSION,
        bytes: 100,
        there_bytes: 0,
        unpacked_bytes: 300,
        room_bytes: Some(1000),
    };
    vec![
        ContentEvent::Offered {
            place: at(),
            name: "2026.12".to_owned(),
            version: VERSION,
            key: "RW".to_owned(),
            bytes: 100,
        },
        ContentEvent::Newest {
            place: at(),
            counter: 417,
        },
        ContentEvent::Planned { place: at(), plan },
        ContentEvent::Fetching {
            place: at(),
            bytes: 100,
        },
        ContentEvent::Downloaded {
            place: at(),
            staging: path(),
            fetched: 100,
            kept: 0,
        },
        ContentEvent::Staged {
            place: at(),
            version: VERSION,
        },
        ContentEvent::Swapped {
            place: at(),
            version: VERSION,
            pause_ms: 12,
        },
        ContentEvent::Applied {
            place: at(),
            version: VERSION,
            path: path(),
        },
        ContentEvent::Seeded {
            place: at(),
            version: VERSION,
            path: path(),
        },
        ContentEvent::NotTaken {
            place: at(),
            exit: Exit::Unhealthy,
            reason: text(),
        },
        ContentEvent::Rejected {
            place: at(),
            target,
            word: "sha256",
            reason: text(),
        },
        ContentEvent::Opened {
            place: at(),
            target,
            version: VERSION,
            path: path(),
        },
        ContentEvent::Recovered {
            place: at(),
            what: "pointed",
            text: text(),
        },
        ContentEvent::RolledBack {
            place: at(),
            target,
            version: VERSION,
            pause_ms: Some(31),
        },
        ContentEvent::Collected {
            place: at(),
            counter: 416,
        },
    ]
}

/// Likewise of packages.
fn sets() -> Vec<SetEvent> {
    let number = 7;
    let text = || "text".to_owned();
    let members = || vec![("htop".to_owned(), 417)];
    vec![
        SetEvent::Made {
            number,
            members: members(),
        },
        SetEvent::Armed { number },
        SetEvent::Tried { number, left: 2 },
        SetEvent::Laid {
            number: Some(number),
            members: members(),
        },
        SetEvent::Kept { number },
        SetEvent::TakenBack {
            number,
            word: "not-kept".to_owned(),
        },
        SetEvent::RolledBack { number },
        SetEvent::Rejected {
            number,
            word: "sha256",
            reason: text(),
        },
        SetEvent::Recovered {
            what: "pointed",
            text: text(),
        },
        SetEvent::Collected { number },
        SetEvent::Known(Known {
            name: "htop".to_owned(),
            kept: Some(416),
            tried: Some(417),
            laid: Some(417),
            available: Some(418),
        }),
        SetEvent::NoneKnown,
    ]
}

fn lines() -> Vec<String> {
    let sets = sets().into_iter().map(ContentEvent::Set);
    let content = content().into_iter().chain(sets).map(Event::Content);
    let events = system().into_iter().chain(content);
    events
        .map(|event| json::node::event(&event, Duration::from_millis(1500)))
        .collect()
}

/// An event's name and its fields, those aside that every event has.
type Shape = (String, BTreeSet<String>);

/// That of a line, which has no colon in a string, and no list but one of packages.
fn shape(line: &str) -> Shape {
    let line = match (line.find('['), line.rfind(']')) {
        (Some(first), Some(last)) => &[&line[..first], &line[last + 1..]].concat(),
        _ => line,
    };
    let name = line.split('"').nth(3).unwrap().to_owned();
    let keys = line
        .split("\":")
        .map(|part| part.rsplit('"').next().unwrap());
    let keys: BTreeSet<_> = keys.map(str::to_owned).collect();
    let mut keys: Vec<_> = keys.into_iter().collect();
    let last = line.rsplit("\":").next().unwrap();
    // What follows the last colon is a value.
    let value = last.rsplit('"').next().unwrap();
    keys.retain(|key| key != value && !["event", "seconds"].contains(&&**key));
    (name, keys.into_iter().collect())
}

/// The rows of a section's table of events.
fn documented(document: &str, title: &str) -> Vec<Shape> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let text = fs::read_to_string(path.join(document)).unwrap();
    let section = text.split(&format!("\n{title}")).nth(1).unwrap();
    let rest = section.split("\n| event | fields |").nth(1);
    let Some(rest) = rest else {
        return Vec::new();
    };
    let rows = rest
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let words = |cell: &str| {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let shapes = rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let name = words(cells[0]);
        assert!(!name.is_empty(), "{row}");
        (name, words(cells[1]).into_iter().collect::<BTreeSet<_>>())
    });
    // A row with two names says where they are described.
    let shapes = shapes.filter(|(names, _)| names.len() == 1);
    shapes
        .map(|(names, fields)| (names.concat(), fields))
        .collect()
}

#[test]
fn every_event_is_the_one_on_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events.jsonl");
    let text = lines().join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let on_file = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, on_file, "UPDATE_GOLDEN=1 writes it again");
}

#[test]
fn documents_and_events_have_the_same_fields() {
    let rows = DOCUMENTS.map(|(document, title)| documented(document, title));
    let rows: BTreeSet<Shape> = rows.concat().into_iter().collect();
    let emitted: BTreeSet<Shape> = lines().iter().map(|line| shape(line)).collect();
    let hidden: Vec<_> = emitted.difference(&rows).collect();
    assert!(hidden.is_empty(), "no document has {hidden:#?}");
    let gone: Vec<_> = rows.difference(&emitted).collect();
    // `status` prints objects, which have no row.
    let objects = ["content", "packages"];
    let gone: Vec<_> = gone
        .iter()
        .filter(|(name, _)| !objects.contains(&&**name))
        .collect();
    assert!(gone.is_empty(), "no event has {gone:#?}");
}
