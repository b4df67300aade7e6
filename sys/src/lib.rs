//! The Linux calls that rustix does not offer, behind safe functions. The only crate that may say `unsafe`.
//!
//! Nothing here decides anything: a function is one call of the kernel, with owned descriptors and the kernel's own error. Only
//! [`cage`] puts several together, whose order is what makes them worth something.

pub mod block;
pub mod cage;
pub mod children;
pub mod eventfd;
pub mod kexec;
pub mod landlock;
pub mod loopdev;
pub mod modules;
pub mod netdev;
pub mod packet;
pub mod packet_queue;
pub mod seccomp;
pub mod signals;
pub mod vt;
pub mod watchdog;
