//! What a group makes of what its tasks return.

use std::mem;

/// How the tasks of a [`Group`](super::Group) end together: what becomes of each result, and when the others are told to stop.
pub trait Policy: Send + 'static {
    /// What each task returns.
    type Output: Send + 'static;
    /// What they amount to.
    type Outcome;

    /// Takes what task `number`, counted from zero, has returned. True if the others need not go on.
    fn take(&mut self, number: usize, output: Self::Output) -> bool;

    /// What the results so far amount to. It starts over.
    fn outcome(&mut self) -> Self::Outcome;
}

/// The first error stops the others, and is the outcome. Go's errgroup.
#[derive(Debug)]
pub struct FirstError<E>(Option<E>);

/// All results, in the order in which the tasks were started. Nothing but a panic stops the others.
#[derive(Debug)]
pub struct CollectAll<T>(Vec<(usize, T)>);

/// The first success stops the others, and is the outcome; all errors in the order in which the tasks were started, if there is
/// none.
#[derive(Debug)]
pub struct FirstSuccess<T, E> {
    success: Option<T>,
    errors: CollectAll<E>,
}

impl<E> Default for FirstError<E> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Default for CollectAll<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, E> Default for FirstSuccess<T, E> {
    fn default() -> Self {
        Self { success: None, errors: CollectAll::default() }
    }
}

impl<E: Send + 'static> Policy for FirstError<E> {
    type Output = Result<(), E>;
    type Outcome = Result<(), E>;

    fn take(&mut self, _: usize, output: Result<(), E>) -> bool {
        match output {
            Err(error) if self.0.is_none() => {
                self.0 = Some(error);
                true
            }
            _ => false,
        }
    }

    fn outcome(&mut self) -> Result<(), E> {
        self.0.take().map_or(Ok(()), Err)
    }
}

impl<T: Send + 'static> Policy for CollectAll<T> {
    type Output = T;
    type Outcome = Vec<T>;

    fn take(&mut self, number: usize, output: T) -> bool {
        self.0.push((number, output));
        false
    }

    fn outcome(&mut self) -> Vec<T> {
        let mut all = mem::take(&mut self.0);
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, output)| output).collect()
    }
}

impl<T: Send + 'static, E: Send + 'static> Policy for FirstSuccess<T, E> {
    type Output = Result<T, E>;
    type Outcome = Result<T, Vec<E>>;

    fn take(&mut self, number: usize, output: Result<T, E>) -> bool {
        match output {
            Ok(success) if self.success.is_none() => {
                self.success = Some(success);
                true
            }
            Ok(_) => false,
            Err(error) => self.errors.take(number, error),
        }
    }

    fn outcome(&mut self) -> Result<T, Vec<E>> {
        let errors = self.errors.outcome();
        self.success.take().ok_or(errors)
    }
}
