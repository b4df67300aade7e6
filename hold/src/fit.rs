//! What can be known of a version before anything is stopped for it: a generation in, its user out,
//! or why it is not even tried.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;

use crate::event::Why;
use crate::keeper::{Settings, Tell, find_user};
use crate::place::Generation;
use crate::user::User;

/// The user of a version whose program is there and may be executed.
pub(crate) fn user_of(
    settings: &Settings,
    generation: &Generation,
    tell: &mut dyn Tell,
) -> Result<User, Why> {
    let user = find_user(settings, generation).map_err(|error| {
        tell.fail(&error);
        Why::User
    })?;
    let is_program = |meta: Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
    match generation.plan.program.metadata().is_ok_and(is_program) {
        true => Ok(user),
        false => Err(Why::Missing),
    }
}
