//! A panic says whose it is, before the panic hook says the rest; a cancellation says nothing.

use greenlight::{channel::never, task::Builder};
use greenlight_tests::program;

const CHILD: &str = "GREENLIGHT_TEST_PANIC_NAMES";

#[test]
fn a_panic_names_its_task() {
    if std::env::var_os(CHILD).is_some() {
        let parser = Builder::new().name("a parser").spawn(|| panic!("no such token"));
        assert!(parser.join().unwrap_err().is_panic());
        let future = Builder::new().name("a future").spawn_async(async { panic!("no such page") });
        assert!(future.join().unwrap_err().is_panic());
        let quiet = Builder::new().name("a quiet one").spawn(|| never::<()>().recv());
        quiet.cancel();
        assert!(quiet.join().unwrap_err().is_cancelled());
        return;
    }
    let output = program(std::env::current_exe().unwrap())
        .args(["a_panic_names_its_task", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    for (name, text) in [("\"a parser\", spawned at", "no such token"), ("\"a future\", spawned at", "no such page")] {
        let at = err.find(name).unwrap_or_else(|| panic!("{name}: {err}"));
        assert!(err[at..].contains("panic_names.rs:") && err[at..].contains(text), "{err}");
    }
    assert!(!err.contains("a quiet one"), "{err}");
}
