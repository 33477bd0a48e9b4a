//! The tokens that are to be admitted just now.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A token that was issued and has not been revoked.
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// Somebody has begun to end it: from then on both answers are right.
    ending: AtomicBool,
}

impl Token {
    pub(crate) fn new(id: String, secret: String) -> Self {
        Self { id, secret, ending: AtomicBool::new(false) }
    }

    /// Before it is ended.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Whether an answer that came just now could be a refusal.
    pub(crate) fn may_be_refused(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Live {
    tokens: Mutex<Vec<Arc<Token>>>,
    issued: AtomicU64,
}

impl Live {
    /// One that has just been issued.
    pub(crate) fn add(&self, token: Token) {
        self.issued.fetch_add(1, Ordering::Relaxed);
        self.put_back(token);
    }

    /// One that was taken, with another secret perhaps.
    pub(crate) fn put_back(&self, token: Token) {
        self.lock().push(Arc::new(token));
    }

    /// The one at this place, counted around.
    pub(crate) fn at(&self, place: usize) -> Option<Arc<Token>> {
        let tokens = self.lock();
        tokens.get(place.checked_rem(tokens.len())?).cloned()
    }

    /// Takes one out: nobody presents it any more who has not begun to.
    pub(crate) fn take(&self, place: usize) -> Option<Arc<Token>> {
        let mut tokens = self.lock();
        let place = place.checked_rem(tokens.len())?;
        Some(tokens.swap_remove(place))
    }

    /// How many have been issued, whatever became of them.
    pub(crate) fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Token>>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_presented() {
        let live = Live::default();
        assert!(live.at(7).is_none() && live.take(7).is_none());
        for id in ["a", "b", "c"] {
            live.add(Token::new(id.to_owned(), String::new()));
        }
        let taken = live.take(4).unwrap();
        assert_eq!(taken.id, "b");
        assert!((0..9).all(|place| live.at(place).unwrap().id != "b"));
        live.put_back(Token::new("b".to_owned(), "new".to_owned()));
        assert!((0..3).any(|place| live.at(place).unwrap().secret == "new"));
        assert_eq!(live.issued(), 3);
    }

    #[test]
    fn a_token_may_be_refused_once_somebody_ends_it() {
        let token = Token::new(String::new(), String::new());
        assert!(!token.may_be_refused());
        token.end();
        assert!(token.may_be_refused());
    }
}
