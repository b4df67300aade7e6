//! The modules that a choice names cannot be carried.

use std::io;
use std::path::PathBuf;

use modules::IndexError;

use crate::modinfo::ModinfoError;
use crate::packed::PackedError;
use crate::tree::TreeError;

/// The modules cannot be carried.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum DriversError {
    /// A table or a module.
    #[error("reading {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// depmod(8) has not been there: a package of a distribution leaves that to its installation.
    #[error(
        "{} has no modules.dep; for ROOT/lib/modules/RELEASE, run depmod -b ROOT RELEASE",
        .0.display()
    )]
    NoTables(PathBuf),
    /// A table is damaged.
    #[error("reading the tables of {}", path.display())]
    Index { path: PathBuf, source: IndexError },
    /// Misspelt, or not in this kernel.
    #[error(
        "{directory} has no module {word:?}, and none is built in",
        directory = directory.display()
    )]
    Unknown { word: String, directory: PathBuf },
    /// A kernel the shim cannot work with.
    #[error("the kernel of {} has {name} neither built in nor as a module", directory.display())]
    Lacking {
        /// The missing option or module.
        name: &'static str,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// `--hostonly` on a machine that has no wireless card, or one that nothing of the kernel
    /// answers to.
    #[error("no wireless card of this machine has a module in {}", .0.display())]
    NoCard(PathBuf),
    /// A module cannot be unpacked.
    #[error("reading {}", path.display())]
    Packed { path: PathBuf, source: PackedError },
    /// A file is not a module.
    #[error("reading {}", path.display())]
    Modinfo { path: PathBuf, source: ModinfoError },
    /// The kernel would refuse every one of them.
    #[error("{} is for kernel {module}, and --kernel is {kernel}", path.display())]
    Release {
        path: PathBuf,
        /// The kernel that the module was built for.
        module: String,
        /// The kernel that will run.
        kernel: String,
    },
    /// Two modules of one name.
    #[error("laying out the modules")]
    Tree(#[from] TreeError),
}
