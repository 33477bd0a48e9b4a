//! How far something is: a bar on a terminal, a line now and then where there is none.

use crate::{clock, store::Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::{cell::Cell, time::Duration};

/// How often a line is written.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// A bar for so many of `what`, and what moves it. Without a terminal there is no bar to
/// see, and `tell` is called every few seconds instead.
pub(super) fn progress(
    what: &str,
    tell: impl Fn(u64, u64) + Send + 'static,
) -> (ProgressBar, Progress) {
    let bar = ProgressBar::no_length();
    let template = format!("{{bar:30}} {{human_pos}} of {{human_len}} {what}, {{eta}} to go");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let told = Cell::new(clock::steady());
    let step = move |done, of| {
        shown.set_length(of);
        shown.set_position(done);
        let now = clock::steady();
        if shown.is_hidden() && now.duration_since(told.get()) >= TOLD_EVERY {
            told.set(now);
            tell(done, of);
        }
    };
    (bar, Box::new(step))
}
