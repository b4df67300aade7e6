//! Receive throughput of `netstack` against the kernel's own TCP: same sender, same veth pair,
//! alternating.
//!
//! `netstack_rx` (as root) makes two network namespaces and a veth pair, measures with 64 KiB
//! frames (TSO), with 1500-byte frames that the receiving port merges (GRO, as the driver of nearly
//! every card does) and with ones that it does not, removes the namespaces and prints the ratios.
//! CPU is the receiving process's own, user and system; beside it stands the sending one's. The
//! third one in turn is our stream with a session in it: paired, sealed by the sender, opened by
//! the receiver.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio, exit};
use std::time::{Duration, Instant};

use benchmarks::figure::median;
use netstack::{Addressing, Config, Fixed, InterfaceFilter, Stack};
use rustix::time::{ClockId, clock_gettime};
use session::{Credential, pair_donor, pair_target};
use wire::STREAM_PORT;
use wire::code::Code;
use wire::handshake::{Info, M1_LEN};
use wire::message::{Message, Next};
use wire::secret::Secret;

type Outcome<T> = Result<T, Box<dyn Error>>;

const SENDER: &str = "10.77.0.1";
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// The size of one read and of one write.
const CHUNK_BYTES: usize = 256 << 10;
const ROUNDS: usize = 3;

fn main() {
    if let Err(error) = run() {
        eprintln!("netstack_rx: {error}");
        exit(1);
    }
}

fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => compare(4 << 30),
        ["--bytes", bytes] => compare(bytes.parse()?),
        ["receive", "kernel"] => receive_kernel(),
        ["receive", "ours"] => receive_ours(),
        ["receive", "sealed"] => receive_sealed(),
        ["send", "kernel" | "ours", to, bytes] => send(to.parse()?, bytes.parse()?),
        ["send", "sealed", to, bytes] => send_sealed(to.parse()?, bytes.parse()?),
        _ => Err("usage: netstack_rx [--bytes N]".into()),
    }
}

/// Two namespaces joined by a veth pair; gone when dropped.
struct Wire {
    receiver: String,
    sender: String,
}

impl Wire {
    fn new() -> Outcome<Self> {
        let id = std::process::id();
        let wire = Self {
            receiver: format!("smvrx{id}"),
            sender: format!("smvtx{id}"),
        };
        let (rx, tx) = (wire.receiver.as_str(), wire.sender.as_str());
        ip(&["netns", "add", rx])?;
        ip(&["netns", "add", tx])?;
        ip(&[
            "-n", rx, "link", "add", "rx0", "type", "veth", "peer", "name", "tx0", "netns", tx,
        ])?;
        ip(&[
            "-n",
            tx,
            "addr",
            "add",
            &format!("{SENDER}/24"),
            "dev",
            "tx0",
        ])?;
        ip(&["-n", tx, "link", "set", "tx0", "up"])?;
        ip(&["-n", rx, "link", "set", "rx0", "up"])?;
        Ok(wire)
    }

    /// The sender cuts its frames itself, one by one; a veth port merges none by default.
    fn small_frames(&self) -> Outcome<()> {
        offload(&self.sender, "tx0", &["tso", "off", "gso", "off"])
    }

    fn merge(&self, is_on: bool) -> Outcome<()> {
        offload(
            &self.receiver,
            "rx0",
            &["gro", if is_on { "on" } else { "off" }],
        )
    }

    /// The kernel's own address is there only while it is measured.
    fn kernel_address(&self, action: &str) -> Outcome<()> {
        ip(&[
            "-n",
            &self.receiver,
            "addr",
            action,
            &format!("{KERNEL}/24"),
            "dev",
            "rx0",
        ])
    }

    fn start(&self, namespace: &str, arguments: &[&str]) -> Outcome<Child> {
        let own = std::env::current_exe()?;
        // Others may be at work on the machine: both ends go before them, in both measurements
        // alike.
        let child = Command::new("nice")
            .args(["-n", "-20", "ip", "netns", "exec", namespace])
            .arg(own)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    fn measure(&self, who: &str, address: Ipv4Addr, bytes: u64) -> Outcome<Measured> {
        let mut receiver = self.start(&self.receiver, &["receive", who])?;
        let mut lines = BufReader::new(receiver.stdout.take().ok_or("no output")?).lines();
        lines.next().ok_or("the receiver did not start")??;
        let sender = self.start(
            &self.sender,
            &["send", who, &address.to_string(), &bytes.to_string()],
        )?;
        let line = lines.next().ok_or("the receiver gave up")??;
        let fields: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let (sent, received) = (sender.wait_with_output()?, receiver.wait()?);
        match fields[..] {
            [seconds, cpu_seconds, got] if sent.status.success() && received.success() => {
                assert_eq!(got, bytes as f64, "bytes are missing");
                let sender_cpu_seconds: f64 = String::from_utf8(sent.stdout)?.trim().parse()?;
                let gb = got * 1e-9;
                Ok(Measured {
                    gbit_per_second: gb * 8.0 / seconds,
                    cpu_per_gb: cpu_seconds / gb,
                    sender_cpu_per_gb: sender_cpu_seconds / gb,
                })
            }
            _ => Err(format!("{who} failed: {line}").into()),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.receiver, &self.sender] {
            if let Err(error) = ip(&["netns", "del", namespace]) {
                eprintln!("netstack_rx: {error}");
            }
        }
    }
}

fn offload(namespace: &str, interface: &str, features: &[&str]) -> Outcome<()> {
    let words = ["netns", "exec", namespace, "ethtool", "-K", interface];
    ip(&[&words[..], features].concat())
}

fn ip(arguments: &[&str]) -> Outcome<()> {
    let status = Command::new("ip").args(arguments).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("ip {} failed", arguments.join(" ")).into())
    }
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    gbit_per_second: f64,
    cpu_per_gb: f64,
    sender_cpu_per_gb: f64,
}

fn compare(bytes: u64) -> Outcome<()> {
    let wire = Wire::new()?;
    compare_frames(&wire, "65536-byte frames", bytes)?;
    wire.small_frames()?;
    wire.merge(true)?;
    compare_frames(&wire, "1500-byte frames", bytes)?;
    wire.merge(false)?;
    compare_frames(&wire, "1500-byte frames without GRO", bytes)
}

fn compare_frames(wire: &Wire, title: &str, bytes: u64) -> Outcome<()> {
    let (mut kernel, mut ours, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        wire.kernel_address("add")?;
        kernel.push(wire.measure("kernel", KERNEL, bytes)?);
        wire.kernel_address("del")?;
        ours.push(wire.measure("ours", OURS, bytes)?);
        sealed.push(wire.measure("sealed", OURS, bytes)?);
    }
    let (kernel, ours, sealed) = (middle(&kernel), middle(&ours), middle(&sealed));
    println!("{title}, {bytes} bytes, median of {ROUNDS}:");
    for (name, m) in [("kernel", kernel), ("netstack", ours), ("sealed", sealed)] {
        println!(
            "  {name:9} {:6.2} Gbit/s  {:6.3} CPU s/GB, sender {:6.3}",
            m.gbit_per_second, m.cpu_per_gb, m.sender_cpu_per_gb
        );
    }
    println!(
        "  ratio     {:6.2} (goal: at least 1.0)  {:6.2} (goal: at most 2.0)",
        ours.gbit_per_second / kernel.gbit_per_second,
        ours.cpu_per_gb / kernel.cpu_per_gb
    );
    println!(
        "  sealed, of netstack's: {:.2} (goal: at least 0.5)",
        sealed.gbit_per_second / ours.gbit_per_second
    );
    Ok(())
}

fn middle(all: &[Measured]) -> Measured {
    let of = |figure: fn(&Measured) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
    Measured {
        gbit_per_second: of(|m| m.gbit_per_second),
        cpu_per_gb: of(|m| m.cpu_per_gb),
        sender_cpu_per_gb: of(|m| m.sender_cpu_per_gb),
    }
}

fn cpu_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 * 1e-9
}

fn ready() -> io::Result<()> {
    println!("ready");
    io::stdout().flush()
}

/// From the first bytes to the last, as a receiver sees it.
fn drain(stream: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut bytes = stream.read(&mut buffer)?;
    let (begun, cpu_before) = (Instant::now(), cpu_seconds());
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            len => bytes += len,
        }
    }
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    println!("{seconds} {cpu} {bytes}");
    io::stdout().flush()
}

fn receive_kernel() -> Outcome<()> {
    let listener = TcpListener::bind((KERNEL, STREAM_PORT))?;
    ready()?;
    let (mut stream, _) = listener.accept()?;
    drain(&mut stream)?;
    Ok(())
}

fn open_stack() -> Outcome<Stack> {
    let config = Config {
        addressing: Addressing {
            on: InterfaceFilter::First,
            ipv4: Some(Fixed {
                address: OURS,
                prefix_len: 24,
                gateway: None,
            }),
            ipv6: None,
        },
        ..Config::default()
    };
    Ok(Stack::open(config, |_| ())?)
}

fn receive_ours() -> Outcome<()> {
    let stack = open_stack()?;
    ready()?;
    let mut stream = stack.accept(&code()?, 4)?;
    drain(&mut stream)?;
    stream.finish()?;
    Ok(())
}

fn code() -> Outcome<Code> {
    Ok(Code::parse("e13gts2")?)
}

fn credential() -> Outcome<Credential> {
    Ok(Credential::Secret(Secret::parse("9D4T-X2WM-7")?))
}

/// As `drain`, from the first chunk after the pairing to the last.
fn receive_sealed() -> Outcome<()> {
    let stack = open_stack()?;
    ready()?;
    let stream = stack.accept(&code()?, M1_LEN)?;
    let writer = stream.writer();
    let info = Info::parse(b"smv=0.1.0")?;
    let (mut opener, _sealer) = pair_target(stream, writer, &credential()?, &code()?, &info)?;
    let (mut buffer, mut bytes, mut is_over) = (Vec::new(), 0, false);
    let (begun, cpu_before) = (Instant::now(), cpu_seconds());
    while !is_over {
        match opener.next(&mut buffer)? {
            Message::Data {
                bytes: chunk,
                is_last,
                ..
            } => (bytes, is_over) = (bytes + chunk.len(), is_last),
            other => return Err(format!("{} in a stream of data", other.kind()).into()),
        }
    }
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    println!("{seconds} {cpu} {bytes}");
    io::stdout().flush()?;
    opener.into_inner().finish()?;
    Ok(())
}

fn connect(to: Ipv4Addr) -> Outcome<TcpStream> {
    let address = SocketAddr::from((to, STREAM_PORT));
    let given_up = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < given_up => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until the receiver has everything, and says what sending cost.
fn end(mut stream: &TcpStream) -> Outcome<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    println!("{}", cpu_seconds());
    Ok(())
}

fn send(to: Ipv4Addr, bytes: u64) -> Outcome<()> {
    let mut stream = connect(to)?;
    let chunk = vec![0x5a; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(CHUNK_BYTES as u64);
        stream.write_all(&chunk[..len as usize])?;
        left -= len;
    }
    end(&stream)
}

fn send_sealed(to: Ipv4Addr, bytes: u64) -> Outcome<()> {
    const CHUNK: usize = 1 << 20;
    let stream = connect(to)?;
    // As `spk-visor deploy` does.
    stream.set_nodelay(true)?;
    let (_opener, mut sealer, _) =
        pair_donor(stream.try_clone()?, &stream, &credential()?, &code()?)?;
    let chunk = vec![0x5a; CHUNK];
    let (mut left, mut place) = (bytes, Next::default());
    while left > 0 {
        let len = left.min(CHUNK as u64);
        left -= len;
        sealer.send(&Message::Data {
            place,
            is_last: left == 0,
            bytes: &chunk[..len as usize],
        })?;
        place.chunk += 1;
    }
    end(&stream)
}
