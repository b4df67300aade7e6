//! A signed image in, a system that keeps itself current out: what a node with two slots does from
//! an offer to a confirmed version, and back (`update.md` 1).

pub mod admit;
pub mod key;
pub mod ledger_file;
pub mod node;
pub mod recover;
pub mod reuse;
pub mod running;
pub mod stage;
