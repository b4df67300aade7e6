//! The capabilities of a terminal, and the look of each tone there.

use ratatui_core::style::{Color, Modifier, Style};

/// The characters that a terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// Nothing beyond `~`.
    #[default]
    Ascii,
    /// Our own drawings are in code page 437 as well, which is all that the kernel's own font
    /// has.
    Unicode,
}

/// The capabilities of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Its characters.
    pub charset: Charset,
    /// It has the eight colours; else bold, underlined and reversed are all there is.
    pub colours: bool,
}

/// The glyphs for lines and marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// A line across.
    pub rule: char,
    /// In front of what is selected.
    pub pointer: char,
    /// In front of each of several.
    pub bullet: char,
    /// The mark of a finished step.
    pub tick: char,
    /// A filled cell of a bar.
    pub full: char,
    /// An empty one.
    pub empty: char,
    /// Between things in a line.
    pub dot: char,
    /// In place of a character of a password.
    pub hidden: char,
}

impl Theme {
    /// For this charset.
    #[must_use]
    pub const fn glyphs(self) -> Glyphs {
        match self.charset {
            Charset::Ascii => Glyphs {
                rule: '-',
                pointer: '>',
                bullet: '*',
                tick: '+',
                full: '#',
                empty: '.',
                dot: '|',
                hidden: '*',
            },
            Charset::Unicode => Glyphs {
                rule: '─',
                pointer: '►',
                bullet: '•',
                tick: '√',
                full: '█',
                empty: '░',
                dot: '·',
                hidden: '•',
            },
        }
    }
}

/// The meaning of a piece of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// Of less importance, or not to be had.
    Dim,
    /// Of more importance.
    Strong,
    /// The line at the top.
    Title,
    /// A key that can be pressed.
    Key,
    /// The target of the next key.
    Selected,
    /// Where something is typed.
    Input,
    /// As it should be.
    Good,
    /// Less than it should be.
    Warning,
    /// Wrong.
    Bad,
    /// The code for a camera: bright on dark, whatever the terminal's colours are.
    Camera,
}

impl Tone {
    /// On such a terminal. The background is left as it is, whatever it is there.
    #[must_use]
    pub const fn style(self, theme: Theme) -> Style {
        let style = Style::new();
        let (colour, modifier) = match self {
            Tone::Plain => return style,
            Tone::Camera if theme.colours => return style.fg(Color::White).bg(Color::Black),
            Tone::Camera => return style,
            Tone::Dim => (Some(Color::DarkGray), Modifier::empty()),
            Tone::Strong => (None, Modifier::BOLD),
            Tone::Title | Tone::Selected => (None, Modifier::REVERSED),
            Tone::Key => (Some(Color::Cyan), Modifier::BOLD),
            Tone::Input => (None, Modifier::UNDERLINED),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Warning => (Some(Color::Yellow), Modifier::BOLD),
            Tone::Bad => (Some(Color::Red), Modifier::BOLD),
        };
        let style = style.add_modifier(modifier);
        match colour {
            Some(colour) if theme.colours => style.fg(colour),
            _ => style,
        }
    }
}
