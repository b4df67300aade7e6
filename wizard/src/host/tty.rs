//! A terminal and how it is used: for lines, which the kernel or another program writes, or for the
//! wizard's screens.
//!
//! Nothing here waits. What a terminal does not take at once stays here: of a picture all of it,
//! and there is no other before it is gone; of lines as many as fit.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use ratatui_core::terminal::Terminal;
use rustix::event::PollFlags;
use rustix::termios::{
    LocalModes, OptionalActions, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use crate::Wizard;
use crate::event::LogLine;
use crate::terminal::keys::{Decoded, Decoder};
use crate::terminal::paint::Paint;
use crate::terminal::raw::Raw;
use crate::terminal::{ASK_CURSOR, ASK_SIZE, BEGIN, BEGIN_VIRTUAL, TO_THE_CORNER};
use crate::theme::{Charset, Theme};

/// An Escape that nothing follows for so long is a key. Lines over a network deliver a sequence in
/// pieces, but not that slowly.
const ESCAPE_PAUSE: Duration = Duration::from_millis(150);
/// Between two pictures without a key press: people do not read faster, and drawing costs time.
const PICTURE_PAUSE: Duration = Duration::from_millis(250);
/// Longer lines are not for us: so much is passed on, which is more than an answer has, and the
/// rest is not a line of its own.
const LINE_MAX: usize = 258;
/// Log lines that a slow terminal has not taken, in bytes; what does not fit is left out.
const LINES_MAX: usize = 16 << 10;
/// As the kernel shows lines at the console level that we set (syslog(3)).
const SHOWN_LEVEL: u8 = 7;

/// How a terminal is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For lines. What is typed means something to the machine, a line at a time.
    Lines,
    /// For screens.
    Screens,
    /// Lent to another program.
    Lent,
}

/// The meaning of an empty line in line mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enter {
    /// Nothing.
    Nothing,
    /// The screens come.
    Screens,
    /// The screens are elsewhere; they are shown there.
    Elsewhere,
}

/// A terminal, as the machine gives it to the host.
#[derive(Debug)]
pub struct TtyConfig {
    /// Opened without waiting (`O_NONBLOCK`), to read and write.
    pub terminal: File,
    /// In the beginning.
    pub mode: Mode,
    /// The meaning of an empty line.
    pub enter: Enter,
    /// It is the kernel's own: its characters are known.
    pub is_virtual: bool,
    /// The kernel writes its lines here.
    pub has_kernel_lines: bool,
}

/// The input from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TtyInput {
    Decoded(Vec<Decoded>),
    Line(String),
    /// It is gone.
    Gone,
}

/// Asked of the terminal, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Where the cursor is behind a character that has three bytes in UTF-8.
    Charset,
    /// Where the last place is.
    Corner,
}

#[derive(Debug)]
pub(super) struct Tty {
    pub(super) config: TtyConfig,
    decoder: Decoder,
    picture: Terminal<Paint>,
    raw: Option<Raw>,
    theme: Theme,
    asked: VecDeque<Question>,
    /// Where the kernel does not know the size, the terminal is asked.
    asks_size: bool,
    lines: Vec<u8>,
    /// The next bytes are the rest of a line that was too long.
    is_cut: bool,
    /// When bytes came the last time.
    heard: Option<Instant>,
    drawn: Option<Instant>,
    is_changed: bool,
    /// A person waits for the next picture.
    is_urgent: bool,
    /// Input is not echoed.
    is_hidden: bool,
}

impl Tty {
    pub(super) fn new(config: TtyConfig) -> Self {
        let theme = Theme {
            charset: Charset::Unicode,
            colours: true,
        };
        let Ok(picture) = Terminal::new(Paint::new(theme.charset));
        Self {
            config,
            decoder: Decoder::default(),
            picture,
            raw: None,
            theme,
            asked: VecDeque::new(),
            asks_size: false,
            lines: Vec::new(),
            is_cut: false,
            heard: None,
            drawn: None,
            is_changed: false,
            is_urgent: false,
            is_hidden: false,
        }
    }

    /// The screens begin.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.raw = Some(Raw::enter(&self.config.terminal, self.config.is_virtual)?);
        self.config.mode = Mode::Screens;
        self.lines.clear();
        self.is_cut = false;
        self.decoder = Decoder::default();
        let begin = if self.config.is_virtual {
            BEGIN_VIRTUAL
        } else {
            BEGIN
        };
        self.picture.backend_mut().control(begin);
        self.asks_size = !self.learn_size();
        self.redraw_all();
        Ok(())
    }

    /// The screens end; the terminal is as it was before.
    pub(super) fn end(&mut self, mode: Mode) {
        self.raw = None;
        self.picture.backend_mut().forget();
        self.config.mode = mode;
    }

    /// There is something new to draw.
    pub(super) const fn change(&mut self, is_urgent: bool) {
        self.is_changed = true;
        self.is_urgent |= is_urgent;
    }

    /// Forgets what the terminal shows, and queries its properties again.
    pub(super) fn redraw_all(&mut self) {
        let paint = self.picture.backend_mut();
        self.asked.clear();
        if !self.config.is_virtual {
            paint.control("\x1b[H─".as_bytes());
            paint.control(ASK_CURSOR);
            self.asked.push_back(Question::Charset);
        }
        if self.asks_size {
            paint.control(ASK_SIZE);
            paint.control(TO_THE_CORNER);
            paint.control(ASK_CURSOR);
            self.asked.push_back(Question::Corner);
        }
        let Ok(()) = self.picture.clear();
        self.change(true);
    }

    /// The next of the looks that there are, for a terminal that shows something else than what it
    /// is sent.
    pub(super) fn change_theme(&mut self) {
        let theme = match (self.theme.charset, self.theme.colours) {
            (Charset::Unicode, true) => (Charset::Ascii, true),
            (Charset::Ascii, true) => (Charset::Ascii, false),
            (Charset::Ascii, false) => (Charset::Unicode, false),
            (Charset::Unicode, false) => (Charset::Unicode, true),
        };
        self.set_theme(theme.0, theme.1);
        self.asked.clear(); // a late answer must not undo it
    }

    fn set_theme(&mut self, charset: Charset, colours: bool) {
        self.theme = Theme { charset, colours };
        self.picture.backend_mut().set_charset(charset);
        let Ok(()) = self.picture.clear();
        self.change(true);
    }

    /// The answer of the terminal.
    pub(super) fn answer(&mut self, said: Decoded) {
        match said {
            Decoded::Size { columns, rows } if self.asks_size => self.resize(columns, rows),
            Decoded::Cursor { column, row } => match self.asked.pop_front() {
                // Two: it took the three bytes for one character.
                Some(Question::Charset)
                    if column != 2 && self.theme.charset == Charset::Unicode =>
                {
                    self.set_theme(Charset::Ascii, self.theme.colours);
                }
                Some(Question::Corner) if self.asks_size => self.resize(column, row),
                _ => {}
            },
            Decoded::Size { .. } | Decoded::Key(_) => {}
        }
    }

    /// For a shell as well, which asks the kernel.
    fn resize(&mut self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let _ = tcsetwinsize(&self.config.terminal, size); // then only we know
        self.set_size(columns, rows);
    }

    fn set_size(&mut self, columns: u16, rows: u16) {
        let before = self.picture.size();
        self.picture.backend_mut().set_size(columns, rows);
        if self.picture.size() != before {
            self.change(true);
        }
    }

    /// The window's size may have changed; the signal goes to another process.
    pub(super) fn notice_size(&mut self) {
        if self.config.mode == Mode::Screens {
            self.learn_size();
        }
    }

    /// Asks the kernel for the size. Does it know?
    fn learn_size(&mut self) -> bool {
        match tcgetwinsize(&self.config.terminal) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                self.set_size(size.ws_col, size.ws_row);
                true
            }
            _ => false,
        }
    }

    /// A line of the log, as our kernel would have written it: without the time.
    pub(super) fn line(&mut self, line: &LogLine) {
        if line.level < SHOWN_LEVEL {
            self.say(&line.text);
        }
    }

    /// A line, where lines are shown.
    pub(super) fn say(&mut self, text: &str) {
        if self.config.mode == Mode::Lines && self.lines.len() + text.len() < LINES_MAX {
            self.lines.extend_from_slice(text.as_bytes());
            self.lines.push(b'\n');
        }
    }

    /// Whether the terminal shows what is typed on it, where lines are shown.
    pub(super) fn hide(&mut self, is_hidden: bool) {
        if is_hidden == self.is_hidden || self.config.mode != Mode::Lines {
            return;
        }
        // A terminal that cannot is no place for a passphrase, but the only one that there is.
        if let Ok(mut termios) = tcgetattr(&self.config.terminal) {
            termios.local_modes.set(LocalModes::ECHO, !is_hidden);
            let _ = tcsetattr(&self.config.terminal, OptionalActions::Now, &termios);
        }
        self.is_hidden = is_hidden;
    }

    /// The events to poll for.
    pub(super) fn wants(&self, now: Instant) -> PollFlags {
        let has_output = match self.config.mode {
            Mode::Lent => return PollFlags::empty(),
            Mode::Lines => !self.lines.is_empty(),
            Mode::Screens => self.has_bytes() || self.until_picture(now) == Some(Duration::ZERO),
        };
        if has_output {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        }
    }

    /// How long nothing has to be done without a byte from outside.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        let picture = self.until_picture(now).filter(|left| !left.is_zero());
        let escape = self.until_escape(now);
        picture.into_iter().chain(escape).min()
    }

    fn until_picture(&self, now: Instant) -> Option<Duration> {
        let is_due = self.config.mode == Mode::Screens && self.is_changed && !self.has_bytes();
        is_due.then(|| match self.drawn {
            Some(drawn) if !self.is_urgent => {
                PICTURE_PAUSE.saturating_sub(now.saturating_duration_since(drawn))
            }
            _ => Duration::ZERO,
        })
    }

    fn until_escape(&self, now: Instant) -> Option<Duration> {
        let heard = self.heard.filter(|_| self.decoder.is_waiting())?;
        Some(ESCAPE_PAUSE.saturating_sub(now.saturating_duration_since(heard)))
    }

    fn has_bytes(&self) -> bool {
        !self.picture.backend().bytes().is_empty()
    }

    /// An Escape whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Decoded> {
        let is_over = self.until_escape(now)?.is_zero();
        is_over.then(|| self.decoder.expire().map(Decoded::Key))?
    }

    /// Takes what has come. A terminal that hung up gives nothing, again and again; Ctrl-D in a
    /// line gives nothing once.
    pub(super) fn read(&mut self, hung_up: bool, now: Instant) -> TtyInput {
        let mut bytes = [0; LINE_MAX];
        let len = match self.config.terminal.read(&mut bytes) {
            Ok(0) if hung_up || self.config.mode == Mode::Screens => return TtyInput::Gone,
            Ok(len) => len,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                0
            }
            Err(_) => return TtyInput::Gone,
        };
        let bytes = bytes.get(..len).unwrap_or_default();
        let mut said = Vec::new();
        if self.config.mode == Mode::Lines && len > 0 {
            let is_rest = self.is_cut;
            self.is_cut = len == LINE_MAX && !bytes.ends_with(b"\n");
            return match is_rest {
                true => TtyInput::Decoded(said),
                false => TtyInput::Line(String::from_utf8_lossy(bytes).into_owned()),
            };
        }
        if len > 0 {
            self.heard = Some(now);
            self.decoder.feed(bytes, &mut said);
        }
        TtyInput::Decoded(said)
    }

    /// The terminal takes bytes, and has shown most of what it took before.
    pub(super) fn write(&mut self, wizard: &Wizard, now: Instant) {
        if self.config.mode == Mode::Lines {
            let sent = send(&mut self.config.terminal, &self.lines);
            self.lines.drain(..sent);
            return;
        }
        if self.until_picture(now) == Some(Duration::ZERO) {
            self.learn_size();
            (self.is_changed, self.is_urgent, self.drawn) = (false, false, Some(now));
            let theme = self.theme;
            let Ok(_) = self.picture.draw(|frame| wizard.draw(frame, theme));
        }
        let bytes = self.picture.backend().bytes();
        let terminal = &mut self.config.terminal;
        let raw = self.raw.as_ref();
        let sent = raw.and_then(|raw| raw.while_held(|| send(terminal, bytes)));
        // Restored: the terminal no longer shows pictures.
        let sent = sent.unwrap_or(bytes.len());
        self.picture.backend_mut().sent(sent);
    }
}

/// How much it took. One that fails is noticed when it is read.
fn send(terminal: &mut File, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match terminal.write(rest) {
            Ok(len) if len > 0 => sent += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(_) | Err(_) => return bytes.len(), // it is gone, and so is this
        }
    }
    sent
}
