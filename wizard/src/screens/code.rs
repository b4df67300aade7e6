//! Donors are invited: how this machine is reached, and what a donor must know.
//!
//! Next to the code and the secret in large letters is a QR code of both for a camera, as on the
//! console (`receiver::operator::qr`). A terminal without half blocks shows no QR code.

use std::time::Instant;

use machine::gate::Contents;
use receiver::operator::qr;
use wire::human;

use crate::big_font;
use crate::canvas::Canvas;
use crate::key::Key;
use crate::model::{Invitation, Model, Phase, Refusal};
use crate::theme::{Charset, Tone};
use crate::view::{Act, Hint, ScreenView};

/// Between what is read and the picture.
const GAP: u16 = 2;
/// The widest the text gets: longer lines are hard to read.
const TEXT_MAX: u16 = 100;
/// Where what belongs to a word begins.
const INDENT: u16 = 9;
/// Lines that the disk may take.
const DISK_ROWS: u16 = 3;

/// There is nothing to type here.
#[derive(Debug, Default)]
pub struct Code {}

/// The donor's command line.
pub(crate) fn command(invitation: &Invitation) -> String {
    let code = &invitation.code;
    let option = match (&invitation.secret, invitation.policy.as_str()) {
        (Some(_), _) => "",
        (None, "pinned") => " --pinned NAME.donor",
        (None, _) => " --legacy",
    };
    format!("spk-visor deploy-system-img-copy {code}{option}")
}

/// The meaning of the policy, and its tone.
pub(crate) fn policy(invitation: &Invitation) -> (&'static str, Tone) {
    match (&invitation.secret, invitation.policy.as_str()) {
        (Some(_), _) => ("anyone who knows the secret", Tone::Plain),
        (None, "pinned") => ("only the donor whose key is in this image", Tone::Plain),
        (None, _) => ("ANYONE: neither authenticated nor encrypted", Tone::Bad),
    }
}

/// The addresses of this machine, for a donor beyond its networks.
pub(crate) fn addresses(invitation: &Invitation, model: &Model) -> Vec<String> {
    let of_cards = model.nics.iter().flat_map(|nic| &nic.addresses);
    let mut addresses: Vec<String> = of_cards.map(|it| it.address.to_string()).collect();
    if addresses.is_empty() {
        addresses.extend(invitation.addresses.iter().map(ToString::to_string));
    }
    addresses
}

/// The contents that will be erased, in a few words.
pub(crate) fn disk(invitation: &Invitation) -> String {
    let disk = invitation.disk.disk();
    let mut text = format!("{}, {}", disk.path.display(), human::label(disk.size_bytes));
    if let Some(model) = &disk.model {
        text.push_str(&format!(", {model}"));
    }
    let contents = match invitation.disk.contents() {
        contents if contents.is_free() => "nothing of value on it".to_owned(),
        contents @ (Contents::Holds(_) | Contents::Unreadable(_)) => {
            format!("WILL BE LOST: {contents}")
        }
    };
    format!("{text}; {contents}")
}

/// A failed attempt to pair, in words.
pub(crate) fn refusal(refusal: &Refusal) -> String {
    format!("{}: {}", refusal.peer, refusal.reason)
}

impl ScreenView for Code {
    fn title(&self, _model: &Model) -> String {
        "Waiting for a donor".to_owned()
    }

    fn help(&self) -> &'static str {
        "On any machine of this network that has the packages, type the command shown here, and \
         the secret when it asks for it. Or scan the picture with a phone: it holds SMV2, the \
         code, and the secret.\nThe code names this machine; everyone may know it. The secret \
         proves to the donor that it talks to this machine, and to this machine that the sender \
         has seen this screen. After a wrong secret there is a new one.\nNothing is written \
         before a donor is accepted."
    }

    fn keys(&self, model: &Model) -> Vec<Hint> {
        match model.phase {
            Phase::Inviting => vec![("Esc", "back: nobody is invited while you decide")],
            _ => vec![("Esc", "back")],
        }
    }

    fn press(&mut self, key: Key, _model: &mut Model, _now: Instant) -> Vec<Act> {
        match key {
            Key::Escape => vec![Act::Back],
            _ => Vec::new(),
        }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, model: &Model) {
        match (&model.invitation, model.phase) {
            (Some(invitation), Phase::Inviting) => draw(canvas, invitation, model),
            _ => {
                canvas.put(
                    0,
                    1,
                    "One moment: the machine is getting ready.",
                    Tone::Plain,
                );
            }
        }
    }
}

fn draw(canvas: &mut Canvas<'_>, invitation: &Invitation, model: &Model) {
    let refused = u16::from(!model.refusals.is_empty()) * 2;
    let height = canvas.height().saturating_sub(refused);
    let picture_width = camera(canvas, invitation, height);
    let width = match picture_width {
        0 => canvas.width(),
        _ => canvas
            .width()
            .saturating_sub(picture_width.saturating_add(GAP)),
    };
    let mut text = canvas.part(0, 0, width.min(TEXT_MAX), height);
    words(&mut text, invitation, model, picture_width > 0);
    if let Some(last) = model.refusals.back() {
        let count = format!("Refused {} times, the last time ", last.count);
        let x = canvas.put(0, height, &count, Tone::Warning);
        let (width, text) = (canvas.width(), refusal(last));
        let rest = canvas.part(0, height, width, refused);
        first_lines(rest, x, &text);
    }
}

/// As much of it as two lines take, the first of which has begun already.
fn first_lines(mut canvas: Canvas<'_>, x: u16, text: &str) {
    let room = usize::from(canvas.width().saturating_sub(x));
    let (head, tail) = match text.char_indices().nth(room) {
        None => (text, ""),
        Some((end, _)) => {
            let head = text.get(..end).unwrap_or(text);
            let end = head.rfind(' ').map_or(end, |space| space.saturating_add(1));
            text.split_at_checked(end).unwrap_or((text, ""))
        }
    };
    canvas.put(x, 0, head, Tone::Plain);
    canvas.put(0, 1, tail, Tone::Plain);
}

/// The picture for a camera at the right, and how wide it is: nothing where it does not fit.
fn camera(canvas: &mut Canvas<'_>, invitation: &Invitation, height: u16) -> u16 {
    let (Some(secret), Charset::Unicode) = (&invitation.secret, canvas.theme().charset) else {
        return 0;
    };
    let Some(lines) = qr::lines(&format!("SMV2:{}:{secret}", invitation.code)) else {
        return 0;
    };
    let width = lines.first().map_or(0, |line| line.chars().count());
    let width = u16::try_from(width).unwrap_or(u16::MAX);
    let letters = letters_width(invitation).saturating_add(GAP);
    let is_room = u16::try_from(lines.len()).is_ok_and(|rows| rows <= height);
    if !is_room || canvas.width() < width.saturating_add(letters) {
        return 0;
    }
    let x = canvas.width().saturating_sub(width);
    for (y, line) in (0..).zip(&lines) {
        canvas.put(x, y, line, Tone::Camera);
    }
    width
}

fn letters_width(invitation: &Invitation) -> u16 {
    let lines = big_font::lines(&invitation.code, Charset::Unicode);
    let width = lines.first().map_or(0, |line| line.chars().count());
    u16::try_from(width).unwrap_or(u16::MAX)
}

fn words(canvas: &mut Canvas<'_>, invitation: &Invitation, model: &Model, has_picture: bool) {
    let charset = canvas.theme().charset;
    let large = big_font::large_lines(&invitation.code, charset);
    let fits = |lines: &[String]| {
        let width = lines.first().map_or(0, |line| line.chars().count());
        width <= usize::from(canvas.width()) && canvas.height() >= 24
    };
    let lines = match fits(&large) {
        true => large,
        false => big_font::lines(&invitation.code, charset),
    };
    let mut y = 0;
    for line in &lines {
        canvas.put(0, y, line, Tone::Strong);
        y = y.saturating_add(1);
    }
    y = y.saturating_add(1);
    y = field(canvas, y, "Code", &invitation.code, Tone::Strong);
    if let Some(secret) = &invitation.secret {
        y = field(canvas, y, "Secret", secret, Tone::Strong);
    }
    y = y.saturating_add(1);
    canvas.put(0, y, "Type on the donor:", Tone::Plain);
    y = canvas.wrap(0, y.saturating_add(1), &command(invitation), Tone::Strong);
    if invitation.secret.is_some() {
        let how = match has_picture {
            true => "and the secret when it asks.",
            false => "and the secret when it asks. (No room for a QR code here.)",
        };
        y = canvas.wrap(0, y, how, Tone::Plain);
    }
    y = y.saturating_add(1);
    let (text, tone) = policy(invitation);
    y = field(canvas, y, "May send", text, tone);
    let addresses = addresses(invitation, model);
    y = match addresses.is_empty() {
        true => field(
            canvas,
            y,
            "Address",
            "none yet: is there a cable?",
            Tone::Warning,
        ),
        false => {
            let shown = addresses.iter().take(4).cloned().collect::<Vec<_>>();
            field(canvas, y, "Address", &shown.join(", "), Tone::Plain)
        }
    };
    let rows = canvas.height().saturating_sub(y).min(DISK_ROWS);
    let width = canvas.width();
    field(
        &mut canvas.part(0, y, width, rows),
        0,
        "Disk",
        &disk(invitation),
        Tone::Plain,
    );
}

/// A word and what belongs to it, and which row follows.
pub(crate) fn field(canvas: &mut Canvas<'_>, y: u16, name: &str, text: &str, tone: Tone) -> u16 {
    canvas.put(0, y, name, Tone::Dim);
    canvas.wrap(INDENT, y, text, tone)
}
