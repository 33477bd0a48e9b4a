//! Refusals of the last moments, to be fetched once more in full.

use counterfoil_core::{error_format::Answer, id::RequestId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// How many are kept. A proxy fetches one within milliseconds.
const KEPT: usize = 4096;

/// A bounded memory of refusals, by the name of the answer.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<RequestId, Answer>,
    oldest_first: VecDeque<RequestId>,
}

impl Replays {
    pub(super) fn keep(&self, id: RequestId, answer: Answer) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.oldest_first.len() == KEPT
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.answers.remove(&oldest);
        }
        kept.oldest_first.push_back(id);
        kept.answers.insert(id, answer);
    }

    pub(super) fn find(&self, id: RequestId) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::Timestamp;

    fn id(n: usize) -> RequestId {
        let mut entropy = [0; 10];
        // Behind the version and the variant, whose bits are not entropy.
        entropy[3..7].copy_from_slice(&u32::try_from(n).unwrap().to_le_bytes());
        RequestId::new(Timestamp::from_millis(1), entropy)
    }

    #[test]
    fn only_the_latest_are_kept() {
        let replays = Replays::default();
        let answer = |n: usize| Answer { status: 401, headers: Vec::new(), body: n.to_string() };
        for n in 0..KEPT + 3 {
            replays.keep(id(n), answer(n));
        }
        assert_eq!(replays.find(id(2)), None);
        assert_eq!(replays.find(id(3)), Some(answer(3)));
        assert_eq!(replays.find(id(KEPT + 2)), Some(answer(KEPT + 2)));
        assert_eq!(replays.0.lock().unwrap().answers.len(), KEPT);
    }
}
