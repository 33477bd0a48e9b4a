//! What is said to the server: scripts, each with its name, and what they answer.
//!
//! The steps are those of `counterfoil_core::limit`. A script reads the server's own clock, so
//! that no two nodes count by different ones.

use counterfoil_core::{
    id::{SlotId, TokenId},
    limit::{Key, Limits, Owner, Refused, Standing, Standings, Throttled},
    time::Seconds,
};
use redis::{Cmd, Pipeline, Value, cmd};

const CLOCK: &str = include_str!("clock.lua");
const STEADY: &str = include_str!("steady.lua");
const DECIDE: &str = include_str!("decide.lua");
const RENEW: &str = include_str!("renew.lua");
const GIVE_BACK: &str = include_str!("give_back.lua");
const SINCE: &str = include_str!("since.lua");

/// A slot as the server knows it: whose it is to give back, and its name.
pub(super) type Member = [u8; 32];

/// The member that stands for a slot.
pub(super) fn member(owner: Owner, id: SlotId) -> Member {
    let mut member = [0; 32];
    member[..16].copy_from_slice(&owner.0);
    member[16..].copy_from_slice(id.as_bytes());
    member
}

/// The server answered something that no script of ours does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its answer is not one of the script's")]
pub(super) struct Unexpected;

/// One script, and the name under which the server keeps it.
struct Script {
    text: String,
    hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    fn call(&self, keys: &[String]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }
}

/// All that is said to the server, about keys that begin alike.
pub(super) struct Scripts {
    prefix: String,
    decide: Script,
    renew: Script,
    give_back: Script,
    since: Script,
}

impl Scripts {
    /// For keys that begin with `prefix`.
    pub(super) fn new(prefix: &str) -> Self {
        Self::by_clock(prefix, CLOCK)
    }

    pub(super) fn by_clock(prefix: &str, clock: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            decide: Script::new(&[clock, STEADY, DECIDE]),
            renew: Script::new(&[clock, STEADY, RENEW]),
            give_back: Script::new(&[clock, STEADY, GIVE_BACK]),
            since: Script::new(&[clock, SINCE]),
        }
    }

    /// Has the server know all of them.
    pub(super) fn load(&self) -> Pipeline {
        let mut pipeline = redis::pipe();
        for script in [&self.decide, &self.renew, &self.give_back, &self.since] {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(&script.text);
        }
        pipeline
    }

    /// Since when the server remembers, and what its clock says.
    pub(super) fn since(&self) -> Cmd {
        self.since.call(&[format!("{}:since", self.prefix)])
    }

    /// Whether `limits` allow a request, which takes this slot for so many milliseconds, where
    /// it takes one.
    pub(super) fn decide(
        &self,
        whose: Key,
        limits: &Limits,
        in_flight: Option<u32>,
        slot: &Member,
        millis: i64,
    ) -> Cmd {
        let mut rates = Vec::with_capacity(limits.rates().len() * 20);
        let mut memory = 0;
        for rate in limits.rates() {
            // No span is longer than 31 days.
            let seconds = u32::try_from(rate.per().0).unwrap_or(u32::MAX);
            for number in [seconds, rate.requests(), rate.tick(), rate.length(), rate.part()] {
                rates.extend_from_slice(&number.to_le_bytes());
            }
            memory = memory.max(rate.memory_millis());
        }
        let mut call = self.decide.call(&self.keys(whose));
        match in_flight {
            Some(most) => call.arg(most).arg(slot),
            None => call.arg("").arg(""),
        };
        call.arg(millis).arg(rates).arg(memory);
        call
    }

    /// Has slots last for so many milliseconds from now on. Those that are not there are taken,
    /// unless they `must_exist`.
    pub(super) fn renew(&self, whose: Key, slots: &[Member], millis: i64, must_exist: bool) -> Cmd {
        let mut call = self.renew.call(&self.keys(whose));
        call.arg(millis).arg(if must_exist { "1" } else { "" });
        for slot in slots {
            call.arg(slot);
        }
        call
    }

    /// Gives back a slot, and says whether it was there.
    pub(super) fn give_back(&self, whose: Key, slot: &Member) -> Cmd {
        let mut call = self.give_back.call(&self.keys(whose));
        call.arg(slot);
        call
    }

    /// Gives back a slot, whether it is there or not.
    pub(super) fn let_go(&self, whose: Key, slot: &Member) -> Cmd {
        let [_, slots] = self.keys(whose);
        let mut call = cmd("ZREM");
        call.arg(slots).arg(slot);
        call
    }

    /// Writes down whose a slot is, for so many milliseconds.
    pub(super) fn note(&self, id: SlotId, whose: Key, millis: i64) -> Cmd {
        let mut call = cmd("SET");
        call.arg(self.of_slot(id)).arg(whose.as_bytes()).arg("PX").arg(millis.max(1));
        call
    }

    /// Asks whose a slot is.
    pub(super) fn whose(&self, id: SlotId) -> Cmd {
        let mut call = cmd("GET");
        call.arg(self.of_slot(id));
        call
    }

    /// Forgets whose a slot is.
    pub(super) fn forget(&self, id: SlotId) -> Cmd {
        let mut call = cmd("DEL");
        call.arg(self.of_slot(id));
        call
    }

    /// The keys of one token, in one slot of a cluster.
    fn keys(&self, whose: Key) -> [String; 2] {
        let whose = TokenId::from_bytes(*whose.as_bytes());
        let counters = format!("{}:{{{whose}}}", self.prefix);
        let slots = format!("{counters}:slots");
        [counters, slots]
    }

    fn of_slot(&self, id: SlotId) -> String {
        format!("{}:slot:{id}", self.prefix)
    }
}

/// What the server has decided by these limits.
pub(super) fn decided(
    limits: &Limits,
    answer: Value,
) -> Result<Result<Standings, Refused>, Unexpected> {
    let numbers = numbers(answer)?;
    let [code, retry_after, rest @ ..] = &*numbers else { return Err(Unexpected) };
    if rest.len() != limits.rates().len() * 2 {
        return Err(Unexpected);
    }
    let standings = limits.rates().iter().zip(rest.chunks(2)).map(|(rate, stands)| Standing {
        requests: rate.requests(),
        per: rate.per(),
        remaining: u32::try_from(stands[0]).unwrap_or(0),
        reset: Seconds(stands[1]),
    });
    let standings = standings.collect();
    match code {
        0 => Ok(Ok(standings)),
        1 => {
            let throttled = Throttled { retry_after: Seconds(*retry_after), standings };
            Ok(Err(Refused::RateLimited(throttled)))
        }
        2 => Ok(Err(Refused::TooManyInFlight)),
        _ => Err(Unexpected),
    }
}

/// Since when the server remembers, and what its clock says, in milliseconds.
pub(super) fn remembers(answer: Value) -> Result<(u64, u64), Unexpected> {
    match *numbers(answer)? {
        [since, now] => Ok((since, now)),
        _ => Err(Unexpected),
    }
}

/// How many slots there were.
pub(super) fn counted(answer: &Value) -> Result<usize, Unexpected> {
    match answer {
        Value::Int(number) => usize::try_from(*number).map_err(|_| Unexpected),
        _ => Err(Unexpected),
    }
}

/// Whose a slot is, if anybody's.
pub(super) fn found(answer: Value) -> Result<Option<Key>, Unexpected> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            let bytes: [u8; 16] = bytes.try_into().map_err(|_| Unexpected)?;
            Ok(Some(Key::from(TokenId::from_bytes(bytes))))
        }
        _ => Err(Unexpected),
    }
}

fn numbers(answer: Value) -> Result<Vec<u64>, Unexpected> {
    let Value::Array(items) = answer else { return Err(Unexpected) };
    let number = |item| match item {
        Value::Int(number) => u64::try_from(number).map_err(|_| Unexpected),
        _ => Err(Unexpected),
    };
    items.into_iter().map(number).collect()
}
