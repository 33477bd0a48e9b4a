//! From when until when a certificate is good, read from its DER (RFC 5280 §4.1).

use counterfoil_core::Timestamp;
use jiff::{civil::DateTime, tz::TimeZone};

/// From when until when, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, which certificates of the first one lack.
const VERSION: u8 = 0xa0;

impl Validity {
    /// That of a certificate; none where this is not one.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let mut signed = Der(Der(Der(certificate).element(SEQUENCE)?).element(SEQUENCE)?);
        if signed.0.first() == Some(&VERSION) {
            signed.element(VERSION)?;
        }
        signed.element(INTEGER)?;
        // The algorithm, then who has issued it.
        signed.element(SEQUENCE)?;
        signed.element(SEQUENCE)?;
        let mut times = Der(signed.element(SEQUENCE)?);
        Some(Self { from: times.time()?, until: times.time()? })
    }
}

/// What is left of a row of elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// What the next element holds, which has to have this tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, length], mut rest) = self.0.split_first_chunk()?;
        if found != tag {
            return None;
        }
        let mut length = usize::from(length);
        if length > 0x80 {
            let (digits, after) =
                rest.split_at_checked(length - 0x80).filter(|(d, _)| d.len() <= 4)?;
            length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            rest = after;
        }
        let (held, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some(held)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let tag = *self.0.first()?;
        let text = str::from_utf8(self.element(tag)?).ok()?.strip_suffix('Z')?;
        let text = match tag {
            // Two digits are a year from 1950 to 2049.
            UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
            UTC_TIME => format!("20{text}"),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let moment = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
        // The last day that can be written stands for no end.
        let moment = moment.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_millisecond());
        Some(moment.map_or(Timestamp::MAX, Timestamp::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A certificate as far as it matters here, its two times as these elements.
    fn certificate(version: &[u8], from: &[u8], until: &[u8]) -> Vec<u8> {
        let wrapped = |parts: &[&[u8]]| {
            let held = parts.concat();
            [&[SEQUENCE, 0x81, u8::try_from(held.len()).unwrap()][..], &held].concat()
        };
        let empty: &[u8] = &[SEQUENCE, 0];
        let times = wrapped(&[from, until]);
        wrapped(&[&wrapped(&[version, &[INTEGER, 1, 7], empty, empty, &times])])
    }

    fn read(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn both_ways_to_write_a_time() {
        let of = |from: &[u8], until: &[u8]| {
            Validity::of(&certificate(&[VERSION, 3, INTEGER, 1, 2], from, until))
        };
        let (from, until) = (b"\x17\x0d500101000000Z", b"\x18\x0f20500101000001Z");
        let validity =
            Validity { from: read("1950-01-01T00:00:00Z"), until: read("2050-01-01T00:00:01Z") };
        assert_eq!(of(from, until), Some(validity));
        assert_eq!(Validity::of(&certificate(&[], from, until)), Some(validity));
        let until = of(b"\x17\x0d491231235959Z", b"\x18\x0f99991231235959Z").unwrap();
        assert_eq!(until, Validity { from: read("2049-12-31T23:59:59Z"), until: Timestamp::MAX });
        for wrong in
            [&b"\x17\x0d5001010000000"[..], b"\x17\x0d501301000000Z", b"\x18\x00", b"\x05\x00"]
        {
            assert_eq!(of(from, wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, cut: prop::sample::Index, byte: u8) {
            let _ = Validity::of(&bytes);
            let mut whole = certificate(&[], b"\x17\x0d500101000000Z", b"\x17\x0d500101000000Z");
            let at = cut.index(whole.len());
            whole[at] = byte;
            let _ = Validity::of(&whole);
        }
    }
}
