//! Ctrl-C as a context: everything that is done under it ends when somebody presses it.

use greenlight::context::Context;
use std::{io, process};

/// As if SIGINT had ended us.
pub const INTERRUPTED: u8 = 130;

/// A context that ends at the first Ctrl-C. The second one ends the process at once.
pub fn until_ctrl_c() -> io::Result<Context> {
    let (ctx, cancel) = Context::background().with_cancel();
    let mut pressed_before = false;
    ctrlc::set_handler(move || {
        if pressed_before {
            process::exit(INTERRUPTED.into());
        }
        pressed_before = true;
        cancel.cancel_with("interrupted");
    })
    .map_err(io::Error::other)?;
    Ok(ctx)
}
