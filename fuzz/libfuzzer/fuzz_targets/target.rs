//! libFuzzer at one target, which COUNTERFOIL_FUZZ_TARGET names.
//!
//! One program for all, so that there is one list of targets and one link.

#![no_main]

use counterfoil_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("COUNTERFOIL_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("COUNTERFOIL_FUZZ_TARGET: there is no target {name:?}"))
});

fuzz_target!(|input: &[u8]| (TARGET.check)(input));
