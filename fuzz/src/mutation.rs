//! Inputs made from seeds: flip, set, insert, delete, repeat, splice, put in what is known to hurt.

/// What has been somebody's bug somewhere.
const INTERESTING: &[&[u8]] = &[
    b"\0",
    b"\x7f",
    b"\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "é".as_bytes(),
    "İ".as_bytes(),
    "𝒳".as_bytes(),
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"%",
    b"%00",
    b"%2e",
    b"%2F",
    b"%5c",
    b"%25",
    b"..",
    b"/../",
    b"//",
    b"/./",
    b";",
    b"?",
    b"#",
    b"*",
    b"**",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"->",
    b":",
    b"::",
    b",",
    b"=",
    b"==",
    b"_",
    b"-",
    b".",
    b"@",
    b"+",
    b"~",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"0",
    b"-0",
    b"-1",
    b"00",
    b"1e400",
    b"255",
    b"256",
    b"2147483648",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551615",
    b"18446744073709551616",
    b"/33",
    b"/129",
    b"::ffff:10.0.0.1",
    b"basic ",
    b"Bearer ",
    b"TOKEN ",
    b"0000000000000000000000000000000000000000",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789",
];

/// No input is longer: what takes time in proportion is for benchmarks.
const LONGEST: usize = 1024;

/// Numbers that look random, and are the same for the same seed (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where there is none.
    fn below(&mut self, bound: usize) -> usize {
        // 32 random bits times the bound: as even as anybody needs, and without a division.
        usize::try_from(((self.next() >> 32) * bound as u64) >> 32).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Where a piece of `length` bytes begins and ends; mostly a short one.
    fn piece(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = if self.below(4) == 0 { length - start } else { 8.min(length - start) };
        start..start + self.below(longest + 1)
    }
}

/// Makes inputs from seeds, without an end.
pub(crate) struct Inputs {
    random: Random,
    seeds: Vec<Vec<u8>>,
    input: Vec<u8>,
}

impl Inputs {
    pub(crate) fn new(seeds: Vec<Vec<u8>>, random: Random) -> Self {
        assert!(!seeds.is_empty(), "nothing comes of nothing");
        Self { random, seeds, input: Vec::new() }
    }

    /// The next input.
    pub(crate) fn next(&mut self) -> &[u8] {
        let seed = self.random.below(self.seeds.len());
        self.input.clone_from(&self.seeds[seed]);
        // Few changes leave much of what the parser understands; many reach further.
        let changes = 1 + self.random.below(3) + 4 * (self.random.below(4) / 3);
        for _ in 0..changes {
            self.change();
        }
        self.input.truncate(LONGEST);
        &self.input
    }

    fn change(&mut self) {
        let Self { random, seeds, input } = self;
        let at = random.below(input.len() + 1);
        match random.below(10) {
            0 => {
                let bit = random.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let value = random.byte();
                if let Some(byte) = input.get_mut(at) {
                    *byte = value;
                }
            }
            2 => {
                let printable = b' ' + random.byte() % 95;
                if let Some(byte) = input.get_mut(at) {
                    *byte = printable;
                }
            }
            3 => input.insert(at, random.byte()),
            4 => {
                input.drain(random.piece(input.len()));
            }
            5 => {
                // The same thing again, now and then very often.
                let piece = input[random.piece(input.len())].to_vec();
                let times = if random.below(16) == 0 { random.below(200) } else { 1 };
                let again = piece.repeat(times.min(LONGEST / piece.len().max(1)));
                input.splice(at..at, again);
            }
            6 => {
                // A piece of another seed, in the place of a piece of this one.
                let other = &seeds[random.below(seeds.len())];
                let theirs = random.piece(other.len());
                let ours = random.piece(input.len());
                input.splice(ours, other[theirs].iter().copied());
            }
            7 => {
                let interesting = INTERESTING[random.below(INTERESTING.len())];
                input.splice(at..at, interesting.iter().copied());
            }
            8 => {
                let interesting = INTERESTING[random.below(INTERESTING.len())];
                input.splice(random.piece(input.len()), interesting.iter().copied());
            }
            _ => {
                let other = random.below(input.len());
                if at < input.len() {
                    input.swap(at, other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_makes_others() {
        let made = |seed| {
            let mut inputs = Inputs::new(vec![b"GET /a -> any".to_vec(), vec![]], Random(seed));
            (0..1000).map(|_| inputs.next().to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().all(|input| input.len() <= LONGEST));
        let mut different = made(1);
        different.sort();
        different.dedup();
        assert!(different.len() > 500, "{}", different.len());
    }
}
