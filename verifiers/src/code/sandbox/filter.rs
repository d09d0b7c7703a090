//! The list of system calls that a program is refused, as a filter for the kernel.
//!
//! Hand-assembled classic BPF: a filter must look at the architecture, at ranges of numbers and at arguments, which
//! is a dozen instructions and no reason for a compiler. The filter is data here; the process that becomes the program
//! puts it on.

/// What the kernel shows to a filter: offsets into `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(i: u32) -> u32 {
    16 + 8 * i // the low half, on the little-endian machines that we run on
}

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const fn errno(number: i32) -> u32 {
    0x0005_0000 | number as u32
}

const LOAD: u16 = 0x20; // ld [k]
const IF_EQUAL: u16 = 0x15; // jeq k
const IF_AT_LEAST: u16 = 0x35; // jge k
const IF_ANY_BIT: u16 = 0x45; // jset k
const RETURN: u16 = 0x06; // ret k

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: u32 = 0;

/// Numbers from here on are the x32 names of the same calls, which would walk round the list.
const X32: u32 = 0x4000_0000;

/// `clone` flags that make namespaces: mount, cgroup, uts, ipc, user, pid, net; and time.
const NAMESPACE_FLAGS: u32 = 0x7e02_0080;

const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;

/// Whether the program may make sockets at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// It has a network of its own, in which nobody listens.
    Allowed,
    /// It shares the host's network, so it gets none.
    Denied,
}

/// Calls that no answer needs and that reach far into the kernel, or out of the sandbox.
fn denied() -> Vec<i64> {
    let mut calls = vec![
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kcmp,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_fanotify_init,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_clock_adjtime,
        libc::SYS_adjtimex,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_vhangup,
        libc::SYS_move_pages,
        libc::SYS_migrate_pages,
        libc::SYS_lookup_dcookie,
    ];
    // From here on every architecture uses the same numbers: io_uring_setup, _enter, _register; open_tree, move_mount,
    // fsopen, fsconfig, fsmount, fspick; pidfd_getfd, process_madvise, mount_setattr, quotactl_fd, memfd_secret,
    // process_mrelease, set_mempolicy_home_node, open_tree_attr.
    calls.extend([425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 447, 448, 450, 467]);
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_kexec_file_load,
        libc::SYS_uselib,
        libc::SYS_ustat,
        libc::SYS_nfsservctl,
        libc::SYS_modify_ldt,
    ]);
    #[cfg(target_arch = "aarch64")]
    calls.push(libc::SYS_kexec_file_load);
    calls
}

/// Assembles instructions of eight bytes: code, two jump distances, operand.
#[derive(Default)]
struct Assembler {
    bytes: Vec<u8>,
}

impl Assembler {
    fn push(&mut self, code: u16, if_true: u8, if_false: u8, k: u32) {
        self.bytes.extend(code.to_ne_bytes());
        self.bytes.extend([if_true, if_false]);
        self.bytes.extend(k.to_ne_bytes());
    }

    fn load(&mut self, offset: u32) {
        self.push(LOAD, 0, 0, offset);
    }

    /// Ends with `action` if the test on the value loaded holds, and goes on otherwise.
    fn end_if(&mut self, test: u16, k: u32, action: u32) {
        self.push(test, 0, 1, k);
        self.push(RETURN, 0, 0, action);
    }

    /// For one system call: ends with `EPERM` if a test on an argument holds; the number is loaded before and after.
    fn deny_argument(&mut self, call: i64, i: u32, tests: &[(u16, u32)]) {
        let n_inside = 2 + 2 * tests.len() as u8;
        self.push(IF_EQUAL, 0, n_inside, call as u32);
        self.load(argument(i));
        for &(test, k) in tests {
            self.end_if(test, k, errno(libc::EPERM));
        }
        self.load(NUMBER);
    }
}

/// Returns the filter as the kernel wants it, or none on an architecture whose calls we do not know.
pub(crate) fn filter(sockets: Sockets) -> Option<Vec<u8>> {
    if NATIVE == 0 {
        return None;
    }
    let mut filter = Assembler::default();
    filter.load(ARCHITECTURE);
    filter.push(IF_EQUAL, 1, 0, NATIVE);
    filter.push(RETURN, 0, 0, KILL);
    filter.load(NUMBER);
    if cfg!(target_arch = "x86_64") {
        filter.end_if(IF_AT_LEAST, X32, errno(libc::EPERM));
    }
    // Its flags are behind a pointer. Not `EPERM`: the C library falls back to `clone` on `ENOSYS` alone.
    filter.end_if(IF_EQUAL, 435, errno(libc::ENOSYS));
    filter.deny_argument(libc::SYS_clone, 0, &[(IF_ANY_BIT, NAMESPACE_FLAGS)]);
    filter.deny_argument(libc::SYS_ioctl, 1, &[(IF_EQUAL, TIOCSTI), (IF_EQUAL, TIOCLINUX)]);
    if sockets == Sockets::Denied {
        filter.end_if(IF_EQUAL, libc::SYS_socket as u32, errno(libc::EPERM));
    }
    for call in denied() {
        filter.end_if(IF_EQUAL, call as u32, errno(libc::EPERM));
    }
    filter.push(RETURN, 0, 0, ALLOW);
    Some(filter.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do: runs the filter on one system call.
    fn verdict(sockets: Sockets, architecture: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let code = filter(sockets).unwrap();
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => architecture,
            _ => arguments[(offset as usize - 16) / 8],
        };
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = &code[at * 8..at * 8 + 8];
            let k = u32::from_ne_bytes(step[4..].try_into().unwrap());
            let holds = match u16::from_ne_bytes([step[0], step[1]]) {
                LOAD => {
                    loaded = word(k);
                    at += 1;
                    continue;
                }
                RETURN => return k,
                IF_EQUAL => loaded == k,
                IF_AT_LEAST => loaded >= k,
                IF_ANY_BIT => loaded & k != 0,
                other => panic!("no such instruction: {other}"),
            };
            at += 1 + usize::from(if holds { step[2] } else { step[3] });
        }
    }

    #[track_caller]
    fn check(number: i64, arguments: [u32; 2], expected: u32) {
        assert_eq!(verdict(Sockets::Allowed, NATIVE, number as u32, arguments), expected, "call {number}");
    }

    #[test]
    fn what_programs_need_is_allowed() {
        for call in [libc::SYS_read, libc::SYS_openat, libc::SYS_mmap, libc::SYS_execve, libc::SYS_socket, 436] {
            check(call, [0, 0], ALLOW);
        }
        check(libc::SYS_clone, [0x0100_0011, 0], ALLOW);
        check(libc::SYS_ioctl, [0, 0x5401], ALLOW);
    }

    #[test]
    fn what_leads_out_is_refused() {
        for call in [libc::SYS_ptrace, libc::SYS_mount, libc::SYS_bpf, libc::SYS_unshare, libc::SYS_setns, 425, 442] {
            check(call, [0, 0], errno(libc::EPERM));
        }
        check(libc::SYS_clone, [0x1000_0011, 0], errno(libc::EPERM));
        check(libc::SYS_clone, [0x0000_0080, 0], errno(libc::EPERM));
        check(libc::SYS_ioctl, [0, TIOCSTI], errno(libc::EPERM));
        check(libc::SYS_ioctl, [0, TIOCLINUX], errno(libc::EPERM));
        check(435, [0, 0], errno(libc::ENOSYS));
    }

    #[test]
    fn other_names_of_the_calls_do_not_help() {
        assert_eq!(verdict(Sockets::Allowed, 0x4000_0003, 0, [0, 0]), KILL);
        if cfg!(target_arch = "x86_64") {
            check(i64::from(X32) | 101, [0, 0], errno(libc::EPERM));
        }
    }

    #[test]
    fn sockets_are_refused_where_the_network_is_shared() {
        assert_eq!(verdict(Sockets::Denied, NATIVE, libc::SYS_socket as u32, [0, 0]), errno(libc::EPERM));
    }
}
