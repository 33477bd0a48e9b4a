//! The scripts decide as the limiter of one node does.

use super::super::script::{Scripts, counted, decided, member};
use counterfoil_core::{
    Timestamp,
    id::{SlotId, TokenId},
    limit::{Ask, Claim, Holds, Key, Limiter, Limits, Owner, Rate},
    time::Seconds,
};
use counterfoil_support::redis::Redis;
use proptest::{collection::vec, prelude::*, sample::select};
use redis::{Cmd, Connection, Value};
use std::sync::atomic::{AtomicU64, Ordering};

/// The clock is what the test says, in one more argument; and what the server itself would
/// forget by its own clock is kept.
const CLOCK: &str = "local clock, least = tonumber(table.remove(ARGV)), 600000\n";

/// What happens to a token.
#[derive(Debug, Clone)]
enum Step {
    /// A request, which takes a slot for so many seconds, or none.
    Ask(Option<u64>),
    /// The slot of a request so many before is renewed.
    Renew(usize, u64),
    /// The slot of a request so many before is given back.
    GiveBack(usize),
    /// The other limits hold from here on.
    Change,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let pause = prop_oneof![
        5 => Just(0),
        5 => 0..3000_i64,
        2 => -20_000..200_000_i64,
        1 => -10_000_000..10_000_000_i64,
    ];
    let step = prop_oneof![
        12 => prop::option::weighted(0.8, 1..20_u64).prop_map(Step::Ask),
        2 => (0..8_usize, 1..20_u64).prop_map(|(back, lasts)| Step::Renew(back, lasts)),
        3 => (0..8_usize).prop_map(Step::GiveBack),
        1 => Just(Step::Change),
    ];
    vec((pause, step), 1..120)
}

fn limits() -> impl Strategy<Value = Limits> {
    let spans = vec![1_u64, 7, 60, 3600, 86_400, 2_678_400];
    (prop::option::of(1..6_u64), vec((1..30_u32, select(spans)), 0..4)).prop_map(
        |(in_flight, numbers)| {
            let mut rates: Vec<Rate> = Vec::new();
            for (requests, seconds) in numbers {
                if rates.iter().all(|rate| rate.per().0 != seconds) {
                    rates.push(Rate::new(requests, Seconds(seconds)).unwrap());
                }
            }
            Limits::new(in_flight, rates).unwrap()
        },
    )
}

fn token() -> Key {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    TokenId::new(Timestamp::from_millis(1), entropy).into()
}

fn slot(number: usize) -> SlotId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    SlotId::from_bytes(id)
}

const OWNER: Owner = Owner([7; 16]);

struct Asked<'a> {
    scripts: &'a Scripts,
    connection: Connection,
}

impl Asked<'_> {
    fn say(&mut self, mut call: Cmd, now: i64) -> Value {
        call.arg(now).query(&mut self.connection).unwrap()
    }
}

#[test]
fn a_script_decides_as_the_limiter_does() {
    let server = Redis::start();
    let scripts = Scripts::by_clock("test", CLOCK);
    let client = redis::Client::open(server.url()).unwrap();
    scripts.load().exec(&mut client.get_connection().unwrap()).unwrap();
    let config = ProptestConfig { cases: 300, ..ProptestConfig::default() };
    proptest!(config, |(
        first in limits(),
        other in limits(),
        start in prop_oneof![Just(0), 1_700_000_000_000..1_800_000_000_000_i64],
        steps in steps(),
    )| {
        let connection = client.get_connection().unwrap();
        let mut asked = Asked { scripts: &scripts, connection };
        let (limiter, whose, mut all) = (Limiter::new(1), token(), [first, other]);
        let (mut now, mut taken) = (start, 0);
        for (pause, step) in steps {
            now = (now + pause).max(0);
            let moment = Timestamp::from_millis(now);
            if taken > 0 && matches!(step, Step::Renew(..) | Step::GiveBack(_)) {
                // It would hear of the time only where it finds the slot.
                limiter.in_flight(whose, moment);
            }
            match step {
                Step::Ask(lasts) => {
                    let lasts_for = Seconds(lasts.unwrap_or(0));
                    let claim = Claim { id: slot(taken + 1), owner: OWNER, lasts: lasts_for };
                    let holds = lasts.map_or(Holds::Nothing, |_| Holds::Named(claim));
                    let ask = Ask { whose, limits: &all[0], holds };
                    if ask.in_flight().is_none() && all[0].rates().is_empty() {
                        continue;
                    }
                    taken += 1;
                    let ours = limiter.decide(&ask, moment).map(|granted| granted.standings);
                    let millis = i64::try_from(lasts_for.0).unwrap() * 1000;
                    let call = asked.scripts.decide(
                        whose, &all[0], ask.in_flight(), &member(OWNER, claim.id), millis,
                    );
                    let theirs = decided(&all[0], asked.say(call, now)).unwrap();
                    prop_assert_eq!(theirs, ours);
                }
                Step::Renew(back, lasts) => {
                    let id = slot(taken.saturating_sub(back));
                    let claim = Claim { id, owner: OWNER, lasts: Seconds(lasts) };
                    let ours = limiter.renew(&claim, moment).is_ok();
                    let millis = i64::try_from(lasts).unwrap() * 1000;
                    let call = asked.scripts.renew(whose, &[member(OWNER, id)], millis, true);
                    prop_assert_eq!(counted(&asked.say(call, now)).unwrap() == 1, ours);
                }
                Step::GiveBack(back) => {
                    let id = slot(taken.saturating_sub(back));
                    let ours = limiter.give_back(id, OWNER, moment).is_ok();
                    let call = asked.scripts.give_back(whose, &member(OWNER, id));
                    prop_assert_eq!(counted(&asked.say(call, now)).unwrap() == 1, ours);
                }
                Step::Change => all.swap(0, 1),
            }
        }
    });
}

/// What the server keeps of a token, by its own account, and that it ends by itself.
#[test]
fn what_a_token_takes() {
    let server = Redis::start();
    let scripts = Scripts::new("test");
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    scripts.load().exec(&mut connection).unwrap();
    let rates = ["1000/60s", "10000/24h"].map(|rate| rate.parse().unwrap()).to_vec();
    let limits = Limits::new(Some(5), rates).unwrap();
    let whose = token();
    for number in 0..5 {
        let slot = member(OWNER, slot(number));
        let answer = scripts.decide(whose, &limits, Some(5), &slot, 30_000);
        let answer = answer.query(&mut connection).unwrap();
        decided(&limits, answer).unwrap().unwrap();
    }
    let keys = server.says(&["KEYS", "*"]);
    let mut keys: Vec<_> = keys.lines().collect();
    keys.sort_unstable();
    let name = TokenId::from_bytes(*whose.as_bytes());
    assert_eq!(keys, [format!("test:{{{name}}}"), format!("test:{{{name}}}:slots")]);
    let number = |words: &[&str]| server.says(words).parse::<u64>().unwrap();
    let sizes = [0, 1].map(|key| number(&["MEMORY", "USAGE", keys[key]]));
    // Twice what it is with the allocator of today.
    assert!(sizes.iter().sum::<u64>() < 1600, "{sizes:?}");
    let left = [0, 1].map(|key| number(&["PTTL", keys[key]]));
    let memory = u64::try_from(limits.rates()[1].memory_millis()).unwrap();
    assert!((1..=memory).contains(&left[0]) && left[0] > 86_400_000 / 2, "{left:?}");
    assert!((1..=30_000).contains(&left[1]), "{left:?}");
}
