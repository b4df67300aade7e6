//! Donors that listen, listen slowly, never listen, and go away.

use super::{LINES_MAX, Report, Reports, Teller};
use bundle::event::Event;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};
use wire::message::{LINE_MAX, Level, Next};
use wire::stage::Stage;

/// Longer than any test may take.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Hears everything.
struct Listening(Sender<Report>);

impl Teller for Listening {
    fn tell(&mut self, report: &Report) -> io::Result<()> {
        self.0.send(report.clone()).map_err(io::Error::other)
    }
}

/// Takes one report at each order; then, or when it is forgotten, it breaks.
struct Stuck {
    entered: SyncSender<Report>,
    go_on: Receiver<()>,
}

impl Teller for Stuck {
    fn tell(&mut self, report: &Report) -> io::Result<()> {
        self.entered
            .send(report.clone())
            .map_err(io::Error::other)?;
        self.go_on.recv().map_err(io::Error::other)
    }
}

fn stuck() -> (Box<dyn Teller>, Receiver<Report>, Sender<()>) {
    let (entered, has_entered) = sync_channel(1);
    let (let_go, go_on) = channel();
    (Box::new(Stuck { entered, go_on }), has_entered, let_go)
}

fn stage(stage: Stage) -> Event {
    Event::Stage {
        stage,
        facts: "disk=/dev/vda".to_owned(),
    }
}

#[test]
fn everything_reaches_a_donor_that_listens_and_the_last_word_comes_last() {
    let (reports, (to, heard)) = (Reports::default(), channel());
    reports.connect(Box::new(Listening(to))).unwrap();
    reports.event(&stage(Stage::Planned));
    reports.event(&Event::Warning("less swap".to_owned()));
    reports.wanted(Next { file: 3, chunk: 9 });
    reports.event(&Event::Received {
        bytes: 7,
        unpacked_bytes: 70,
    });
    assert!(reports.last_word(Report::Installed([5; 32]), FOR_EVER));
    let heard: Vec<Report> = heard.iter().collect();
    let lines: Vec<&Report> = heard
        .iter()
        .filter(|report| matches!(report, Report::Line(..)))
        .collect();
    let planned = "smv planned: disk=/dev/vda".to_owned();
    assert_eq!(
        lines,
        [
            &Report::Line(Level::Info, planned),
            &Report::Line(Level::Warning, "less swap".to_owned())
        ]
    );
    let Some([Report::Progress(progress), Report::Installed(digest)]) = heard.last_chunk() else {
        panic!("{heard:?}");
    };
    assert_eq!(
        (progress.stage, progress.next.file, progress.next.chunk),
        (Stage::Planned, 3, 9)
    );
    assert_eq!((progress.received_bytes, progress.unpacked_bytes), (7, 70));
    assert_eq!(*digest, [5; 32]);
}

#[test]
fn a_donor_that_never_reads_neither_delays_a_deploy_nor_fills_its_memory() {
    let (reports, (teller, entered, let_go)) = (Reports::default(), stuck());
    reports.connect(teller).unwrap();
    entered.recv().unwrap(); // now it is stuck
    let began = Instant::now();
    for number in 0..100_000_u32 {
        reports.wanted(Next {
            file: 1,
            chunk: number,
        });
        reports.line(Level::Info, &"x".repeat(5 * LINE_MAX));
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(!reports.last_word(Report::Failed("why".to_owned()), Duration::from_millis(20)));
    let state = reports.shared.lock();
    assert_eq!(state.lines.len(), LINES_MAX);
    assert!(state.lines.iter().all(|(_, text)| text.len() <= LINE_MAX));
    assert_eq!(state.now.next.chunk, 99_999);
    drop((state, let_go));
}

#[test]
fn what_waits_for_a_slow_donor_is_one_progress_and_the_last_word() {
    let (reports, (teller, entered, let_go)) = (Reports::default(), stuck());
    reports.connect(teller).unwrap();
    assert!(matches!(entered.recv().unwrap(), Report::Progress(_)));
    for number in 0..1000 {
        reports.wanted(Next {
            file: 0,
            chunk: number,
        });
    }
    let listening = std::thread::spawn(move || {
        let mut heard = Vec::new();
        while let_go.send(()).is_ok() {
            let Ok(report) = entered.recv() else { break };
            heard.push(report);
        }
        heard
    });
    assert!(reports.last_word(Report::Failed("why".to_owned()), FOR_EVER));
    drop(reports);
    let heard = listening.join().unwrap();
    let [Report::Progress(progress), Report::Failed(reason)] = heard.as_slice() else {
        panic!("{heard:?}");
    };
    assert_eq!((progress.next.chunk, reason.as_str()), (999, "why"));
}

#[test]
fn after_a_break_the_next_connection_hears_where_the_deploy_stands() {
    let (reports, (teller, entered, let_go)) = (Reports::default(), stuck());
    reports.connect(teller).unwrap();
    entered.recv().unwrap();
    drop(let_go); // breaks while it writes
    reports.disconnect();
    reports.wanted(Next { file: 2, chunk: 5 });
    reports.line(Level::Warning, "the connection broke");
    assert!(
        !reports.last_word(Report::Installed([1; 32]), FOR_EVER),
        "nobody is connected"
    );
    let (to, heard) = channel();
    reports.connect(Box::new(Listening(to))).unwrap();
    let heard: Vec<Report> = heard.iter().collect();
    let [
        Report::Line(Level::Warning, _),
        Report::Progress(progress),
        Report::Installed(_),
    ] = heard.as_slice()
    else {
        panic!("{heard:?}");
    };
    assert_eq!((progress.next.file, progress.next.chunk), (2, 5));
    let nobody_waits = Duration::ZERO;
    assert!(
        reports.last_word(Report::Installed([1; 32]), nobody_waits),
        "it was sent over this connection already"
    );
}

#[test]
fn a_last_word_that_was_cut_off_is_said_again() {
    let (reports, (teller, entered, let_go)) = (Reports::default(), stuck());
    reports.connect(teller).unwrap();
    entered.recv().unwrap();
    let breaking = std::thread::spawn(move || {
        let_go.send(()).unwrap(); // the progress
        assert_eq!(entered.recv().unwrap(), Report::Installed([2; 32]));
        drop(let_go);
    });
    assert!(!reports.last_word(Report::Installed([2; 32]), FOR_EVER));
    breaking.join().unwrap();
    let (to, heard) = channel();
    reports.connect(Box::new(Listening(to))).unwrap();
    assert!(
        heard
            .iter()
            .any(|report| report == Report::Installed([2; 32]))
    );
}
