//! An approved image comes in: chunks out of sealed records, over as many connections as it takes.
//!
//! [`session_source`] gives the deploy one chunk after the other and waits for a donor that comes
//! back; [`reports`] tells the donor meanwhile how far the deploy is; [`finish`] says success or
//! failure, hears the donor's order and closes the connection.

pub(crate) mod finish;
pub(crate) mod reports;
pub(crate) mod session_source;
