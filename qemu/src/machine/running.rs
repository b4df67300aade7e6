//! A machine that runs: its QEMU process, its console, its control socket.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Doing, HarnessError, Result};
use crate::eyes::console::Console;
use crate::eyes::rendering::{self, Font};
use crate::eyes::screen::ScreenText;
use crate::eyes::vga;
use crate::machine::Machine;
use crate::machine::accel::Accel;
use crate::machine::qmp::Qmp;
use crate::machine::variables::Variables;
use crate::process::{Process, readable};

/// From starting QEMU to its sockets being there.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Ended (by process id) when dropped.
#[derive(Debug)]
pub struct Running {
    /// Its serial console.
    pub console: Console,
    qmp: Qmp,
    process: Process,
    machine: Machine,
    font: Option<Font>,
}

impl Running {
    /// Starts `machine`. Its sockets and logs are made in the current directory. `live` copies its
    /// console to standard output behind that prefix.
    ///
    /// # Errors
    /// QEMU is not there or refused an argument: its words are in the error.
    pub fn start(machine: &Machine, accel: Accel, live: Option<String>) -> Result<Self> {
        if let Some([_, template]) = machine.firmware.ovmf() {
            let vars = machine.file("vars.fd");
            if !vars.exists() {
                std::fs::copy(template, &vars).doing("copying", template)?;
            }
        }
        let console_socket = listen(&machine.file("console.sock"))?;
        let qmp_socket = listen(&machine.file("qmp.sock"))?;
        let log = machine.file("qemu.log");
        let mut command = Command::new(&machine.qemu);
        command.args(machine.arguments(accel));
        let process = Process::spawn("qemu", &mut command, &log)?;
        let stream = connected(&console_socket, &process, &log)?;
        let console = Console::listen(stream, &fresh(machine), live)?;
        let mut qmp = Qmp::greet(connected(&qmp_socket, &process, &log)?)?;
        for (number, nic) in machine.nics.iter().enumerate() {
            if !nic.cabled {
                qmp.execute(
                    "set_link",
                    json!({ "name": format!("nic{number}"), "up": false }),
                )?;
            }
        }
        qmp.execute("cont", json!({}))?;
        Ok(Self {
            console,
            qmp,
            process,
            machine: machine.clone(),
            font: None,
        })
    }

    /// The firmware's variables as they are now.
    ///
    /// # Errors
    /// The machine has none.
    pub fn variables(&self) -> Result<Variables> {
        Variables::read(&self.machine.file("vars.fd"))
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn reset(&mut self) -> Result<()> {
        self.qmp.execute("system_reset", json!({})).map(drop)
    }

    /// From now on a virtio disk finishes no write, or again each.
    ///
    /// # Errors
    /// There is no such disk.
    pub fn hold_writes(&mut self, disk: usize, is_held: bool) -> Result<()> {
        // As good as nothing: one byte a second.
        let bytes = u8::from(is_held);
        let limits = json!({
            "id": format!("/machine/peripheral/drive{disk}/virtio-backend"),
            "bps": 0, "bps_rd": 0, "bps_wr": bytes, "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.qmp.execute("block_set_io_throttle", limits).map(drop)
    }

    /// Plugs or unplugs the cable of one network card.
    ///
    /// # Errors
    /// There is no such card.
    pub fn set_link(&mut self, nic: usize, up: bool) -> Result<()> {
        self.qmp
            .execute("set_link", json!({ "name": format!("nic{nic}"), "up": up }))
            .map(drop)
    }

    /// Presses keys together at the graphical console, by QEMU's names for them. Those before are
    /// let go first: QEMU has a queue.
    ///
    /// # Errors
    /// QEMU knows no such key.
    pub fn send_keys(&mut self, names: &[String]) -> Result<()> {
        const HELD_MS: u32 = 20;
        let keys: Vec<_> = names
            .iter()
            .map(|name| json!({ "type": "qcode", "data": name }))
            .collect();
        self.qmp
            .execute("send-key", json!({ "keys": keys, "hold-time": HELD_MS }))
            .map(drop)
    }

    /// From now on the screen is a frame buffer on which Linux, which has booted, draws characters.
    ///
    /// # Errors
    /// QEMU is gone, or nothing in the machine's memory is Linux's font.
    pub fn read_frame_buffer(&mut self) -> Result<()> {
        let file = self.machine.file("memory");
        let name = file.display().to_string();
        let len = u64::from(self.machine.memory_mib) << 20;
        self.qmp.execute(
            "pmemsave",
            json!({ "val": 0, "size": len, "filename": name }),
        )?;
        let memory = std::fs::read(&file).doing("reading", &name)?;
        std::fs::remove_file(&file).doing("removing", &name)?;
        let font = Font::of_linux(&memory);
        let missing = || HarnessError::unexpected(name, "Linux's font", "none");
        self.font = Some(font.ok_or_else(missing)?);
        Ok(())
    }

    /// The text on the machine's screen.
    ///
    /// # Errors
    /// QEMU is gone, or answered something else.
    pub fn screen_text(&mut self) -> Result<ScreenText> {
        let Some(font) = self.font.clone() else {
            return self.vga_text();
        };
        let file = self.machine.file("ppm");
        let name = file.display().to_string();
        self.qmp
            .execute("screendump", json!({ "filename": name }))?;
        let picture = std::fs::read(&file).doing("reading", &name)?;
        let text = rendering::text(&picture, &font);
        text.ok_or_else(|| HarnessError::unexpected(name, "a picture", "something else"))
    }

    /// The text of the VGA card in its text mode. The machine stands still meanwhile: the card's
    /// registers are read through an index that the guest's driver uses too.
    ///
    /// # Errors
    /// QEMU is gone, or answered something else.
    fn vga_text(&mut self) -> Result<ScreenText> {
        self.qmp.execute("stop", json!({}))?;
        let text = self.vga_text_of_stopped();
        self.qmp.execute("cont", json!({}))?;
        text
    }

    fn vga_text_of_stopped(&mut self) -> Result<ScreenText> {
        let index = self.port(&format!("{:#x}", vga::CRTC))?;
        let mut start = 0;
        for register in vga::START {
            let byte = self.port(&format!("{:#x}.{register:#x}", vga::CRTC))?;
            start = start << 8 | usize::from(byte);
        }
        self.monitor(&format!("o /b {:#x} {index:#x}", vga::CRTC))?;
        let file = self.machine.file("vga");
        let (address, len) = vga::MEMORY;
        let name = file.display().to_string();
        self.qmp.execute(
            "pmemsave",
            json!({ "val": address, "size": len, "filename": name }),
        )?;
        let memory = std::fs::read(&file).doing("reading", &name)?;
        Ok(vga::text(&memory, start))
    }

    /// The font of the VGA card.
    ///
    /// # Errors
    /// QEMU has no such card, or is gone.
    pub fn vga_font(&mut self) -> Result<Font> {
        let buses = self.qmp.execute("query-pci", json!({}))?;
        let address = vga_memory(&buses);
        let address = address.ok_or_else(|| {
            HarnessError::unexpected("the machine's cards", "a VGA card", buses.to_string())
        })?;
        let file = self.machine.file("font");
        let name = file.display().to_string();
        self.qmp.execute(
            "pmemsave",
            json!({ "val": address, "size": Font::MEMORY_LEN, "filename": name }),
        )?;
        let memory = std::fs::read(&file).doing("reading", &name)?;
        Ok(Font::of_memory(&memory))
    }

    /// One byte from a port: `portb[0x03d4] = 0xe`, and `00` for nothing.
    fn port(&mut self, port: &str) -> Result<u8> {
        let answer = self.monitor(&format!("i /b {port}"))?;
        let value = answer.rsplit('=').next().unwrap_or_default().trim();
        u8::from_str_radix(value.trim_start_matches("0x"), 16)
            .map_err(|_| HarnessError::unexpected(format!("port {port}"), "a byte", answer))
    }

    /// A command of QEMU's monitor for people: some things can be asked nowhere else.
    fn monitor(&mut self, line: &str) -> Result<String> {
        let answer = self
            .qmp
            .execute("human-monitor-command", json!({ "command-line": line }))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// Waits a moment, or less when QEMU ends: for what changes without a word.
    ///
    /// # Errors
    /// QEMU has ended.
    pub fn rest(&mut self, moment: Duration) -> Result<()> {
        readable(&[self.process.exit_handle()], moment)?;
        match self.process.is_running() {
            true => Ok(()),
            false => Err(HarnessError::unexpected("qemu", "running", "its end")),
        }
    }

    /// Writes the graphical screen to a file (PNG).
    ///
    /// # Errors
    /// QEMU could not write it.
    pub fn screendump(&mut self, file: &Path) -> Result<()> {
        self.qmp
            .execute(
                "screendump",
                json!({ "filename": file.display().to_string(), "format": "png" }),
            )
            .map(drop)
    }

    /// Waits until the machine has switched itself off.
    ///
    /// # Errors
    /// It has not in time.
    pub fn await_power_off(&mut self, patience: Duration) -> Result<()> {
        match self.process.wait(patience) {
            Ok(_) => Ok(()),
            Err(_) => {
                let (what, tail) = ("the machine's power-off".to_owned(), self.console.tail());
                Err(HarnessError::Deadline {
                    what,
                    patience,
                    tail,
                })
            }
        }
    }

    /// Waits until SeaBIOS reported `text` on its debug port.
    ///
    /// # Errors
    /// It did not in time.
    pub fn await_bios(&mut self, text: &str, patience: Duration) -> Result<()> {
        let log = self.machine.file("firmware.log");
        let end = Instant::now() + patience;
        loop {
            let heard = std::fs::read(&log).unwrap_or_default();
            let heard = String::from_utf8_lossy(&heard).into_owned();
            if heard.contains(text) {
                return Ok(());
            }
            if Instant::now() >= end || !self.process.is_running() {
                let what = format!("{text:?} from SeaBIOS");
                return Err(HarnessError::Deadline {
                    what,
                    patience,
                    tail: crate::eyes::transcript::tail(&heard, 10),
                });
            }
            // A plain file cannot be awaited; the process can, and its end cuts this short.
            readable(&[self.process.exit_handle()], Duration::from_millis(100))?;
        }
    }

    /// Ends QEMU in order, so that its write log is complete. Drop ends it at once.
    ///
    /// # Errors
    /// It did not end.
    pub fn quit(mut self) -> Result<()> {
        self.qmp.execute("quit", json!({}))?;
        self.process.wait(START_PATIENCE).map(drop)
    }
}

/// Where the memory of the first VGA card is.
fn vga_memory(buses: &Value) -> Option<u64> {
    const CLASS: u64 = 0x300;
    let mut devices = buses
        .as_array()?
        .first()?
        .get("devices")?
        .as_array()?
        .iter();
    let class = |device: &&Value| device.pointer("/class_info/class")?.as_u64();
    let card = devices.find(|device| class(device) == Some(CLASS))?;
    card.pointer("/regions/0/address")?.as_u64()
}

/// The console log of this start: an earlier start's is kept.
fn fresh(machine: &Machine) -> std::path::PathBuf {
    let first = machine.file("console.log");
    if !first.exists() {
        return first;
    }
    (2..)
        .map(|number| machine.file(&format!("console-{number}.log")))
        .find(|path| !path.exists())
        .unwrap_or(first)
}

fn listen(path: &Path) -> Result<UnixListener> {
    // Left over from an earlier start of the same machine.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).doing("listening on", path.display())
}

/// QEMU connects to us, so nothing it prints is lost.
fn connected(listener: &UnixListener, process: &Process, log: &Path) -> Result<UnixStream> {
    let ready = readable(&[&listener.as_fd(), process.exit_handle()], START_PATIENCE)?;
    if ready.first().copied().unwrap_or(false) {
        return Ok(listener.accept().doing("accepting", "qemu's connection")?.0);
    }
    let said = std::fs::read_to_string(log).unwrap_or_default();
    Err(HarnessError::unexpected(
        "qemu",
        "its sockets connected",
        said.trim(),
    ))
}
