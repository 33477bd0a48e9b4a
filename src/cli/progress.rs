//! How far something is: a bar on a terminal, a line now and then where there is none.

use super::output;
use crate::{clock, store::Progress};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

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

/// A number as people write large ones.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A line that says how far something is. Without a terminal it is written every few seconds
/// instead, and at the end.
pub(super) struct Line {
    bar: ProgressBar,
    told: Instant,
}

impl Line {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { bar, told: clock::steady() }
    }

    pub(super) fn say(&mut self, text: &str) {
        let now = clock::steady();
        if !self.bar.is_hidden() {
            self.bar.set_message(text.to_owned());
            self.bar.tick();
        } else if now.duration_since(self.told) >= TOLD_EVERY {
            self.told = now;
            output::note(format_args!("{text}"));
        }
    }

    /// What it says last stays.
    pub(super) fn end(self, text: &str) {
        self.bar.finish_and_clear();
        output::note(format_args!("{text}"));
    }
}
