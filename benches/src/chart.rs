//! What charts have in common.

use plotters::style::{IntoFont, RGBColor, TextStyle};

/// Lettering of so many pixels.
pub fn text(size: i32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color)
}
