//! The frame around a screen, and what may cover it: help, the log, a question.

use ratatui_core::layout::Position;
use ratatui_core::terminal::Frame;

use crate::canvas::Canvas;
use crate::key::Key;
use crate::model::{Model, Phase};
use crate::theme::{Theme, Tone};
use crate::view::{Hint, Question, Screen, ScreenView};

/// Something over the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// The keys of this screen.
    Help,
    /// The log.
    Logs,
    /// A question, and whether yes is selected.
    Ask(Question, bool),
}

impl Overlay {
    /// No is selected at first.
    #[must_use]
    pub const fn ask(question: Question) -> Self {
        Self::Ask(question, false)
    }
}

/// Answers a question; `None` when it is still open.
pub(crate) const fn answer(key: Key, is_yes: &mut bool) -> Option<bool> {
    match key {
        Key::Char('y' | 'Y') => Some(true),
        Key::Char('n' | 'N') | Key::Escape => Some(false),
        Key::Enter => Some(*is_yes),
        Key::Left | Key::Right | Key::Tab | Key::BackTab | Key::Up | Key::Down => {
            *is_yes = !*is_yes;
            None
        }
        _ => None,
    }
}

/// Everything that is drawn.
pub(crate) struct Picture<'a> {
    pub(crate) screen: Screen,
    pub(crate) view: &'a dyn ScreenView,
    pub(crate) logs: &'a dyn ScreenView,
    pub(crate) overlay: Option<&'a Overlay>,
    pub(crate) model: &'a Model,
}

impl Picture<'_> {
    pub(crate) fn draw(&self, frame: &mut Frame<'_>, theme: Theme) {
        let mut cursor: Option<Position> = None;
        let area = frame.area();
        let mut canvas = Canvas::new(frame.buffer_mut(), area, theme, &mut cursor);
        self.bar(&mut canvas);
        self.footer(&mut canvas);
        let (width, height) = (canvas.width(), canvas.height());
        let mut body = canvas.part(1, 1, width.saturating_sub(2), height.saturating_sub(3));
        match self.overlay {
            None => self.body(self.view, &mut body),
            Some(Overlay::Help) => self.help(&mut body),
            Some(Overlay::Logs) => self.body(self.logs, &mut body),
            Some(Overlay::Ask(question, is_yes)) => {
                self.body(self.view, &mut body);
                self.question(&mut body, *question, *is_yes);
            }
        }
        if let Some(position) = cursor {
            frame.set_cursor_position(position);
        }
    }

    /// The program, and the way through the screens.
    fn bar(&self, canvas: &mut Canvas<'_>) {
        canvas.repeat(0, 0, ' ', canvas.width(), Tone::Title);
        let end = canvas.line(
            1,
            0,
            &[
                ("spk-visor ", Tone::Title),
                (&self.model.machine.version, Tone::Title),
            ],
        );
        let way = [
            Screen::Welcome,
            Screen::Disk,
            Screen::Plan,
            Screen::Network,
            Screen::Code,
            Screen::Receiving,
            Screen::Done,
        ];
        let here = match self.screen {
            Screen::Wifi => Screen::Network,
            Screen::Failed => Screen::Receiving,
            screen => screen,
        };
        let names = way.map(|screen| match screen == here {
            true => format!("[{}]", screen.name()),
            false => format!(" {} ", screen.name()),
        });
        let len: usize = names.iter().map(String::len).sum();
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        let mut x = canvas.width().saturating_sub(len.saturating_add(1));
        if x <= end {
            return;
        }
        for name in &names {
            x = canvas.put(x, 0, name, Tone::Title);
        }
    }

    /// The keys that work here, and those that work everywhere.
    fn footer(&self, canvas: &mut Canvas<'_>) {
        let here = match self.overlay {
            None => self.view.keys(self.model),
            Some(Overlay::Help) => vec![("any key", "close")],
            Some(Overlay::Logs) => self.logs.keys(self.model),
            Some(Overlay::Ask(..)) => vec![("y", "yes"), ("n", "no")],
        };
        let machine = &self.model.machine;
        let all = [
            (true, ("F1", "help")),
            (true, ("F2", "log")),
            (machine.has_shell, ("F9", "shell")),
            (machine.owns_power, ("F11", "reboot")),
            (machine.owns_power, ("F12", "power off")),
        ];
        let everywhere = all
            .into_iter()
            .filter_map(|(is_there, hint)| is_there.then_some(hint));
        let bottom = canvas.height().saturating_sub(1);
        hints(canvas, bottom.saturating_sub(1), here);
        hints(canvas, bottom, everywhere);
    }

    fn body(&self, view: &dyn ScreenView, body: &mut Canvas<'_>) {
        body.put(0, 0, &view.title(self.model), Tone::Strong);
        let (width, height) = (body.width(), body.height());
        view.draw(
            &mut body.part(0, 1, width, height.saturating_sub(1)),
            self.model,
        );
    }

    fn help(&self, body: &mut Canvas<'_>) {
        body.put(0, 0, "Help", Tone::Strong);
        let mut y = body.wrap(0, 2, self.view.help().trim_end(), Tone::Plain);
        // The last two are heard by the terminal's own side (`host`).
        let terminal = [
            ("Ctrl-L", "redraw this screen"),
            (
                "Ctrl-T",
                "another style: without line drawing, without colours",
            ),
        ];
        for (key, what) in self.view.keys(self.model).into_iter().chain(terminal) {
            y = y.saturating_add(1);
            body.put(2, y, key, Tone::Key);
            body.put(14, y, what, Tone::Plain);
        }
    }

    fn question(&self, body: &mut Canvas<'_>, question: Question, is_yes: bool) {
        const WIDTH: u16 = 60;
        const HEIGHT: u16 = 8;
        let x = body.width().saturating_sub(WIDTH) / 2;
        let y = body.height().saturating_sub(HEIGHT) / 2;
        let mut bed = body.part(x, y, WIDTH, HEIGHT);
        bed.clear();
        bed.rule(0);
        bed.rule(HEIGHT.saturating_sub(1));
        bed.put(2, 2, question.text(), Tone::Strong);
        let consequence = consequence(question, self.model);
        let width = bed.width().saturating_sub(2);
        bed.part(0, 3, width, 2)
            .wrap(2, 0, consequence, Tone::Warning);
        let tone = |is_it| if is_it { Tone::Selected } else { Tone::Plain };
        let mark = |is_it, text: &str| {
            if is_it {
                format!("[ {text} ]")
            } else {
                format!("  {text}  ")
            }
        };
        let x = bed.put(2, 6, &mark(!is_yes, "No"), tone(!is_yes));
        bed.put(x.saturating_add(3), 6, &mark(is_yes, "Yes"), tone(is_yes));
    }
}

/// The side effects of a yes.
pub(crate) fn consequence(question: Question, model: &Model) -> &'static str {
    match question {
        Question::Cancel if model.phase == Phase::Accepted => {
            "Nothing has been written. Donors are invited again, with a new code."
        }
        Question::Cancel => "The disk stays unbootable. Donors are invited again, with a new code.",
        Question::Reboot | Question::PowerOff if model.is_deploying() => {
            "A deploy is running: the disk would stay unbootable."
        }
        Question::Reboot | Question::PowerOff => "",
    }
}

fn hints(canvas: &mut Canvas<'_>, y: u16, hints: impl IntoIterator<Item = Hint>) {
    let mut x = 1;
    for (key, what) in hints {
        x = canvas.line(
            x,
            y,
            &[(key, Tone::Key), (" ", Tone::Plain), (what, Tone::Plain)],
        );
        x = x.saturating_add(3);
    }
}
