//! The forms of each example API.
