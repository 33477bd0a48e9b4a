//! What the index keeps in memory for a token, beside two plain maps.
//!
//! Each figure comes from a process of its own, which fills one of the two and
//! keeps nothing else: its resident memory after, less its resident memory before.
//!
//! ```sh
//! cargo bench --bench memory                    # 1M and 10M tokens
//! cargo bench --bench memory -- --quick         # 100,000
//! cargo bench --bench memory -- --tokens N
//! ```

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark is a program of its own"
)]

use counterfoil_bench::made::{self, Mint};
use counterfoil_core::{
    Timestamp,
    account::Rank,
    id::{AccountId, OrganizationId},
    index::{Index, Loaded},
    token::{Grant, State, Token},
};
use papaya::HashMap;
use std::{any::Any, fs, hint::black_box, process::Command};

const SIZES: [u64; 2] = [1_000_000, 10_000_000];
/// An owner has so many tokens: so many that what owners take does not count, or so few
/// that it does.
const OF_AN_OWNER: [(&str, u64); 2] = [("1000", 1000), ("10", 10)];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| arguments.iter().skip_while(|at| *at != name).nth(1).cloned();
    if let Some(what) = after("fill") {
        let tokens = after("--tokens").unwrap().parse().unwrap();
        return println!("{}", filled(&what, tokens));
    }
    let sizes = match after("--tokens") {
        Some(tokens) => vec![tokens.parse().unwrap()],
        None if arguments.iter().any(|at| at == "--quick") => vec![100_000],
        None => SIZES.to_vec(),
    };
    for tokens in sizes {
        let maps = in_a_process("maps", tokens);
        for (of_an_owner, _) in OF_AN_OWNER {
            let index = in_a_process(of_an_owner, tokens);
            let ratio = index / maps;
            let bar = if of_an_owner == "10" { "-" } else { "figure 120" };
            println!(
                "figure:\tindex of {tokens} tokens, {of_an_owner} an owner / two plain maps\t\
                 B of RSS a token\t{maps:.1}\t{index:.1}\t{ratio:.3}\t{ratio:.3}\t{ratio:.3}\t{bar}"
            );
        }
    }
}

fn in_a_process(what: &str, tokens: u64) -> f64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["fill", what, "--tokens", &tokens.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Fills one of the two; bytes of resident memory a token.
#[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 bytes")]
fn filled(what: &str, tokens: u64) -> f64 {
    // What the first token of all costs is not a token's.
    let mint = Mint::new().unwrap();
    black_box(token(&mint, 0, 1));
    let before = resident();
    let kept: Box<dyn Any> = match OF_AN_OWNER.iter().find(|(name, _)| *name == what) {
        Some((_, of_an_owner)) => Box::new(index(&mint, tokens, *of_an_owner)),
        None => Box::new(maps(&mint, tokens)),
    };
    let grown = resident().saturating_sub(before);
    drop(black_box(kept));
    grown as f64 / tokens as f64
}

/// The bytes of memory that this process has (proc(5)).
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    kib * 1024
}

fn index(mint: &Mint, tokens: u64, of_an_owner: u64) -> Index {
    let index = Index::default();
    index.expect(usize::try_from(tokens).unwrap());
    index.load_organization(organization(), true);
    for number in 0..tokens.div_ceil(of_an_owner) {
        index.load_account(owner(number), None, true).unwrap();
        index.load_membership(organization(), owner(number), Some(Rank::Member)).unwrap();
    }
    for number in 0..tokens {
        index
            .load_token(&Loaded::of(&token(mint, number, of_an_owner), State::Active, None))
            .unwrap();
    }
    index
}

type Maps = (HashMap<[u8; 32], [u8; 16]>, HashMap<[u8; 16], [u8; 32]>);

/// The least that finds a token by digest and by id: each leads to the other.
fn maps(mint: &Mint, tokens: u64) -> Maps {
    let maps = (HashMap::new(), HashMap::new());
    for number in 0..tokens {
        let digest = *mint.secret(number).digest().as_bytes();
        let id = *made::id(number).as_bytes();
        maps.0.pin().insert(digest, id);
        maps.1.pin().insert(id, digest);
    }
    maps
}

fn token(mint: &Mint, number: u64, of_an_owner: u64) -> Token {
    let secret = mint.secret(number);
    Token {
        id: made::id(number),
        api: "bench".into(),
        organization: organization(),
        owner: owner(number / of_an_owner),
        name: String::new(),
        note: String::new(),
        grant: Grant::Role("reader".into()),
        created_at: Timestamp::from_millis(1),
        expires_at: Some(Timestamp::MAX),
        allowed_networks: Vec::new(),
        external_id: None,
        metadata: None,
        prefix: mint.prefix.as_str().into(),
        last_four: secret.last_four().into(),
        digest: secret.digest(),
    }
}

fn organization() -> OrganizationId {
    OrganizationId::new(Timestamp::from_millis(1), [1; 10])
}

fn owner(number: u64) -> AccountId {
    AccountId::new(Timestamp::from_millis(1), made::entropy(number))
}
