//! Histories by hand: each rule of the model with one that it allows, and one beside it that it does not.

use super::{
    Call::{self, *},
    Half, History, Model, Operation,
    Outcome::{self, *},
    Pending, Standstill, check, check_counts, standstill,
};
use std::{ops::Range, time::Duration};

const LIMIT: Duration = Duration::from_millis(1);
const CLOSE: Call = Close(Half::Sender);

type Line = (Range<u64>, Call, Outcome);

/// Each line is a thread of its own: which thread it was is not looked at.
fn history(lines: &[Line]) -> History {
    let operation = |(thread, (ticks, call, outcome)): (usize, &Line)| Operation {
        thread,
        call: *call,
        outcome: *outcome,
        begin: ticks.start,
        end: ticks.end,
    };
    History { operations: lines.iter().enumerate().map(operation).collect(), pending: vec![] }
}

#[track_caller]
fn right(model: &Model, lines: &[Line]) {
    let history = history(lines);
    match check(model, &history) {
        Ok(mut order) => {
            order.sort_unstable();
            assert_eq!(order, (0..lines.len()).collect::<Vec<_>>(), "each once");
        }
        Err(why) => panic!("{why}\n{history}"),
    }
}

#[track_caller]
fn wrong(model: &Model, lines: &[Line]) {
    let history = history(lines);
    if let Ok(order) = check(model, &history) {
        panic!("explained by {order:?}\n{history}");
    }
}

fn buffer(capacity: usize) -> Model {
    Model::strict(Some(capacity))
}

#[test]
fn values_leave_in_the_order_of_their_sends() {
    let in_turn = |first, second| {
        [
            (0..1, TrySend(1), Sent),
            (2..3, TrySend(2), Sent),
            (4..5, TryRecv, Received(first)),
            (6..7, TryRecv, Received(second)),
        ]
    };
    right(&buffer(2), &in_turn(1, 2));
    wrong(&buffer(2), &in_turn(2, 1));
    wrong(&Model::strict(None), &in_turn(2, 1));
    wrong(&Model::ring(2), &in_turn(2, 1));
    wrong(&buffer(2), &in_turn(1, 1));
    wrong(&buffer(2), &in_turn(1, 3));

    let at_once = |first, second| {
        [
            (0..3, TrySend(1), Sent),
            (1..2, Send(2), Sent),
            (4..5, Recv, Received(first)),
            (6..7, RecvTimeout(LIMIT), Received(second)),
        ]
    };
    right(&buffer(2), &at_once(1, 2));
    right(&buffer(2), &at_once(2, 1));
    wrong(&buffer(2), &at_once(2, 2));

    // No handing over beside the queue.
    let beside = [(2..5, Send(2), Sent), (3..6, Recv, Received(2)), (7..8, TryRecv, Received(1))];
    wrong(&buffer(2), &[[(0..1, TrySend(1), Sent)].as_slice(), &beside].concat());
}

#[test]
fn nothing_takes_effect_before_its_call() {
    right(&buffer(1), &[(0..2, TryRecv, Received(1)), (1..3, TrySend(1), Sent)]);
    wrong(&buffer(1), &[(0..1, TryRecv, Received(1)), (2..3, TrySend(1), Sent)]);
}

/// Either of the failures alone could be explained, with the send before or after it.
#[test]
fn one_order_explains_all() {
    let lines = |full, empty| [(0..9, TrySend(1), Sent), (full, TrySend(2), Full), (empty, TryRecv, Empty)];
    right(&buffer(1), &lines(3..4, 1..2));
    wrong(&buffer(1), &lines(1..2, 3..4));
    right(&Model::ring(1), &lines(1..2, 3..4));
}

#[test]
fn empty_means_that_nothing_was_there() {
    for (call, outcome) in [(TryRecv, Empty), (RecvTimeout(LIMIT), TimedOut)] {
        right(&buffer(1), &[(0..1, call, outcome), (2..3, TrySend(1), Sent)]);
        right(&buffer(1), &[(0..2, TrySend(1), Sent), (1..3, call, outcome)]);
        wrong(&buffer(1), &[(0..1, TrySend(1), Sent), (2..3, call, outcome)]);
        let received = (2..5, TryRecv, Received(1));
        right(&buffer(1), &[(0..1, TrySend(1), Sent), received, (3..4, call, outcome)]);
        wrong(&buffer(1), &[(0..1, CLOSE, Flag(true)), (2..3, call, outcome)]);
    }
}

#[test]
fn full_means_that_there_was_no_room() {
    for (call, outcome) in [(TrySend(2), Full), (SendTimeout(2, LIMIT), TimedOut)] {
        right(&buffer(1), &[(0..1, TrySend(1), Sent), (2..3, call, outcome)]);
        right(&buffer(1), &[(0..2, TrySend(1), Sent), (1..3, call, outcome)]);
        wrong(&buffer(1), &[(0..1, call, outcome), (2..3, TrySend(1), Sent)]);
        wrong(&buffer(2), &[(0..1, TrySend(1), Sent), (2..3, call, outcome)]);
        wrong(&Model::strict(None), &[(0..1, TrySend(1), Sent), (2..3, call, outcome)]);
        wrong(&buffer(1), &[(0..1, TrySend(1), Sent), (2..3, CLOSE, Flag(true)), (4..5, call, outcome)]);
    }
}

#[test]
fn no_more_than_the_capacity() {
    for call in [TrySend(2), SendTimeout(2, LIMIT), Send(2)] {
        right(&buffer(2), &[(0..1, TrySend(1), Sent), (2..3, call, Sent)]);
        wrong(&buffer(1), &[(0..1, TrySend(1), Sent), (2..3, call, Sent)]);
        right(&buffer(1), &[(0..1, TrySend(1), Sent), (2..5, call, Sent), (3..4, TryRecv, Received(1))]);
    }
}

#[test]
fn only_outcomes_of_the_call() {
    for line in [
        (0..1, Send(1), TimedOut),
        (0..1, Recv, TimedOut),
        (0..1, Recv, Empty),
        (0..1, TryRecv, TimedOut),
        (0..1, TrySend(1), TimedOut),
        (0..1, TrySend(1), GaveBackOther(2)),
        (0..1, TrySend(1), Received(1)),
        (0..1, CLOSE, Sent),
    ] {
        wrong(&buffer(0), std::slice::from_ref(&line));
        wrong(&buffer(1), &[line]);
    }
}

#[test]
fn one_close_closes() {
    let other = Close(Half::Receiver);
    right(&buffer(1), &[(0..1, CLOSE, Flag(true)), (2..3, other, Flag(false))]);
    right(&buffer(1), &[(0..2, CLOSE, Flag(false)), (1..3, other, Flag(true))]);
    wrong(&buffer(1), &[(0..2, CLOSE, Flag(true)), (1..3, other, Flag(true))]);
    wrong(&buffer(1), &[(0..2, CLOSE, Flag(false)), (1..3, other, Flag(false))]);
    wrong(&buffer(1), &[(0..1, CLOSE, Flag(false)), (2..3, other, Flag(true))]);

    right(&buffer(1), &[(0..1, IsClosed, Flag(false)), (2..3, CLOSE, Flag(true)), (4..5, IsClosed, Flag(true))]);
    right(&buffer(1), &[(0..3, CLOSE, Flag(true)), (1..2, IsClosed, Flag(true)), (4..5, IsClosed, Flag(true))]);
    wrong(&buffer(1), &[(0..5, CLOSE, Flag(true)), (1..2, IsClosed, Flag(true)), (3..4, IsClosed, Flag(false))]);
    wrong(&buffer(1), &[(0..1, IsClosed, Flag(true)), (2..3, CLOSE, Flag(true))]);
}

#[test]
fn a_closed_channel_takes_nothing() {
    for model in [buffer(1), Model::strict(None), Model::ring(1)] {
        for call in [TrySend(1), SendTimeout(1, LIMIT), Send(1)] {
            right(&model, &[(0..1, CLOSE, Flag(true)), (2..3, call, Disconnected)]);
            wrong(&model, &[(0..1, CLOSE, Flag(true)), (2..3, call, Sent)]);
            right(&model, &[(0..2, CLOSE, Flag(true)), (1..3, call, Sent)]);
            right(&model, &[(0..2, CLOSE, Flag(true)), (1..3, call, Disconnected)]);
            wrong(&model, &[(0..1, call, Disconnected), (2..3, CLOSE, Flag(true))]);
        }
    }
}

#[test]
fn receivers_get_what_is_left_before_they_hear_of_the_close() {
    for call in [TryRecv, RecvTimeout(LIMIT), Recv] {
        let left = |first, second| {
            [(0..1, TrySend(1), Sent), (2..3, CLOSE, Flag(true)), (4..5, call, first), (6..7, TryRecv, second)]
        };
        right(&buffer(1), &left(Received(1), Disconnected));
        wrong(&buffer(1), &left(Disconnected, Received(1)));
        wrong(&buffer(1), &left(Disconnected, Disconnected));
        wrong(&buffer(1), &left(Received(1), Empty));
        wrong(&Model::ring(1), &left(Disconnected, Received(1)));
        wrong(&Model::ring(1), &left(Received(1), Empty));
        wrong(&buffer(1), &[(0..1, call, Disconnected)]);
    }
}

#[test]
fn unbuffered_calls_meet() {
    let meeting = |send, recv| [(0..2, send, Sent), (1..3, recv, Received(1))];
    for send in [Send(1), SendTimeout(1, LIMIT)] {
        for recv in [Recv, RecvTimeout(LIMIT), TryRecv] {
            right(&buffer(0), &meeting(send, recv));
            wrong(&buffer(0), &[(0..1, send, Sent), (2..3, recv, Received(1))]);
            wrong(&buffer(0), &[(2..3, send, Sent), (0..1, recv, Received(1))]);
        }
    }
    right(&buffer(0), &meeting(TrySend(1), Recv));
    right(&buffer(0), &meeting(TrySend(1), RecvTimeout(LIMIT)));
    // Neither of them waits for the other.
    wrong(&buffer(0), &meeting(TrySend(1), TryRecv));
    right(&buffer(1), &meeting(TrySend(1), TryRecv));

    wrong(&buffer(0), &meeting(Send(2), Recv));
    wrong(&buffer(0), &[(0..2, SendTimeout(1, LIMIT), TimedOut), (1..3, Recv, Received(1))]);
    wrong(&buffer(0), &[(0..1, Send(1), Sent)]);
    wrong(&buffer(0), &[(0..1, Recv, Received(1))]);
    wrong(&buffer(0), &[(0..3, Send(1), Sent), (1..2, Recv, Received(1)), (4..5, TryRecv, Received(1))]);
    wrong(&buffer(0), &[(0..5, Send(1), Sent), (1..6, Recv, Received(1)), (2..4, Recv, Received(1))]);
}

/// That two overlap is not enough: they need a moment in common that fits with the rest.
#[test]
fn unbuffered_calls_meet_at_a_moment() {
    let close = |ticks| (ticks, CLOSE, Flag(true));
    right(&buffer(0), &[(0..5, Send(1), Sent), (2..6, Recv, Received(1)), close(3..4)]);
    wrong(&buffer(0), &[(0..5, Send(1), Sent), (3..6, Recv, Received(1)), close(1..2)]);
    right(&buffer(0), &[(0..5, Send(1), Disconnected), (3..6, Recv, Disconnected), close(1..2)]);
    let chain = |first: Range<u64>, second: Range<u64>| {
        [
            (0..9, Send(1), Sent),
            (first, Recv, Received(1)),
            (second.clone(), Send(2), Sent),
            (second, Recv, Received(2)),
        ]
    };
    right(&buffer(0), &chain(1..2, 3..4));
    wrong(&buffer(0), &chain(10..11, 3..4));
}

#[test]
fn an_open_unbuffered_channel_may_always_be_full_and_empty() {
    let closed = (2..3, CLOSE, Flag(true));
    for line in [
        (0..1, TrySend(1), Full),
        (0..1, SendTimeout(1, LIMIT), TimedOut),
        (0..1, TryRecv, Empty),
        (0..1, RecvTimeout(LIMIT), TimedOut),
    ] {
        let later = (4..5, line.1, line.2);
        right(&buffer(0), &[line, closed.clone()]);
        wrong(&buffer(0), &[later, closed.clone()]);
    }
}

// A ring --------------------------------------------------------------------------------------------------------------

#[test]
fn a_ring_hides_values_behind_the_first_if_its_send_is_at_work() {
    // The second send is over, and the first stands before it: it is received first.
    let lines = |first: Range<u64>, second: Range<u64>, look: Line| {
        let seen = [(20..21, TryRecv, Received(1)), (22..23, TryRecv, Received(2))];
        [[(first, TrySend(1), Sent), (second, TrySend(2), Sent), look].as_slice(), &seen].concat()
    };
    for (call, outcome) in [(TryRecv, Empty), (RecvTimeout(LIMIT), TimedOut)] {
        let look = (4..5, call, outcome);
        right(&Model::ring(2), &lines(0..9, 1..2, look.clone()));
        wrong(&Model::strict(Some(2)), &lines(0..9, 1..2, look.clone()));
        // Over when the look begins.
        wrong(&Model::ring(2), &lines(0..3, 1..2, look.clone()));
        // The second hides nothing.
        wrong(&Model::ring(2), &lines(0..1, 2..9, look));
    }
    // The close came after the first.
    let close = (4..5, CLOSE, Flag(true));
    let look = |outcome| [lines(0..9, 1..2, close.clone()).as_slice(), &[(6..7, TryRecv, outcome)]].concat();
    right(&Model::ring(2), &look(Empty));
    wrong(&Model::strict(Some(2)), &look(Empty));
    wrong(&Model::ring(2), &look(Disconnected));
}

/// The send of 2 overlaps with the look, but may be over before the value that stands before it has gone.
#[test]
fn a_ring_hides_at_the_moment_of_the_look() {
    let lines = |end| {
        [
            (0..1, TrySend(1), Sent),
            (2..end, TrySend(2), Sent),
            (4..5, TrySend(3), Sent), // after 2, which so has taken effect
            (6..30, TryRecv, Empty),
            (12..13, TryRecv, Received(1)),
            (31..32, TryRecv, Received(2)),
            (33..34, TryRecv, Received(3)),
        ]
    };
    right(&Model::ring(3), &lines(14));
    wrong(&Model::ring(3), &lines(11));
    wrong(&Model::strict(Some(3)), &lines(14));
}

#[test]
fn a_ring_hides_room_behind_the_receive_that_holds_the_next_slot() {
    let lines = |first: Range<u64>, second: Range<u64>, rest: &[Line]| {
        let sent = [(0..1, TrySend(1), Sent), (2..3, TrySend(2), Sent)];
        // That nothing is left shows that both receives have taken effect.
        let received = [(first, Recv, Received(1)), (second, Recv, Received(2)), (8..9, TryRecv, Empty)];
        [sent.as_slice(), &received, rest].concat()
    };
    for (call, outcome) in [(TrySend(3), Full), (SendTimeout(3, LIMIT), TimedOut)] {
        let look = [(10..11, call, outcome)];
        right(&Model::ring(2), &lines(4..20, 5..6, &look));
        wrong(&Model::strict(Some(2)), &lines(4..20, 5..6, &look));
        wrong(&Model::ring(3), &lines(4..20, 5..6, &look));
        // Over when the look begins.
        wrong(&Model::ring(2), &lines(4..7, 5..6, &look));
        // The second holds the slot after the next.
        wrong(&Model::ring(2), &lines(4..5, 6..20, &look));
        right(&Model::ring(2), &lines(4..5, 6..20, &[(10..11, TrySend(4), Sent), (12..13, call, outcome)]));
        // Closed is closed.
        let closed = [(10..11, CLOSE, Flag(true)), (12..13, call, outcome)];
        wrong(&Model::ring(2), &lines(4..20, 5..6, &closed));
    }
    // Two laps later it is another receive that counts.
    let lap = [(10..11, TrySend(3), Sent), (12..13, TryRecv, Received(3)), (14..15, TrySend(4), Full)];
    right(&Model::ring(2), &lines(4..5, 6..20, &lap));
    wrong(&Model::ring(2), &lines(4..5, 6..7, &lap));
}

#[test]
fn a_pool_is_full_by_the_places_of_calls_at_work() {
    for (call, outcome) in [(TrySend(3), Full), (SendTimeout(3, LIMIT), TimedOut)] {
        let one = (0..1, TrySend(1), Sent);
        let look = (4..5, call, outcome);
        // A receive that has taken its value, and a send that has yet to bring one, hold a place.
        let receive = |end| (2..end, Recv, Received(1));
        right(&Model::pool(1), &[one.clone(), receive(9), (3..4, TryRecv, Empty), look.clone()]);
        wrong(&Model::strict(Some(1)), &[one.clone(), receive(9), (3..4, TryRecv, Empty), look.clone()]);
        right(&Model::pool(2), &[one.clone(), (2..9, Send(2), Sent), look.clone()]);
        // Over when the look begins; one place more than there are calls; closed is closed.
        wrong(&Model::pool(1), &[one.clone(), receive(3), look.clone()]);
        wrong(&Model::pool(2), &[one.clone(), receive(9), (3..4, TryRecv, Empty), look.clone()]);
        wrong(&Model::pool(1), &[one.clone(), (2..3, CLOSE, Flag(true)), look]);
    }
    // Nothing hides a value.
    let behind_a_send = [
        (0..9, TrySend(1), Sent),
        (2..3, TrySend(2), Sent),
        (4..5, TryRecv, Empty),
        (10..11, TryRecv, Received(1)),
        (12..13, TryRecv, Received(2)),
    ];
    right(&Model::ring(2), &behind_a_send);
    wrong(&Model::pool(2), &behind_a_send);
}

// Who waits -----------------------------------------------------------------------------------------------------------

fn waiting(lines: &[Line], calls: &[Call]) -> History {
    let pending =
        calls.iter().enumerate().map(|(at, call)| Pending { thread: at, call: *call, begin: 100 + at as u64 });
    History { pending: pending.collect(), ..history(lines) }
}

#[test]
fn a_standstill_is_right_if_nobody_is_owed_what_he_waits_for() {
    let sent = (0..1, TrySend(1), Sent);
    let closed = (2..3, CLOSE, Flag(true));
    for (capacity, lines, calls, expected) in [
        (1, [].as_slice(), [Recv].as_slice(), Standstill::Right),
        (1, &[], &[Recv, Recv], Standstill::Right),
        (1, std::slice::from_ref(&sent), &[Recv], Standstill::Owed),
        (1, std::slice::from_ref(&sent), &[Send(2)], Standstill::Right),
        (2, std::slice::from_ref(&sent), &[Send(2)], Standstill::Owed),
        (1, std::slice::from_ref(&closed), &[Recv], Standstill::Owed),
        (1, &[sent.clone(), closed.clone()], &[Send(2)], Standstill::Owed),
        (0, &[], &[Recv], Standstill::Right),
        (0, &[], &[Send(1), Send(2)], Standstill::Right),
        (0, &[], &[Send(1), Recv], Standstill::Owed),
        (0, std::slice::from_ref(&closed), &[Send(1)], Standstill::Owed),
        // It was the waiting send's: he is on his way.
        (1, &[(2..3, TryRecv, Received(2))], &[Send(2)], Standstill::Unexplained),
        // In one of the two orders there is no room.
        (1, &[(0..3, TrySend(1), Sent), (1..2, TrySend(3), Full)], &[Send(2)], Standstill::Right),
    ] {
        let history = waiting(lines, calls);
        assert_eq!(standstill(&buffer(capacity), &history), expected, "capacity {capacity}\n{history}");
    }
    assert_eq!(standstill(&Model::strict(None), &waiting(&[sent], &[Send(2)])), Standstill::Owed);
}

// Counts --------------------------------------------------------------------------------------------------------------

#[test]
fn counts_lie_between_what_the_calls_around_them_allow() {
    // One is surely in, one may be, and one may be out.
    let around = [
        (0..1, TrySend(1), Sent),
        (2..3, TrySend(2), Sent),
        (4..9, TryRecv, Received(1)),
        (5..10, TrySend(3), Sent),
        (11..12, TrySend(4), Full),
    ];
    for (call, outcome, allowed) in [
        (Len, Count(0), false),
        (Len, Count(1), true),
        (Len, Count(3), true),
        (Len, Count(4), false),
        (IsEmpty, Flag(false), true),
        (IsEmpty, Flag(true), false),
        (IsFull, Flag(true), true),
        (IsFull, Flag(false), true),
        (IsFull, Sent, false),
    ] {
        let history = history(&[around.as_slice(), &[(6..7, call, outcome)]].concat());
        assert_eq!(check_counts(&buffer(3), &history).is_ok(), allowed, "{history}");
    }
    for (capacity, call, outcome, allowed) in [
        (Some(1), IsFull, Flag(true), true),
        (Some(1), IsFull, Flag(false), false),
        (Some(2), IsFull, Flag(true), false),
        (Some(2), IsFull, Flag(false), true),
        (None, IsFull, Flag(true), false),
        (None, IsFull, Flag(false), true),
        (Some(1), IsEmpty, Flag(true), false),
        (Some(1), Len, Count(2), false),
    ] {
        let history = history(&[(0..1, TrySend(1), Sent), (2..3, call, outcome), (4..5, TryRecv, Received(1))]);
        assert_eq!(check_counts(&Model::strict(capacity), &history).is_ok(), allowed, "{capacity:?}\n{history}");
    }
    // A send that the close refuses is counted while it is at work, if there is no limit; never after.
    for (capacity, refused, call, outcome, allowed) in [
        (None, 2..7, Len, Count(2), true),
        (None, 2..7, Len, Count(3), false),
        (None, 2..3, Len, Count(2), false),
        (None, 8..9, Len, Count(2), false),
        (None, 2..7, Len, Count(0), false),
        (Some(3), 2..7, Len, Count(2), false),
        (None, 2..7, IsEmpty, Flag(true), false),
    ] {
        let send = (refused, Send(2), Disconnected);
        let history = history(&[(0..1, Send(1), Sent), send, (4..5, call, outcome)]);
        assert_eq!(check_counts(&Model::strict(capacity), &history).is_ok(), allowed, "{capacity:?}\n{history}");
    }
    for (refused, allowed) in [(0..3, true), (0..1, false)] {
        let history = history(&[(refused, Send(1), Disconnected), (2..4, IsEmpty, Flag(false))]);
        assert_eq!(check_counts(&Model::strict(None), &history).is_ok(), allowed, "{history}");
    }
    for look in [(0..1, Len, Count(1)), (6..7, Len, Count(1))] {
        let history = history(&[(2..3, TrySend(1), Sent), (4..5, TryRecv, Received(1)), look]);
        assert!(check_counts(&buffer(1), &history).is_err(), "{history}");
    }
    for (call, outcome, allowed) in [
        (Len, Count(0), true),
        (Len, Count(1), false),
        (IsEmpty, Flag(true), true),
        (IsEmpty, Flag(false), false),
        (IsFull, Flag(true), true),
        (IsFull, Flag(false), false),
    ] {
        let history = history(&[(0..5, Send(1), Sent), (1..4, Recv, Received(1)), (2..3, call, outcome)]);
        assert_eq!(check_counts(&buffer(0), &history).is_ok(), allowed, "{history}");
    }
}

// What a failure shows ------------------------------------------------------------------------------------------------

#[test]
fn the_diagram() {
    let mut history = history(&[(10..30, TrySend(1), Sent), (20..40, TryRecv, Empty)]);
    history.pending.push(Pending { thread: 2, call: Recv, begin: 35 });
    let expected = "\
thread 0 ├─┤   try_send(1): Sent
thread 1  ├──┤ try_recv(): Empty
thread 2    ├┄ recv()
";
    assert_eq!(history.to_string(), expected);
}

#[test]
fn the_reason() {
    let history = history(&[(0..1, TrySend(1), Sent), (2..3, TryRecv, Empty)]);
    let why = check(&buffer(1), &history).unwrap_err().to_string();
    let (explained, rest) = why.split_once("Then it is open and holds [1]").expect("the state");
    assert!(explained.contains("thread 0 try_send(1): Sent") && rest.contains("thread 1 try_recv(): Empty"), "{why}");
}
