//! What the integration tests share.

use greenlight::{
    Runtime,
    channel::{Sender, bounded},
};
pub mod conservation;
pub mod linearizability;
pub mod programs;
pub mod promises;
#[cfg(doctest)]
mod refused;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;

/// Runs `program` as a green thread twice: on one worker, where nothing goes on unless it is given a turn, and on
/// several (one for each CPU, two at least).
///
/// # Panics
///
/// With the panic of `program`.
pub fn on_workers(program: impl Fn() + Copy + Send + 'static) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    for workers in [1, cpus.max(2)] {
        println!("on {workers} workers"); // shown if the test fails
        Runtime::builder().workers(workers).build().expect("the workers start").run(program);
    }
}

/// A sender from which nobody ever receives: Go's nil channel, on the side where
/// [`never`](greenlight::channel::never) cannot stand.
pub fn nowhere<T>() -> Sender<T> {
    let (tx, rx) = bounded(0);
    std::mem::forget(rx); // its receiver is never gone, so the channel is never closed
    tx
}

/// A program built like this test, about to start: through an emulator, if this test runs through one too and the
/// environment says which (`GREENLIGHT_TEST_RUNNER`). Ctrl-C has its default effect there, also if this test ignores it: a shell has
/// what it starts in the background do that.
pub fn program(executable: impl AsRef<OsStr>) -> Command {
    let runner = std::env::var("GREENLIGHT_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let mut command = match words.next() {
        None => Command::new(executable),
        Some(emulator) => {
            let mut command = Command::new(emulator);
            command.args(words).arg(executable);
            command
        }
    };
    let defaults = || {
        for signal in [libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: it changes what the new process does with a signal, and no handler is named.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: `signal` may be called between fork and exec, and nothing is allocated.
    unsafe { command.pre_exec(defaults) };
    command
}

/// The executable of one of greenlight's examples, which is built first if need be: once per process, with the profile,
/// the target and the flags of the test that asks.
///
/// # Panics
///
/// If the example does not build.
pub fn example(name: &str) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);

    // A poisoned lock: a build has failed, and its test says so.
    let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    built.entry(name.to_owned()).or_insert_with(|| build_example(name)).clone()
}

/// Our own executable is `TARGET_DIR/[TRIPLE/]PROFILE/deps/NAME-HASH`: from that come the arguments, and the rest of the
/// settings (`RUSTFLAGS`, `RUSTUP_TOOLCHAIN`) are in the environment that cargo inherits from us. Where cargo then puts
/// the example is not for us to guess: it says so.
fn build_example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own executable");
    let profile_dir = test.ancestors().nth(2).expect("TARGET_DIR/PROFILE/deps/NAME");
    let profile = match file_name(profile_dir) {
        "debug" => "dev",
        other => other,
    };
    let above = profile_dir.parent().expect("TARGET_DIR/PROFILE");

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // The features of the dependencies are those of all packages that are named: the same ones as for the tests, or it is all built
    // once more.
    let packages = std::env::var("GREENLIGHT_TEST_PACKAGES").unwrap_or_else(|_| "--workspace".into());
    cargo.arg("build").args(packages.split_whitespace());
    // What cargo tells this test of its package. A build script that reads the like (ring's) would run again, and all that
    // depends on it be built anew: now, and when the next test is built.
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        cargo.env_remove(name);
    }
    cargo.args(["--example", name, "--profile", profile]);
    cargo.arg("--message-format=json-render-diagnostics");
    // Cargo keeps this file at the top of a target directory, so one below it is that of a `--target`.
    if above.join(".rustc_info.json").exists() {
        cargo.arg("--target-dir").arg(above);
    } else if let Some(top) = above.parent().filter(|top| top.join(".rustc_info.json").exists()) {
        cargo.arg("--target-dir").arg(top).args(["--target", file_name(above)]);
    }

    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "`{cargo:?}` failed, see above");
    let messages = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    messages.lines().filter(|message| message.contains(r#""kind":["example"]"#)).find_map(executable).expect("its path")
}

/// The value of `"executable"` in one of cargo's messages.
fn executable(message: &str) -> Option<PathBuf> {
    let (_, value) = message.split_once(r#""executable":""#)?;
    let (mut path, mut rest) = (String::new(), value.chars());
    loop {
        match rest.next()? {
            '"' => return Some(path.into()),
            '\\' => path.push(rest.next()?),
            other => path.push(other),
        }
    }
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name")
}

/// Go's `test/chan/perm.go`: what may be done with a channel of one direction. Our halves are types of their own,
/// neither of which has the other's calls or becomes the other. (Both may close the channel; in Go a receiver may not.)
///
/// ```
/// use greenlight::{channel::bounded, select};
///
/// let (tx, rx) = bounded(1);
/// tx.send(0).unwrap();
/// assert_eq!(rx.recv(), Ok(0));
/// select! { send(tx, 1) -> sent => sent.unwrap() }
/// select! { recv(rx) -> got => assert_eq!(got, Ok(1)) }
/// tx.close();
/// for value in &rx {
///     unreachable!("{value}");
/// }
/// ```
///
/// ```compile_fail,E0599
/// let (_tx, rx) = greenlight::channel::bounded(1);
/// rx.send(0);
/// ```
///
/// ```compile_fail,E0599
/// let (tx, _rx) = greenlight::channel::bounded::<i32>(1);
/// tx.recv();
/// ```
///
/// ```compile_fail,E0308
/// use greenlight::channel::{Receiver, bounded};
///
/// let (tx, mut rx): (_, Receiver<i32>) = bounded(1);
/// rx = tx;
/// ```
///
/// ```compile_fail,E0308
/// use greenlight::channel::{Sender, bounded};
///
/// let (mut tx, rx): (Sender<i32>, _) = bounded(1);
/// tx = rx;
/// ```
///
/// ```compile_fail
/// let (_tx, rx) = greenlight::channel::bounded(1);
/// greenlight::select! { send(rx, 0) -> _ => {} }
/// ```
///
/// ```compile_fail
/// let (tx, _rx) = greenlight::channel::bounded::<i32>(1);
/// greenlight::select! { recv(tx) -> _ => {} }
/// ```
///
/// ```compile_fail,E0277
/// let (tx, _rx) = greenlight::channel::bounded::<i32>(1);
/// for _value in &tx {}
/// ```
#[cfg(doctest)]
struct Directions;
