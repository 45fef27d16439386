//! What must not cross from one task into another, and does not compile: documentation tests, each with the error that it is.
//! What may cross stands beside it, so that no example fails for another reason. (Only a nightly rustdoc compares the
//! error codes; a stable one is content if it does not compile.)
//!
//! What is not `Send` into a green thread, by each way in.
//!
//! ```
//! let shared = std::sync::Arc::new(1);
//! greenlight::go(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::go(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::go!(println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::go_near(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::run(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::task::Builder::new().spawn(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::Runtime::builder().build().unwrap().go(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::WaitGroup::new().go(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::group::Group::collect_all(&greenlight::context::Context::background()).go(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::group::Pool::new(1, 1).submit(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::blocking(move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let shared = std::rc::Rc::new(1);
//! greenlight::time::after_func(std::time::Duration::ZERO, move || println!("{shared}"));
//! ```
//!
//! ```compile_fail,E0277
//! let count = std::cell::Cell::new(0);
//! greenlight::scope(|s| {
//!     s.spawn(|| count.set(1));
//! });
//! ```
//!
//! ```compile_fail,E0277
//! let count = std::cell::Cell::new(0);
//! greenlight::group::parallel_for(0..9, |i| count.set(i));
//! ```
//!
//! Guards that belong to the thread that has locked. Ours do not: any task may unlock.
//!
//! ```
//! static LOCK: greenlight::Mutex<u32> = greenlight::Mutex::new(0);
//! let guard = LOCK.lock();
//! greenlight::go(move || drop(guard));
//! let guard = greenlight::go(|| LOCK.lock()).join();
//! ```
//!
//! ```compile_fail,E0277
//! static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
//! let guard = LOCK.lock().unwrap();
//! greenlight::go(move || drop(guard));
//! ```
//!
//! ```compile_fail,E0277
//! let cell = std::cell::RefCell::new(0);
//! let borrow = cell.borrow_mut();
//! greenlight::scope(|s| {
//!     s.spawn(move || drop(borrow));
//! });
//! ```
//!
//! What is not `Send` out of one: a guard, or a share, that the joiner's thread would drop.
//!
//! ```
//! let value = greenlight::go(|| std::sync::Arc::new(1)).join();
//! ```
//!
//! ```compile_fail,E0277
//! let value = greenlight::go(|| std::rc::Rc::new(1)).join();
//! ```
//!
//! ```compile_fail,E0277
//! static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
//! let guard = greenlight::go(|| LOCK.lock().unwrap()).join();
//! ```
//!
//! ```compile_fail,E0277
//! greenlight::scope(|s| drop(s.spawn(|| std::rc::Rc::new(1)).join()));
//! ```
//!
//! ```compile_fail,E0277
//! let value = greenlight::blocking(|| std::rc::Rc::new(1)).join();
//! ```
//!
//! ```compile_fail,E0277
//! let (tx, rx) = greenlight::channel::bounded::<std::rc::Rc<u32>>(1);
//! greenlight::go(move || rx.recv());
//! ```
//!
//! ```compile_fail,E0277
//! use greenlight::channel::StaticChannel;
//! static SHARED: StaticChannel<std::rc::Rc<u32>, 1> = StaticChannel::new();
//! ```
//!
//! Borrows, into what may outlive what they borrow.
//!
//! ```
//! static TEXT: &str = "static";
//! greenlight::go(|| println!("{TEXT}"));
//! ```
//!
//! ```compile_fail,E0373
//! let text = String::from("local");
//! greenlight::go(|| println!("{text}"));
//! ```
//!
//! ```compile_fail,E0597
//! let text = String::from("local");
//! let borrowed = &text;
//! greenlight::go(move || println!("{borrowed}"));
//! ```
//!
//! ```compile_fail,E0597
//! let text = String::from("local");
//! let borrowed = &text;
//! greenlight::go(move || borrowed.as_str()).join();
//! ```
//!
//! ```compile_fail,E0373
//! let text = String::from("local");
//! greenlight::blocking(|| println!("{text}"));
//! ```
//!
//! ```compile_fail,E0521
//! use std::sync::atomic::{AtomicU32, Ordering};
//! thread_local!(static COUNT: AtomicU32 = const { AtomicU32::new(0) });
//! COUNT.with(|count| greenlight::go(move || count.store(1, Ordering::Relaxed)));
//! ```
//!
//! Into futures that are tasks: what they hold at an `await` goes from thread to thread, and nobody waits for them.
//!
//! ```
//! greenlight::go_async(async {
//!     println!("{}", std::rc::Rc::new(1)); // gone before the await
//!     std::future::ready(()).await;
//! });
//! ```
//!
//! ```compile_fail,E0277
//! greenlight::go_async(async { std::rc::Rc::new(1) });
//! ```
//!
//! ```compile_fail,E0597
//! let text = String::from("local");
//! let borrowed = &text;
//! greenlight::go_async(async move { println!("{borrowed}") });
//! ```
//!
//! ```compile_fail,E0373
//! let text = String::from("local");
//! greenlight::go_async(async { println!("{text}") });
//! ```
//!
//! (These have no code of their own: a future that is not `Send`.)
//!
//! ```compile_fail
//! greenlight::go_async(async {
//!     let shared = std::rc::Rc::new(1);
//!     std::future::ready(()).await;
//!     println!("{shared}");
//! });
//! ```
//!
//! ```compile_fail
//! static LOCK: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
//! greenlight::go_async(async {
//!     let guard = LOCK.lock().unwrap();
//!     std::future::ready(()).await;
//!     drop(guard);
//! });
//! ```
//!
//! Out of a scope: no child, handle or borrow outlives it.
//!
//! ```
//! let mut text = String::from("local");
//! greenlight::scope(|s| drop(s.spawn(|| text.push('!')).join()));
//! text.push('?');
//! ```
//!
//! ```compile_fail,E0373
//! greenlight::scope(|s| {
//!     let inside = String::from("gone before the children are");
//!     s.spawn(|| println!("{inside}"));
//! });
//! ```
//!
//! ```compile_fail,E0597
//! greenlight::scope(|s| {
//!     let inside = String::from("gone before the children are");
//!     let borrowed = &inside;
//!     s.spawn(move || println!("{borrowed}"));
//! });
//! ```
//!
//! ```compile_fail,E0521
//! greenlight::scope(|s| {
//!     greenlight::go(move || s.spawn(|| ())); // may outlive the scope
//! });
//! ```
//!
//! ```compile_fail,E0505
//! let text = String::from("local");
//! greenlight::scope(|s| {
//!     s.spawn(|| println!("{text}"));
//!     drop(text);
//! });
//! ```
//!
//! ```compile_fail
//! let handle = greenlight::scope(|s| s.spawn(|| 1)); // a lifetime that has no name: no code
//! ```
//!
//! Out of a task's local.
//!
//! ```compile_fail
//! greenlight::task_local!(static NAME: String = String::new(););
//! let name: &String = NAME.with(|name| name); // as above
//! ```
