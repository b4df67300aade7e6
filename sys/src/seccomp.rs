//! Which system calls this process has left (`seccomp(2)`): a list of those that are allowed, and
//! death for every other one.
//!
//! The filter is classic BPF over `struct seccomp_data`: the number of the call, the architecture,
//! six arguments. It is built here because its four shapes of instruction are less code than a
//! crate for them needs to be called.

use std::io;
use std::mem::offset_of;

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

// linux/bpf_common.h
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// The argument at `index` must have exactly the bits `value` of those in `mask`. Its upper 32 bits
/// are not looked at: the kernel has every flag named below in the lower ones, which come first
/// (both architectures are little-endian).
struct Condition {
    index: u32,
    mask: u32,
    value: u32,
}

enum Rule {
    /// Whatever its arguments are.
    Any(libc::c_long),
    /// Only with such arguments.
    With(libc::c_long, &'static [Condition]),
    /// It does not exist here: the C library then takes an older call, whose arguments a filter can
    /// read.
    Absent(libc::c_long),
}

/// `PROT_EXEC` is missing: no memory becomes code.
const NOT_EXECUTABLE: Condition = Condition {
    index: 2,
    mask: libc::PROT_EXEC as u32,
    value: 0,
};
/// Memory of this process alone, not a file's, and no stack that grows: the limit of private memory
/// does not count one.
const PRIVATE_MEMORY: Condition = Condition {
    index: 3,
    mask: (libc::MAP_TYPE | libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN) as u32,
    value: (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u32,
};
/// A thread of this process in its own name spaces, and no process.
const THREAD: Condition = Condition {
    index: 0,
    mask: (libc::CLONE_VM
        | libc::CLONE_THREAD
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP) as u32,
    value: (libc::CLONE_VM | libc::CLONE_THREAD) as u32,
};

/// What a program needs that reads one descriptor, computes in several threads and writes another
/// one: musl's and glibc's memory, threads and end.
const COMPUTING: &[Rule] = &[
    Rule::Any(libc::SYS_read),
    Rule::Any(libc::SYS_write),
    Rule::Any(libc::SYS_writev),
    Rule::Any(libc::SYS_ppoll),
    #[cfg(target_arch = "x86_64")]
    Rule::Any(libc::SYS_poll),
    Rule::Any(libc::SYS_futex),
    Rule::With(libc::SYS_mmap, &[NOT_EXECUTABLE, PRIVATE_MEMORY]),
    Rule::With(libc::SYS_mprotect, &[NOT_EXECUTABLE]),
    Rule::Any(libc::SYS_munmap),
    Rule::Any(libc::SYS_mremap),
    Rule::Any(libc::SYS_madvise),
    Rule::Any(libc::SYS_brk),
    Rule::With(libc::SYS_clone, &[THREAD]),
    Rule::Absent(libc::SYS_clone3),
    Rule::Any(libc::SYS_set_robust_list),
    Rule::Any(libc::SYS_rseq),
    Rule::Any(libc::SYS_gettid),
    Rule::Any(libc::SYS_sched_yield),
    Rule::Any(libc::SYS_sched_getaffinity),
    Rule::Any(libc::SYS_clock_gettime),
    Rule::Any(libc::SYS_getrandom),
    Rule::Any(libc::SYS_restart_syscall),
    Rule::Any(libc::SYS_rt_sigaction),
    Rule::Any(libc::SYS_rt_sigprocmask),
    Rule::Any(libc::SYS_rt_sigreturn),
    Rule::Any(libc::SYS_sigaltstack),
    Rule::Any(libc::SYS_exit),
    Rule::Any(libc::SYS_exit_group),
];

/// Leaves every thread of this process the calls of a program that only computes between two
/// descriptors, until it ends. Any other call kills the process with `SIGSYS`. Needs
/// [`crate::cage::give_up_privileges`] before.
///
/// # Errors
/// `ENOSYS` or `EINVAL`: this kernel has no filters.
pub fn only_compute() -> io::Result<()> {
    let mut filter = program(COMPUTING);
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: seccomp(2) with SECCOMP_SET_MODE_FILTER reads `len` instructions through the
    // program's pointer, which are those of `filter`, alive until after the call; the kernel keeps
    // a copy.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    match result {
        0 => Ok(()),
        // With TSYNC a positive number is a thread that could not follow.
        thread if thread > 0 => Err(io::ErrorKind::ResourceBusy.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allowed is what a rule names; everything else ends at the last instruction.
fn program(rules: &[Rule]) -> Vec<libc::sock_filter> {
    let mut filter = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        // Another architecture's numbers mean other calls.
        jump(AUDIT_ARCH, 1, 0),
        verdict(KILL),
        load(offset_of!(libc::seccomp_data, nr)),
    ];
    for rule in rules {
        let (call, body) = match rule {
            Rule::Any(call) => (call, vec![verdict(ALLOW)]),
            Rule::Absent(call) => (call, vec![verdict(ABSENT)]),
            Rule::With(call, conditions) => (call, checked(conditions)),
        };
        let len = u8::try_from(body.len()).unwrap_or(u8::MAX);
        filter.push(jump(u32::try_from(*call).unwrap_or(u32::MAX), 0, len));
        filter.extend(body);
    }
    filter.push(verdict(KILL));
    filter
}

fn checked(conditions: &[Condition]) -> Vec<libc::sock_filter> {
    let mut body = Vec::new();
    for condition in conditions {
        let at = offset_of!(libc::seccomp_data, args) + condition.index as usize * size_of::<u64>();
        body.push(load(at));
        body.push(instruction(AND, 0, 0, condition.mask));
        body.push(jump(condition.value, 1, 0));
        body.push(verdict(KILL));
    }
    body.push(verdict(ALLOW));
    body
}

fn load(offset: usize) -> libc::sock_filter {
    instruction(LOAD_WORD, 0, 0, u32::try_from(offset).unwrap_or(u32::MAX))
}

/// Passes over `equal` or `other` instructions.
const fn jump(value: u32, equal: u8, other: u8) -> libc::sock_filter {
    instruction(JUMP_EQUAL, equal, other, value)
}

const fn verdict(action: u32) -> libc::sock_filter {
    instruction(RETURN, 0, 0, action)
}

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::{COMPUTING, JUMP_EQUAL, KILL, RETURN, program};

    #[test]
    fn every_jump_lands_on_an_instruction_and_the_last_one_kills() {
        let filter = program(COMPUTING);
        for (at, instruction) in filter.iter().enumerate() {
            if instruction.code == JUMP_EQUAL {
                let furthest = at + 1 + usize::from(instruction.jt.max(instruction.jf));
                assert!(furthest < filter.len(), "{at}");
            }
        }
        let last = filter.last().unwrap();
        assert_eq!((last.code, last.k), (RETURN, KILL));
    }
}
