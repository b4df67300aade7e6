//! The parties of a scenario beside the machine: the donor and what it proves itself with,
//! strangers and attackers, and the person in front of the machine.

pub mod attack;
pub mod donor;
pub mod exit;
pub mod keys;
pub mod person;
pub mod policy;
pub mod seat;
pub mod stranger;
