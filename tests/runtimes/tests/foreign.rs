//! No runtime of ours: the workloads on each foreign one, and on all of them at once.

use greenlight_runtime_tests::{
    All, every_workload,
    hosts::{Embassy, FuturesLite, OsThreads, Pollster, Smol, TokioCurrent, TokioThreads},
};

every_workload! {
    tokio_threads: TokioThreads::new(),
    tokio_current: TokioCurrent::new(),
    smol: Smol::new(),
    embassy: Embassy::new(),
    futures_lite: FuturesLite,
    pollster: Pollster,
    os_threads: OsThreads,
    all_at_once: All::new(),
}
