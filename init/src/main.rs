//! The shim's PID 1.

fn main() {
    if std::process::id() != 1 {
        eprintln!(
            "init: this is PID 1 of a deploy image; on a running system use spk-visor receive-deploy"
        );
        std::process::exit(2);
    }
    init::boot::run();
}
