//! Green threads join in. Their park hooks hold for this whole process: the waits of the foreign runtimes' threads go
//! through them, too.

use greenlight::{
    channel::bounded,
    context::{Context, ContextError},
    go, select,
    time::Timer,
};
use greenlight_runtime_tests::{All, Call, Host, Tally, Task, Team, every_workload, hosts::wait_for};
use std::time::Duration;

/// A green thread for each future, and for each call.
struct GreenThreads;

impl Host for GreenThreads {
    fn name(&self) -> String {
        "green threads".into()
    }

    fn spawn(&self, task: Task) {
        greenlight::go(|| wait_for(task));
    }

    fn block(&self, call: Call) {
        greenlight::go(call);
    }
}

every_workload! {
    green_threads: GreenThreads,
    all_at_once: All::with(vec![Box::new(GreenThreads), Box::new(GreenThreads)]),
}

/// A blocking `select!` between what tasks of all runtimes send and what only greenlight has: the end of a task, a timer, a
/// context. On green threads and on the other runtimes' threads for blocking calls.
#[test]
fn selects_of_greenlights_own() {
    const SENDERS: u64 = 9;
    const COUNT: u64 = 900;
    let host = All::with(vec![Box::new(GreenThreads), Box::new(GreenThreads)]);
    let ((tx, rx), (context, cancel)) = (bounded(0), Context::background().with_cancel());
    let mut team = Team::on(&host);
    for first in 0..SENDERS {
        let (tx, cancel) = (tx.clone(), cancel.clone());
        team.task(async move {
            for number in (first..COUNT).step_by(SENDERS as usize) {
                tx.send_async(number).await.expect("receivers are there to the end");
            }
            if first == 0 {
                cancel.cancel();
            }
        });
    }
    drop(tx);
    for _ in 0..SENDERS {
        let (rx, context) = (rx.clone(), context.clone());
        team.call(move || {
            let moment = Duration::from_micros(50);
            let (mut tally, timer, mut task) = (Tally::default(), Timer::new(moment), go(|| 7));
            loop {
                select! {
                    recv(rx) -> number => match number {
                        Ok(number) => tally += number,
                        Err(_) => break,
                    },
                    wait(&mut task) -> result => {
                        assert_eq!(result.unwrap(), 7);
                        task = go(|| 7);
                    }
                    wait(timer.wait_async()) -> _ => assert!(!timer.reset(moment), "it had told us"),
                    wait(context.done()) -> why => {
                        assert_eq!(why, ContextError::Cancelled);
                        break;
                    }
                }
            }
            // Those that have lost are as they were.
            assert_eq!(task.join().unwrap(), 7);
            timer.wait();
            assert_eq!(context.wait(), ContextError::Cancelled);
            rx.iter().fold(tally, |mut tally, number| {
                tally += number;
                tally
            })
        });
    }
    drop(rx);
    assert_eq!(team.finish(), Tally::below(COUNT));
}
