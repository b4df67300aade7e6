//! The outputs of a machine: its serial console and the terminal in front of it, its graphical
//! screen by the memory of the card or by the shapes of its characters, and pictures of them.

pub mod console;
pub mod png;
pub mod rendering;
pub mod screen;
pub mod terminal;
pub mod transcript;
pub mod vga;
