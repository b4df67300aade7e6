//! Releases on a web server that knows nothing of them: `https` by ureq and rustls.
//!
//! [`url`] reads addresses, [`roots`] says who vouches for servers, [`client`] asks for them and follows redirects, [`answer`] judges what
//! came, and an [`error::HttpError`] says why nothing did. [`file`] is a file that is read in
//! parts and goes on where a connection broke, and [`site`] a release of such files. Nothing that
//! comes is believed: `bundle::trust` and `bundle::verify` decide as for any other source.

pub mod answer;
pub mod client;
pub mod error;
pub mod file;
pub mod roots;
pub mod site;
pub mod url;
