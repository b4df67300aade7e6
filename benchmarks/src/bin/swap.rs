//! How long a client waits while the version of a daemon changes: `swap DAEMON [ROUNDS]`, in turn
//! held by our own `hold` in queue mode, and stopped and started as an init script does it, by
//! start-stop-daemon(8). One client asks without a pause and asks again a millisecond after it was
//! refused. Medians of the longest time between two answers, in milliseconds.

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use benchmarks::figure::median;
use bundle::trust::Trust;
use hold::client;
use hold::event::{Event, Request};
use hold::keeper::{Settings, Tell, keep};
use hold::place::Place;
use hold::times::Times;
use store::place::Place as Name;
use sys::eventfd::EventFd;
use sys::handover::Reserved;
use wire::manifest::Role;

#[path = "../../../hold/tests/world/generation.rs"]
mod generation;

type Outcome<T> = Result<T, Box<dyn Error>>;

const AGAIN: Duration = Duration::from_millis(1);
/// Before and after each change, so that the client is at work.
const AROUND: Duration = Duration::from_millis(100);

struct Silent;

impl Tell for Silent {
    fn tell(&mut self, _: &Event) {}

    fn fail(&mut self, error: &dyn Error) {
        eprintln!("swap: {error}");
    }
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("swap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let daemon = words.next().ok_or("usage: swap DAEMON [ROUNDS]")?;
    let rounds = words.next().map_or(Ok(20), |word| word.parse::<u64>())?;
    let daemon = fs::canonicalize(daemon)?;
    let dir = PathBuf::from(format!("/tmp/spk-visor-bench-swap.{}", std::process::id()));
    fs::create_dir(&dir)?;
    let measured = held(&dir, &daemon, rounds).and_then(|ours| {
        let plain = restarted(&dir, &daemon, rounds)?;
        Ok((median(&ours), median(&plain)))
    });
    fs::remove_dir_all(&dir)?;
    let (ours, plain) = measured?;
    println!(
        "swap=queue rounds={rounds} ours_ms={ours:.1} plain_ms={plain:.1} ratio={:.3}",
        ours / plain
    );
    Ok(())
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn ask(address: SocketAddr) -> io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The longest time between two answers while `change` is made, in milliseconds.
fn pause(address: SocketAddr, change: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            while !is_done.load(Ordering::SeqCst) {
                if ask(address).is_err() {
                    thread::sleep(AGAIN);
                    continue;
                }
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            longest
        });
        thread::sleep(AROUND);
        let changed = change();
        thread::sleep(AROUND);
        is_done.store(true, Ordering::SeqCst);
        let longest = client.join().expect("the client does not panic");
        changed.map(|()| longest.as_secs_f64() * 1e3)
    })
}

fn until_up(address: SocketAddr) {
    while ask(address).is_err() {
        thread::sleep(AGAIN);
    }
}

fn held(dir: &Path, daemon: &Path, rounds: u64) -> Outcome<Vec<f64>> {
    let address = free()?;
    let program = fs::read(daemon)?;
    let make = |counter: u64| {
        let service = format!(
            "smechvisor-service 1\nprogram d\nuser root\nlisten http tcp {address}\n\
             ready notify\nhealth http://{address}/health\nselftest -\nmode queue\nend\n"
        );
        generation::make(dir, ("d", counter), &service, ("d", &program))
    };
    make(1)?;
    symlink("gen/0000000001", dir.join("current"))?;
    let settings = Settings {
        name: "d".to_owned(),
        place: Place::signed(
            dir.to_owned(),
            Name::new(Role::Daemon, "d")?,
            dir.join("seed"),
            Trust::default(),
        ),
        run: dir.join("run"),
        root: "/".into(),
        times: Times {
            healthy: AROUND,
            ..Times::default()
        },
    };
    let (stop, reserved) = (EventFd::new()?, Reserved::new()?);
    thread::scope(|scope| {
        let keeper = scope.spawn(|| keep(&settings, &reserved, &stop, &mut Silent));
        until_up(address);
        let swap = |counter| {
            let request = Request::Swap {
                counter,
                is_again: false,
            };
            match client::ask(&settings.run, "d", request, &mut |_| {})? {
                Event::Swapped { .. } => Ok(()),
                other => Err(other.to_string().into()),
            }
        };
        let counters = (1..=rounds).map(|round| round + 1);
        let pauses = counters
            .map(|counter| {
                make(counter)?;
                pause(address, || swap(counter))
            })
            .collect();
        stop.notify();
        keeper.join().expect("the keeper does not panic")?;
        pauses
    })
}

fn restarted(dir: &Path, daemon: &Path, rounds: u64) -> Outcome<Vec<f64>> {
    let address = free()?;
    let pidfile = dir.join("pid");
    let run = |words: &[&str], behind: &[&str]| -> Outcome<()> {
        let mut command = Command::new("start-stop-daemon");
        command
            .args(words)
            .arg("--quiet")
            .arg("--pidfile")
            .arg(&pidfile);
        command.arg("--exec").arg(daemon).args(behind);
        match command.status()?.success() {
            true => Ok(()),
            false => Err("start-stop-daemon failed".into()),
        }
    };
    let listen = ["--", "--listen", &address.to_string()];
    let start = || run(&["--start", "--background", "--make-pidfile"], &listen);
    let stop = || run(&["--stop", "--retry", "TERM/5", "--remove-pidfile"], &[]);
    start()?;
    until_up(address);
    let rounds = 0..rounds;
    let restart = || stop().and_then(|()| start());
    let pauses = rounds.map(|_| pause(address, restart)).collect();
    stop()?;
    pauses
}
