//! A progress bar on stderr, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};

/// It counts `what`: `{bar} 3 of 7 files`.
pub fn bar(what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{wide_bar}} {{pos}} of {{len}} {what}"));
    ProgressBar::new(0).with_style(style.expect("a valid template"))
}
