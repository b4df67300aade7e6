//! The parties of a scenario beside the machine: the donor and what it proves itself with,
//! strangers and attackers, the person in front of the machine, a node with two slots and the
//! releases for it.

pub mod attack;
pub mod donor;
pub mod exit;
pub mod keys;
pub mod node;
pub mod person;
pub mod policy;
pub mod releases;
pub mod seat;
pub mod stranger;
pub mod visitor;
