//! What a person asks for, as values: each makes one file or tree on the disk. `spk-visor media`
//! reads them from its arguments; nothing here knows how they are spelt.

pub mod carried;
pub mod customize;
pub mod image;
pub mod iso;
mod pack;
pub mod parts;
pub mod pxe;
mod settled;
pub mod show;
pub mod slot;
pub mod uki;
pub mod wifi;

/// One of the commands that make something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `image`.
    Image(image::Image),
    /// `wifi`.
    Wifi(wifi::Alone),
    /// `iso`.
    Iso(iso::Iso),
    /// `pxe`.
    Pxe(pxe::Pxe),
    /// `slot`.
    Slot(Box<slot::Slot>),
    /// `uki`.
    Uki(uki::Uki),
}

/// It is not made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// `image`.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// `wifi`.
    #[error(transparent)]
    Wifi(#[from] wifi::AloneError),
    /// `iso`.
    #[error(transparent)]
    Iso(#[from] iso::IsoCommandError),
    /// `pxe`.
    #[error(transparent)]
    Pxe(#[from] pxe::PxeCommandError),
    /// `slot`.
    #[error(transparent)]
    Slot(#[from] Box<slot::SlotCommandError>),
    /// `uki`.
    #[error(transparent)]
    Uki(#[from] uki::UkiCommandError),
}

impl Request {
    /// Does it.
    ///
    /// # Errors
    /// A file could not be read, used or written.
    pub fn make(&self) -> Result<(), RequestError> {
        match self {
            Request::Image(image) => image.make()?,
            Request::Wifi(wifi) => wifi.make()?,
            Request::Iso(iso) => iso.make()?,
            Request::Pxe(pxe) => pxe.make()?,
            Request::Slot(slot) => slot.make().map_err(Box::new)?,
            Request::Uki(uki) => uki.make()?,
        }
        Ok(())
    }
}

impl RequestError {
    /// Is it this machine that failed, and not what was given: no room, no tool?
    #[must_use]
    pub const fn is_of_this_machine(&self) -> bool {
        use iso::IsoCommandError;
        use slot::SlotCommandError;
        match self {
            RequestError::Image(error) => matches!(error, image::ImageError::Output(_)),
            RequestError::Wifi(error) => matches!(error, wifi::AloneError::Output(_)),
            RequestError::Iso(error) => match error {
                IsoCommandError::Output(_) => true,
                IsoCommandError::Iso(error) => error.is_of_this_machine(),
                _ => false,
            },
            RequestError::Pxe(error) => matches!(error, pxe::PxeCommandError::Output(_)),
            RequestError::Slot(error) => matches!(
                **error,
                SlotCommandError::Output(_) | SlotCommandError::Tool(_)
            ),
            RequestError::Uki(error) => matches!(error, uki::UkiCommandError::Output(_)),
        }
    }
}
