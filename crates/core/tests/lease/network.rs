//! Statements on their way to the database and answers on their way back: late, or lost.

use crate::{
    database::{Answer, Database, Request},
    random::Random,
};
use counterfoil_core::lease::Renewed;

/// A statement, by which whoever sent it looks for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

struct Message {
    ticket: Ticket,
    /// Whose it is, as long as somebody waits for the answer.
    sender: Option<usize>,
    request: Request,
    state: State,
}

enum State {
    Sent,
    /// A renewal that has seen the head, and has not come to its row yet.
    Begun(Renewed),
    Answered(Answer),
}

/// What has become of a statement.
pub(crate) enum Fate {
    UnderWay,
    Answered(Answer),
    /// The connection is gone: whether it was done, or will be, nobody knows.
    Lost,
}

pub(crate) struct Network {
    messages: Vec<Message>,
    sent: u64,
    /// Statements of this kind take longer than others, for all of the schedule.
    slow: Option<Kind>,
}

type Kind = std::mem::Discriminant<Request>;

impl Network {
    pub(crate) fn new(slow: Option<Request>) -> Self {
        let slow = slow.as_ref().map(std::mem::discriminant);
        Self { messages: Vec::new(), sent: 0, slow }
    }

    /// From now on no statement takes longer than others.
    pub(crate) fn hurry(&mut self) {
        self.slow = None;
    }

    pub(crate) fn send(&mut self, sender: usize, request: Request) -> Ticket {
        self.sent += 1;
        let ticket = Ticket(self.sent);
        let state = State::Sent;
        self.messages.push(Message { ticket, sender: Some(sender), request, state });
        ticket
    }

    /// Takes the answer, if there is one.
    pub(crate) fn fate(&mut self, ticket: Ticket) -> Fate {
        let Some(at) = self.messages.iter().position(|message| message.ticket == ticket) else {
            return Fate::Lost;
        };
        if !matches!(self.messages[at].state, State::Answered(_)) {
            return Fate::UnderWay;
        }
        match self.messages.swap_remove(at).state {
            State::Answered(answer) => Fate::Answered(answer),
            State::Sent | State::Begun(_) => Fate::Lost,
        }
    }

    /// Nobody waits any more; the statement is on its way all the same.
    pub(crate) fn abandon(&mut self, ticket: Ticket) {
        if let Some(message) = self.messages.iter_mut().find(|message| message.ticket == ticket) {
            message.sender = None;
        }
        self.sweep();
    }

    /// The same for all that a process has sent.
    pub(crate) fn abandon_all(&mut self, of: usize) {
        for message in self.messages.iter_mut().filter(|message| message.sender == Some(of)) {
            message.sender = None;
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        self.messages.retain(|message| {
            message.sender.is_some() || !matches!(message.state, State::Answered(_))
        });
    }

    /// The database does some of what it was asked for. What was done, if anything was.
    pub(crate) fn serve(
        &mut self,
        database: &mut Database,
        random: &mut Random,
        of: Option<usize>,
    ) -> Option<(Option<usize>, Request)> {
        let waits = |message: &Message| {
            !matches!(message.state, State::Answered(_)) && (of.is_none() || message.sender == of)
        };
        let count = self.messages.iter().filter(|message| waits(message)).count();
        if count == 0 {
            return None;
        }
        let nth = random.index(count);
        let at = (0..self.messages.len()).filter(|at| waits(&self.messages[*at])).nth(nth)?;
        let message = &mut self.messages[at];
        let is_slow = self.slow == Some(std::mem::discriminant(&message.request));
        if is_slow && !random.one_in(6) {
            return None;
        }
        message.state = match (&message.state, &message.request) {
            (State::Sent, Request::Renew { .. }) if random.one_in(2) => {
                State::Begun(database.seen_by_renewal())
            }
            (State::Begun(seen), Request::Renew { row, wall }) => {
                State::Answered(database.renew(*row, *wall, *seen))
            }
            (_, request) => State::Answered(database.run(request)),
        };
        let done = (message.sender, message.request);
        self.sweep();
        Some(done)
    }

    /// Loses one message, wherever it is.
    pub(crate) fn lose(&mut self, random: &mut Random) -> bool {
        if self.messages.is_empty() {
            return false;
        }
        let at = random.index(self.messages.len());
        self.messages.swap_remove(at);
        true
    }

    /// The database has gone down: nothing that was under way is answered.
    pub(crate) fn break_off(&mut self) {
        self.messages.clear();
    }
}
