//! A text as a QR code: path data for an `<svg>` in a page, so that no image is kept anywhere.

use qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::Write as _;

/// How many modules stay free around a code (ISO/IEC 18004 §5.3.8).
const MARGIN: i32 = 4;

/// A QR code, to be drawn as
/// `<svg viewBox="0 0 SIZE SIZE"><path d="PATH"/></svg>`, dark on light.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Its width and height in modules, the free margin included.
    pub(crate) size: i32,
    /// One rectangle for each run of dark modules.
    pub(crate) path: String,
}

/// The picture of `text`; none where it is too long for one.
pub(crate) fn picture(text: &str) -> Option<Picture> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            let run = i32::try_from(run).ok()?;
            if run > 0 {
                let _ = write!(path, "M{},{}h{run}v1h-{run}z", x + MARGIN, y + MARGIN);
            }
            x += run.max(1);
        }
    }
    Some(Picture { size: code.size() + 2 * MARGIN, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The modules that a path makes dark.
    fn drawn(path: &str) -> BTreeSet<(i32, i32)> {
        let mut modules = BTreeSet::new();
        for run in path.split_terminator('z') {
            let (start, rest) = run.strip_prefix('M').unwrap().split_once('h').unwrap();
            let (x, y) = start.split_once(',').unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            let (length, back) = rest.split_once("v1h-").unwrap();
            assert_eq!(length, back);
            modules.extend((x..x + length.parse::<i32>().unwrap()).map(|x| (x, y)));
        }
        modules
    }

    #[test]
    fn too_long_a_text_has_no_picture() {
        assert_eq!(picture(&"x".repeat(4000)), None);
        assert!(picture("").is_some());
    }

    proptest! {
        #[test]
        fn the_path_has_every_dark_module(text in ".{0,120}") {
            let picture = picture(&text).unwrap();
            let code = QrCode::encode_text(&text, QrCodeEcc::Medium).unwrap();
            let dark = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)))
                .filter(|(x, y)| code.get_module(*x, *y))
                .map(|(x, y)| (x + MARGIN, y + MARGIN));
            prop_assert_eq!(drawn(&picture.path), dark.collect());
            prop_assert_eq!(picture.size, code.size() + 2 * MARGIN);
        }
    }
}
