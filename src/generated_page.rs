//! Pages of the documentation that come from the code: current, or rewritten when asked for.

use crate::config::Environment;
use std::path::Path;

/// Fails where `docs/NAME` is not `text`; writes it there where
/// `COUNTERFOIL_UPDATE_DOCS` is set.
pub(crate) fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if Environment::of_process().updates_documentation() {
        std::fs::write(&path, text).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == text,
        "docs/{name} is out of date: test again with COUNTERFOIL_UPDATE_DOCS set"
    );
}
