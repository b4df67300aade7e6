//! A stream of packages in, a tree of files out: nothing here knows a network, a disk or what the
//! tree is for.
//!
//! A manifest becomes [`trust::Approved`], signed with a [`key`], and with it [`verify`] turns what
//! [`records`] carry into verified chunks; [`legacy`] does so for the original stream, which may
//! have a manifest as its [`front`]. Either is a [`package_stream`] to [`unpack_pipeline`], which
//! feeds each package to a [`worker`]: there [`decode`] makes a plain archive of it, read by
//! [`unpack`], whose other half writes below one directory. [`event`] is what a caller hears
//! meanwhile, and with [`interrupt`] a failure ends what waits for the stream. [`content`] takes a
//! whole bundle of content, a site or a model, under stricter rules. [`directory`] reads such a
//! tree without leaving it; [`kernel`] finds in it what boots, [`host_keys`] what makes its SSH
//! host keys, and [`fstab_line`] what names another machine's disks.

pub mod key;
pub mod trust;

pub mod records;

pub mod front;
pub mod legacy;
pub mod verify;

pub mod package_stream;
pub mod unpack_pipeline;

pub mod decode;
pub mod pipe;
pub mod unpack;
pub mod worker;

pub mod content;

pub mod event;
pub mod interrupt;

pub mod directory;
pub mod fstab_line;
pub mod host_keys;
pub mod kernel;
pub mod module_list;

#[cfg(any(test, feature = "fakes"))]
pub mod fakes;
