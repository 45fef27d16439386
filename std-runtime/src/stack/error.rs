//! Why there is no stack for another green thread, and which limit to raise.

use std::{error::Error, fmt, io};

/// Why a stack could not be had. The numbers are `errno` values of the system call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StackError {
    /// Not even the smallest reservation of addresses was granted.
    Reserve(i32),
    /// Every slot of the reservation is taken.
    Exhausted {
        /// How many there are.
        slots: u32,
        /// The bytes of each.
        size: usize,
    },
    /// The memory of further slots could not be made writable.
    Commit(i32),
    /// The guard below a stack could not be made.
    Guard(i32),
    /// No memory for the stack that a worker handles signals on.
    Signals(i32),
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = |errno| io::Error::from_raw_os_error(errno);
        match *self {
            Self::Reserve(errno) => write!(
                f,
                "no address space for green thread stacks: {}; raise the limit on virtual memory (ulimit -v)",
                cause(errno)
            ),
            Self::Exhausted { slots, size } => write!(
                f,
                "all {slots} green thread stacks are in use; bound the number of green threads, or if `ulimit -v` limits \
                 the address space ({} KiB a stack), raise it",
                size / 1024
            ),
            Self::Commit(errno) => write!(
                f,
                "no memory for more green thread stacks: {}; raise the limit on data (ulimit -d) or on memory mappings \
                 (sysctl vm.max_map_count), or let the kernel overcommit (sysctl vm.overcommit_memory=0)",
                cause(errno)
            ),
            Self::Guard(errno) => write!(
                f,
                "no guard for another green thread stack: {}; each needs two memory mappings on this kernel, so raise \
                 their limit (sysctl vm.max_map_count, 65530 by default) to twice the number of green threads, or use \
                 Linux 6.13 or later, where guards need none",
                cause(errno)
            ),
            Self::Signals(errno) => {
                write!(f, "no memory for a worker's signal stack: {}; raise `ulimit -v`", cause(errno))
            }
        }
    }
}

impl Error for StackError {}
