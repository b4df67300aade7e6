//! Kernel, initramfs and command line in, the three as one value out that every boot loader can
//! start.
//!
//! A boot medium is made once and started far from its maker, so this module finds what a machine
//! would fail on.

/// Offsets in the kernel's file (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
const BOOT_FLAG_OFFSET: usize = 0x1FE;
const BOOT_FLAG: [u8; 2] = [0x55, 0xAA];
const HEADER_MAGIC_OFFSET: usize = 0x202;
const HEADER_MAGIC: [u8; 4] = *b"HdrS";
const VERSION_TEXT_OFFSET: usize = 0x20E;
/// The origin of the offset in the header.
const VERSION_TEXT_BASE: usize = 0x200;
const LOAD_FLAGS_OFFSET: usize = 0x236;
/// XLF_KERNEL_64.
const LOAD_FLAG_64_BIT: u16 = 1;
const COMMAND_LINE_MAX_OFFSET: usize = 0x238;
/// A kernel that is an EFI program itself begins as those do (UEFI 2.10 2.1.1).
const EFI_MAGIC: [u8; 2] = *b"MZ";
/// Where the kernel writes when nothing else is said: the screen, and the first serial port. A
/// machine with a serial line only would show nothing at all otherwise, neither that it waits nor
/// that it holds; one without that port takes no notice of the word.
const CONSOLES: &str = "console=tty0 console=ttyS0,115200";
/// Room on the command line for what a menu adds and a person types.
const TYPED_MAX_BYTES: usize = 512;
/// Longest release name (`__NEW_UTS_LEN`).
const RELEASE_MAX_BYTES: usize = 64;

/// First bytes of what the kernel takes as an initramfs (Documentation/driver-api/early-userspace,
/// `lib/decompress.c`).
pub(crate) const INITRAMFS_MAGICS: [&[u8]; 8] = [
    b"070701",
    b"070702",
    b"\x28\xB5\x2F\xFD",
    b"\xFD7zXZ\0",
    b"\x1F\x8B",
    b"\x02\x21\x4C\x18",
    b"BZh",
    b"\x5D\0\0",
];

/// The kernel, initramfs and command line that a boot loader starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shim {
    kernel: Vec<u8>,
    initramfs: Vec<u8>,
    cmdline: String,
}

/// The shim would not boot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum ShimError {
    /// Something else, or a file cut short.
    #[error("the kernel is not a bzImage for x86")]
    NotKernel,
    /// It would start under neither kind of firmware the way we start it.
    #[error("the kernel is not a 64-bit one")]
    NotKernel64,
    /// UEFI could not start it.
    #[error("the kernel has no EFI stub (CONFIG_EFI_STUB)")]
    NoEfiStub,
    /// A signed GRUB would refuse to start it.
    #[error(
        "the kernel is not signed, and with --secure-boot it has to be: by Debian \
         (mkinitramfs/debian-kernel fetches such a kernel), or by a key that the machine trusts"
    )]
    NotSigned,
    /// Neither a cpio nor anything the kernel unpacks.
    #[error("the initramfs is neither a cpio archive nor a compressed one")]
    NotInitramfs,
    /// GRUB puts a backslash before quotes and backslashes, and the rest ends or changes a line.
    #[error(
        "the command line has {} at byte {at}, which some boot loaders change",
        byte.escape_ascii()
    )]
    CommandLineByte {
        byte: u8,
        /// Position, from 0.
        at: usize,
    },
    /// The kernel would cut it off without a word.
    #[error(
        "the command line has {len} bytes; the kernel takes {max}, \
         less {TYPED_MAX_BYTES} for a menu"
    )]
    CommandLineLong {
        len: usize,
        /// The longest that the kernel takes.
        max: u32,
    },
}

impl Shim {
    /// Checks the parts. `cmdline` are words; how many blanks are between them does not matter.
    /// Without a `console=` among them they get those of the screen and of the first serial port.
    ///
    /// # Errors
    /// A machine could not start them.
    pub fn new(kernel: Vec<u8>, initramfs: Vec<u8>, cmdline: &str) -> Result<Self, ShimError> {
        if array_at(&kernel, BOOT_FLAG_OFFSET)? != BOOT_FLAG
            || array_at(&kernel, HEADER_MAGIC_OFFSET)? != HEADER_MAGIC
        {
            return Err(ShimError::NotKernel);
        }
        if u16_at(&kernel, LOAD_FLAGS_OFFSET)? & LOAD_FLAG_64_BIT == 0 {
            return Err(ShimError::NotKernel64);
        }
        if !kernel.starts_with(&EFI_MAGIC) {
            return Err(ShimError::NoEfiStub);
        }
        if !INITRAMFS_MAGICS
            .iter()
            .any(|magic| initramfs.starts_with(magic))
        {
            return Err(ShimError::NotInitramfs);
        }
        let max = u32::from_le_bytes(array_at(&kernel, COMMAND_LINE_MAX_OFFSET)?);
        let mut cmdline = words(cmdline, max)?;
        if !has_key(&cmdline, "console") {
            let blank = if cmdline.is_empty() { "" } else { " " };
            cmdline = format!("{cmdline}{blank}{CONSOLES}");
        }
        Ok(Self {
            kernel,
            initramfs,
            cmdline,
        })
    }

    /// bzImage.
    #[must_use]
    pub fn kernel(&self) -> &[u8] {
        &self.kernel
    }

    /// cpio, compressed or not.
    #[must_use]
    pub fn initramfs(&self) -> &[u8] {
        &self.initramfs
    }

    /// Words with one blank between them.
    #[must_use]
    pub fn cmdline(&self) -> &str {
        &self.cmdline
    }

    /// Whether the kernel has a signature, as Secure Boot asks of it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        disk::pe::is_signed(&self.kernel)
    }

    /// Whether the command line has settled this key.
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        has_key(&self.cmdline, key)
    }

    /// The kernel's release (`uname -r`), when it tells one.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        release(&self.kernel)
    }
}

pub(crate) fn has_key(cmdline: &str, key: &str) -> bool {
    let mut words = cmdline.split(' ');
    words.any(|word| word.split('=').next() == Some(key))
}

/// The release of a bzImage (`uname -r`), when it tells one.
#[must_use]
pub fn release(kernel: &[u8]) -> Option<&str> {
    if array_at(kernel, HEADER_MAGIC_OFFSET).ok()? != HEADER_MAGIC {
        return None;
    }
    let offset = usize::from(u16_at(kernel, VERSION_TEXT_OFFSET).ok()?);
    let text = kernel.get(offset + VERSION_TEXT_BASE..)?;
    let text = text.get(..RELEASE_MAX_BYTES.min(text.len()))?;
    let end = text.iter().position(|byte| !byte.is_ascii_graphic())?;
    let release = std::str::from_utf8(text.get(..end)?).ok()?;
    (offset != 0 && !release.is_empty()).then_some(release)
}

fn words(cmdline: &str, max: u32) -> Result<String, ShimError> {
    let cmdline = cmdline.split_ascii_whitespace().collect::<Vec<_>>();
    let cmdline = cmdline.join(" ");
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'"' | b'\\');
    let odd = cmdline
        .bytes()
        .enumerate()
        .find(|(_, byte)| !is_plain(*byte));
    if let Some((at, byte)) = odd {
        return Err(ShimError::CommandLineByte { byte, at });
    }
    let len = cmdline.len();
    if u32::try_from(len + TYPED_MAX_BYTES).is_ok_and(|wanted| wanted <= max) {
        Ok(cmdline)
    } else {
        Err(ShimError::CommandLineLong { len, max })
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16, ShimError> {
    Ok(u16::from_le_bytes(array_at(bytes, offset)?))
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], ShimError> {
    let tail = bytes.get(offset..).ok_or(ShimError::NotKernel)?;
    tail.first_chunk().copied().ok_or(ShimError::NotKernel)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The headers of a kernel as the boot protocol has them, and a release name.
    pub(crate) fn kernel() -> Vec<u8> {
        let mut kernel = vec![0; 0x400];
        kernel[..2].copy_from_slice(&EFI_MAGIC);
        kernel[BOOT_FLAG_OFFSET..][..2].copy_from_slice(&BOOT_FLAG);
        kernel[HEADER_MAGIC_OFFSET..][..4].copy_from_slice(&HEADER_MAGIC);
        kernel[VERSION_TEXT_OFFSET..][..2].copy_from_slice(&0x100_u16.to_le_bytes());
        kernel[LOAD_FLAGS_OFFSET] = 1;
        kernel[COMMAND_LINE_MAX_OFFSET..][..4].copy_from_slice(&2047_u32.to_le_bytes());
        kernel[0x300..][..20].copy_from_slice(b"6.12.9 (who@where) #");
        kernel
    }

    const INITRAMFS: &[u8] = b"070701 and so on";

    fn shim(cmdline: &str) -> Result<Shim, ShimError> {
        Shim::new(kernel(), INITRAMFS.to_vec(), cmdline)
    }

    #[test]
    fn words_are_kept_and_blanks_are_not() {
        let shim = shim("  smv.policy=legacy \n quiet\t").unwrap();
        let consoles = "console=tty0 console=ttyS0,115200";
        assert_eq!(
            shim.cmdline(),
            format!("smv.policy=legacy quiet {consoles}")
        );
        assert!(shim.has_key("smv.policy") && shim.has_key("quiet"));
        assert!(!shim.has_key("smv.pol") && !shim.has_key("legacy"));
        assert_eq!(shim.release(), Some("6.12.9"));
    }

    #[test]
    fn consoles_are_those_that_were_chosen_or_all_that_most_machines_have() {
        let cmdline = |words| shim(words).unwrap().cmdline().to_owned();
        assert_eq!(cmdline(""), "console=tty0 console=ttyS0,115200");
        assert_eq!(cmdline("console=tty0"), "console=tty0");
        assert_eq!(cmdline("a console=ttyS1,9600"), "a console=ttyS1,9600");
    }

    #[test]
    fn what_a_boot_loader_would_change_is_refused() {
        for bad in ["a='b'", "a=\"b c\"", "a\\b", "ä", "a\u{7f}", "a\0b"] {
            let error = shim(bad).unwrap_err();
            assert!(
                matches!(error, ShimError::CommandLineByte { .. }),
                "{bad:?}: {error}"
            );
        }
    }

    #[test]
    fn a_long_command_line_is_refused_with_both_numbers() {
        assert!(shim(&"x".repeat(2047 - 512)).is_ok());
        let error = shim(&"x".repeat(2048 - 512)).unwrap_err().to_string();
        assert!(error.contains("1536") && error.contains("2047"), "{error}");
    }

    #[test]
    fn what_is_no_kernel_and_no_initramfs_is_refused() {
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut kernel = kernel();
            change(&mut kernel);
            Shim::new(kernel, INITRAMFS.to_vec(), "").unwrap_err()
        };
        assert_eq!(refused(&|kernel| kernel[0x202] = 0), ShimError::NotKernel);
        assert_eq!(refused(&|kernel| kernel[0x1FF] = 0), ShimError::NotKernel);
        assert_eq!(refused(&|kernel| kernel[0x236] = 0), ShimError::NotKernel64);
        assert_eq!(refused(&|kernel| kernel[0] = 0), ShimError::NoEfiStub);
        let none = Shim::new(kernel(), b"ELF".to_vec(), "").unwrap_err();
        assert_eq!(none, ShimError::NotInitramfs);
        for len in 0..COMMAND_LINE_MAX_OFFSET + 4 {
            let cut = kernel()[..len].to_vec();
            assert!(Shim::new(cut, INITRAMFS.to_vec(), "").is_err(), "{len}");
        }
    }

    #[test]
    fn a_kernel_without_a_release_has_none() {
        let mut kernel = kernel();
        for offset in [0_u16, 0x1FF, 0xFFFF] {
            kernel[VERSION_TEXT_OFFSET..][..2].copy_from_slice(&offset.to_le_bytes());
            let shim = Shim::new(kernel.clone(), INITRAMFS.to_vec(), "").unwrap();
            assert_eq!(shim.release(), None, "{offset}");
        }
    }
}
