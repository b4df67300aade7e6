//! The state of a disk: its image as a deploy left it, its partition table, and every state that a
//! power cut could have left it in.

pub mod disk_file;
pub mod gpt;
pub mod image;
pub mod node_disk;
pub mod replay;
pub mod writelog;
