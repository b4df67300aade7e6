//! init as it is, but for the wizard: the same boot with nothing in the wizard's place, so that the
//! linker leaves the screens, the terminals and the drawing out. Only its size is looked at.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::boot::run(|_| Ok(()));
    }
    if let Some(code) = init::cage::run_if_asked(std::env::args_os()) {
        return code;
    }
    let arguments: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if machine::drivers::is_asked_by_kernel(&arguments) {
        return init::drivers::help(&arguments);
    }
    eprintln!(
        "init: this is PID 1 of a deploy image; on a running system use spk-visor receive-deploy"
    );
    ExitCode::from(2)
}
