//! Who decided as an administrator has to be one still when it is done.

use super::world::World;
use crate::{
    clock, entropy,
    service::{
        Caller, ServiceError, Via,
        accounts::{AccountName, NewAccount},
        organizations::OrganizationChanges,
    },
};
use counterfoil_core::{
    account::{AccountKind, Rank},
    id::SessionId,
    ledger::Actor,
};

impl World {
    /// The first organization's two administrators, as they are when a request of theirs
    /// begins: with a token, or in the console.
    fn administrators(&self, in_the_console: bool) -> [Caller; 2] {
        [0, 6].map(|number| {
            let mut caller = self.caller(&self.secrets[number].1).unwrap();
            if let (Caller::Member(member), true) = (&mut caller, in_the_console) {
                let session = SessionId::new(clock::now(), entropy::bytes());
                member.via = Via::Session(session);
            }
            caller
        })
    }

    /// Has `caller` take somebody's rank, or the whole membership.
    async fn takes_rank(
        &self,
        caller: &Caller,
        of: &Caller,
        for_good: bool,
    ) -> Result<(), ServiceError> {
        let (service, home) = (&self.app.service, self.organizations[0]);
        let name = AccountName::Id(of.account().unwrap());
        if for_good {
            return service.end_membership(caller, home, &name).await;
        }
        service.set_membership(caller, home, &name, Rank::Member).await.map(drop)
    }
}

#[tokio::test]
async fn of_two_administrators_who_take_each_others_rank_one_keeps_it() {
    for (in_the_console, for_good) in [(false, false), (false, true), (true, false), (true, true)] {
        let world = World::new().await;
        let [ada, zoe] = world.administrators(in_the_console);
        world.takes_rank(&ada, &zoe, for_good).await.unwrap();
        let rows = world.rows().await;
        let refused = world.takes_rank(&zoe, &ada, for_good).await;
        assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
        assert_eq!(world.rows().await, rows);
        let rank = rows.belongs(world.organizations[0], ada.account().unwrap());
        assert_eq!(rank, Some(Rank::Administrator));
        world.is_sound().await;
    }
}

#[tokio::test]
async fn nothing_is_done_with_a_rank_that_is_gone() {
    let world = World::new().await;
    let (service, home) = (&world.app.service, world.organizations[0]);
    let [ada, zoe] = world.administrators(true);
    let [amys, bots] = [world.tokens[13], world.tokens[14]];
    let bot = service.token(&Caller::Operator, bots).await.unwrap().token.owner;
    world.takes_rank(&ada, &zoe, false).await.unwrap();
    let head = world.app.replica.head();
    let robot = NewAccount {
        kind: AccountKind::Service,
        email: None,
        name: Some("robot".into()),
        external_id: None,
        password: None,
        organization: Some((home, Rank::Member)),
    };
    let email = "eve@example.com".parse().unwrap();
    let name = AccountName::Id(bot);
    for refused in [
        service.invite(&zoe, None, email, Rank::Administrator).await.map(drop),
        service.create_account(&zoe, robot).await.map(drop),
        service.set_account_active(&zoe, &name, false).await.map(drop),
        service.rename_own_organization(&zoe, "Zoe's").await.map(drop),
        service.hand_over_token(&zoe, amys, bot).await.map(drop),
        service.set_token_paused(&zoe, amys, true).await.map(drop),
        service.revoke_token(&zoe, amys, "").await.map(drop),
    ] {
        assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
    }
    assert_eq!(world.app.replica.head(), head);
    // The operator's decisions rest on nobody's rank.
    let changes = OrganizationChanges { name: Some("Last".into()), ..Default::default() };
    service.change_organization(&Caller::Operator, home, &changes).await.unwrap();
}

/// An invitation is worth what its maker may still do, at the very moment that it is used.
#[tokio::test]
async fn whoever_invited_has_to_lead_still() {
    let world = World::new().await;
    let service = &world.app.service;
    let [ada, zoe] = world.administrators(true);
    let email = "eve@example.com".parse().unwrap();
    let invited = service.invite(&zoe, None, email, Rank::Administrator).await.unwrap();
    let opened = service.open_invitation(&invited.secret).await.unwrap();
    world.takes_rank(&ada, &zoe, false).await.unwrap();
    let (account, at) = (world.accounts[5], clock::now());
    let actor = Actor::Session { account, session: SessionId::new(at, entropy::bytes()) };
    let joined = service.join(actor, at, &opened, account, Vec::new()).await;
    assert!(matches!(joined, Err(ServiceError::NotFound(_))), "{joined:?}");
}
