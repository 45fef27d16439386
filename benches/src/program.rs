//! Running a program that prints figures.

use std::{
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs `program` and returns what it printed, `NAME<TAB>METRIC<TAB>VALUE` in each line: the metrics and their values.
///
/// # Errors
///
/// Says what went wrong: it cannot be started, took longer than `limit`, failed, or printed something else. It must not print more
/// than fits into a pipe.
pub fn figures(program: &mut Command, limit: Duration) -> Result<Vec<(String, f64)>, String> {
    let mut child = program
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.get_program().display()))?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if start.elapsed() < limit => thread::sleep(Duration::from_millis(2)),
            None => {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                return Err(format!("hung: not done after {} s", limit.as_secs()));
            }
        }
    };
    let (mut output, mut errors) = (String::new(), String::new());
    let read = child.stdout.take().map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut output));
    read.and_then(|_| child.stderr.take().map_or(Ok(0), |mut pipe| pipe.read_to_string(&mut errors)))
        .map_err(|error| format!("its output: {error}"))?;
    if !status.success() {
        return Err(format!("{status}: {}", errors.trim().lines().next_back().unwrap_or("(no message)")));
    }
    let figure = |line: &str| {
        let mut fields = line.split('\t').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
    };
    let figures: Option<Vec<_>> = output.lines().map(figure).collect();
    figures.filter(|figures| !figures.is_empty()).ok_or_else(|| format!("printed no figures but {output:?}"))
}
