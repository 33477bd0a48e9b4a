//! Every mistake is told from every other, and nobody hears of a secret that is not theirs.

use super::{find::Wrapping, lesson::Mistake, *};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use counterfoil_core::{
    Code,
    access_token::NoAccessTokens,
    account::Rank,
    credential::{Scheme, Schemes},
    id::OrganizationId,
    index::{Index, Loaded},
    route::Requirement,
    scope::Need,
    token::{Grant, Secret, State, Token},
    verify::{self, Question},
};

const LINE: &str = "curl --right TOKEN";
const EMAIL: &str = "ada@example.com";

/// A request's fields.
struct Fields(Vec<(String, String)>);

impl Headers for Fields {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let fields = self.0.iter().filter(move |(field, _)| field == name);
        fields.map(|(_, value)| value.as_bytes())
    }
}

fn api(name: &str, schemes: &[Scheme], exact_token_keyword: bool) -> Arc<Api> {
    let has = |scheme| schemes.contains(&scheme);
    let pair = ["x-id", "x-secret"].map(str::to_owned);
    Arc::new(Api {
        name: name.into(),
        schemes: Schemes {
            accepted: schemes.to_vec(),
            header: has(Scheme::Header).then(|| "x-key".to_owned()),
            header_pair: has(Scheme::HeaderPair).then_some(pair),
            exact_token_keyword,
        },
        errors: counterfoil_core::error_format::ErrorFormat::Problem,
        realm: name.into(),
        routes: Vec::new(),
        scopes: vec![("read".parse().unwrap(), "Read".into())],
        roles: Vec::new(),
        issuers: counterfoil_core::api::Issuers::Members,
        tokens: counterfoil_core::api::TokenPolicy {
            prefix: "acme".to_owned().try_into().unwrap(),
            default_lifetime: None,
            max_lifetime: None,
            never: true,
        },
        access_tokens: None,
        limits: counterfoil_core::limit::Limits::default(),
    })
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_000)
}

fn secret() -> Secret {
    Secret::mint(&"acme".to_owned().try_into().unwrap(), &[7; 24])
}

fn token() -> TokenId {
    TokenId::new(now(), [3; 10])
}

fn request() -> Request {
    Request {
        at: now(),
        door: "gateway",
        client: Some(IpAddr::from([192, 0, 2, 1])),
        method: "GET".into(),
        path: "/a".into(),
    }
}

/// An API with one token, and somebody who waits for it.
struct Scene {
    index: Index,
    watches: Arc<Watches>,
    watch: Watch,
}

impl Scene {
    fn new(api: &Arc<Api>, change: impl FnOnce(&mut Loaded<'_>)) -> Self {
        let index = Index::default();
        let (organization, owner) =
            (OrganizationId::new(now(), [1; 10]), AccountId::new(now(), [2; 10]));
        index.load_organization(organization, true);
        index.load_account(owner, Some(EMAIL.parse().unwrap()), true).unwrap();
        index.load_membership(organization, owner, Some(Rank::Member)).unwrap();
        let grant = Grant::Scopes(["read".parse().unwrap()].into());
        let mut loaded = Loaded {
            id: token(),
            api: &api.name,
            organization,
            owner,
            grant: &grant,
            expires_at: None,
            allowed_networks: &[],
            state: State::Active,
            digest: secret().digest(),
            previous: None,
        };
        change(&mut loaded);
        index.load_token(&loaded).unwrap();
        let watches = Arc::<Watches>::default();
        let watch = watches.begin(watched(api, 1)).unwrap();
        Self { index, watches, watch }
    }

    /// What a request with these fields to a door of `api` tells whoever waits.
    async fn tells(
        &mut self,
        api: &Api,
        requirement: Requirement<'_>,
        fields: &[(&str, String)],
    ) -> Option<Mistake> {
        let own = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        let fields = Fields(fields.iter().map(own).collect());
        let client = request().client;
        let question = Question {
            access_tokens: &NoAccessTokens,
            headers: &fields,
            client,
            requirement,
            password: None,
        };
        let refusal = verify::verify(api, &self.index, &question, now()).unwrap_err();
        let id = RequestId::new(now(), [9; 10]);
        self.watches.refused(api, &refusal, &fields, &request(), id);
        if !self.watch.told.has_changed().unwrap() {
            return None;
        }
        let Some(Event::Refused { lesson, .. }) = self.watch.next().await else {
            panic!("nothing else can have come")
        };
        let told = format!("{lesson:?}");
        assert!(!told.contains(secret().reveal()), "{told}");
        assert!(lesson.sent.ends_with('.') && lesson.wants.ends_with('.'), "{told}");
        let is_about_sending = !matches!(
            lesson.mistake,
            Mistake::Scope(_) | Mistake::Network(_) | Mistake::Ended(_) | Mistake::Other(_)
        );
        assert_eq!(lesson.line.as_deref(), is_about_sending.then_some(LINE));
        Some(lesson.mistake)
    }
}

fn watched(api: &Arc<Api>, account: u8) -> Watched {
    Watched {
        digest: secret().digest(),
        token: token(),
        account: AccountId::new(now(), [account; 10]),
        api: api.clone(),
        line: LINE.into(),
    }
}

fn basic(text: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

#[tokio::test]
async fn every_way_to_send_it_wrongly_is_told() {
    let text = secret();
    let secret = text.reveal();
    let own = |field: &'static str, value: String| vec![(field, value)];
    let auth = |value: String| own("authorization", value);
    let word = |word: &str| Mistake::OtherWord(word.to_owned());
    let wrapped = Mistake::Wrapped;
    let id = token().to_string();
    let other_id = TokenId::new(now(), [4; 10]).to_string();
    let (token_word, exact, bearer, header, pair, user) = (
        api("token", &[Scheme::Token], false),
        api("exact", &[Scheme::Token], true),
        api("bearer", &[Scheme::Bearer], false),
        api("header", &[Scheme::Header], false),
        api("pair", &[Scheme::HeaderPair], false),
        api("basic", &[Scheme::Basic], false),
    );
    for (api, fields, expected) in [
        (&token_word, auth(format!("Bearer {secret}")), word("Bearer")),
        (&bearer, auth(format!("Token {secret}")), word("Token")),
        (&exact, auth(format!("token {secret}")), Mistake::OtherCase("token".into())),
        (&exact, auth(format!("Bearer: {secret}")), word("Bearer")),
        (&bearer, auth(secret.to_owned()), Mistake::NoWord),
        (&bearer, auth(format!("{secret} {secret}")), word("…")),
        (&bearer, auth(basic(&format!("{EMAIL}:{secret}"))), word("Basic")),
        (&bearer, own("x-api-key", secret.to_owned()), Mistake::OtherField("x-api-key".into())),
        (&bearer, auth(format!("Bearer \"{secret}\"")), wrapped(Wrapping::Quotes)),
        (&bearer, auth(format!("Bearer '{secret}")), wrapped(Wrapping::Quotes)),
        (&bearer, auth(format!("Bearer <{secret}>")), wrapped(Wrapping::Brackets)),
        (&token_word, auth(format!("Token token=\"{secret}\"")), wrapped(Wrapping::Quotes)),
        (&token_word, auth(format!("Token token={secret}")), wrapped(Wrapping::Named)),
        (&header, auth(format!("Bearer {secret}")), word("Bearer")),
        (&header, own("x-key", format!("Bearer {secret}")), Mistake::WordInField("Bearer".into())),
        (&header, own("x-key", format!("<{secret}>")), wrapped(Wrapping::Brackets)),
        (&pair, own("x-secret", secret.to_owned()), Mistake::HalfAPair("x-id".into())),
        (&pair, own("x-id", secret.to_owned()), Mistake::Swapped),
        (&pair, vec![("x-id", secret.to_owned()), ("x-secret", id.clone())], Mistake::Swapped),
        (&pair, vec![("x-id", other_id), ("x-secret", secret.to_owned())], Mistake::OtherClientId),
        (&user, auth(basic(&format!("bob@example.com:{secret}"))), Mistake::OtherEmail),
        (&user, auth(basic(&format!("{secret}:"))), Mistake::AsUserName),
        (&user, auth(basic(&format!("{secret}:x"))), Mistake::AsUserName),
        (&user, auth(basic(secret)), Mistake::NoEmail),
        (&user, auth(format!("Basic {secret}")), Mistake::NotEncoded),
        (&user, auth(format!("Basic {EMAIL}:{secret}")), Mistake::NotEncoded),
        (&user, auth(basic(&format!("{EMAIL}:{secret}\n"))), wrapped(Wrapping::Newline)),
        (&user, auth(basic(&format!("{EMAIL}: {secret}"))), wrapped(Wrapping::Spaces)),
        (&user, auth(format!("Bearer {secret}")), word("Bearer")),
        (
            &bearer,
            vec![
                ("authorization", format!("Bearer {secret}")),
                ("authorization", "Bearer x".to_owned()),
            ],
            Mistake::Several,
        ),
    ] {
        let mut scene = Scene::new(api, |_| {});
        let told = scene.tells(api, Requirement::Any, &fields).await;
        assert_eq!(told, Some(expected), "{} {fields:?}", api.name);
    }
}

#[tokio::test]
async fn what_keeps_a_right_one_out_is_told() {
    let bearer = api("bearer", &[Scheme::Bearer], false);
    let fields = [("authorization", format!("Bearer {}", secret().reveal()))];
    let write = Requirement::Scope(Need { resource: None, action: "write" });
    let elsewhere = ["198.51.100.0/24".parse().unwrap()];

    let mut scene = Scene::new(&bearer, |_| {});
    let told = scene.tells(&bearer, write, &fields).await;
    assert_eq!(told, Some(Mistake::Scope("write".into())));
    let other = api("other", &[Scheme::Bearer], false);
    let told = scene.tells(&other, Requirement::Any, &fields).await;
    assert_eq!(told, Some(Mistake::OtherApi("other".into())));

    let mut scene = Scene::new(&bearer, |token| token.state = State::Paused);
    let told = scene.tells(&bearer, Requirement::Any, &fields).await;
    assert_eq!(told, Some(Mistake::Ended(Code::Paused)));
    let mut scene = Scene::new(&bearer, |token| token.state = State::Revoked);
    let told = scene.tells(&bearer, Requirement::Any, &fields).await;
    assert_eq!(told, Some(Mistake::Ended(Code::Revoked)));
    let mut scene = Scene::new(&bearer, |token| token.expires_at = Some(now()));
    let told = scene.tells(&bearer, Requirement::Any, &fields).await;
    assert_eq!(told, Some(Mistake::Ended(Code::Expired)));
    let index = Index::default();
    let mut scene = Scene { index, ..scene };
    let told = scene.tells(&bearer, Requirement::Any, &fields).await;
    assert_eq!(told, Some(Mistake::Other(Code::UnknownToken)));

    let scene = Scene::new(&bearer, |_| {});
    let index = Index::default();
    let (organization, owner) =
        (OrganizationId::new(now(), [1; 10]), AccountId::new(now(), [2; 10]));
    index.load_organization(organization, true);
    index.load_account(owner, None, true).unwrap();
    index.load_membership(organization, owner, Some(Rank::Member)).unwrap();
    let token = Token {
        id: token(),
        api: "bearer".into(),
        organization,
        owner,
        name: String::new(),
        note: String::new(),
        grant: Grant::Any,
        created_at: now(),
        expires_at: None,
        allowed_networks: elsewhere.to_vec(),
        external_id: None,
        metadata: None,
        prefix: "acme".into(),
        last_four: "".into(),
        digest: secret().digest(),
    };
    index.load_token(&Loaded::of(&token, State::Active, None)).unwrap();
    let mut scene = Scene { index, ..scene };
    let told = scene.tells(&bearer, Requirement::Any, &fields).await;
    assert_eq!(told, Some(Mistake::Network(request().client)));
}

#[tokio::test]
async fn another_secret_tells_nothing() {
    let bearer = api("bearer", &[Scheme::Bearer], false);
    let mut scene = Scene::new(&bearer, |_| {});
    let other = Secret::mint(&"acme".to_owned().try_into().unwrap(), &[8; 24]);
    let cut = secret().reveal()[..30].to_owned();
    for value in [other.reveal().to_owned(), cut, "x".repeat(5_000), "é\u{0}".into()] {
        for field in ["authorization", "x-api-key"] {
            for value in [format!("Token {value}"), value.clone(), basic(&value)] {
                let fields = [(field, value)];
                assert_eq!(scene.tells(&bearer, Requirement::Any, &fields).await, None);
            }
        }
    }
}

#[tokio::test]
async fn the_first_request_ends_the_wait_of_all_who_wait_for_it() {
    let bearer = api("bearer", &[Scheme::Bearer], false);
    let watches = Arc::<Watches>::default();
    assert!(!watches.any());
    let mut one = watches.begin(watched(&bearer, 1)).unwrap();
    let mut two = watches.begin(watched(&bearer, 2)).unwrap();
    assert!(watches.any() && watches.may_concern(token()));
    assert!(!watches.may_concern(TokenId::new(now(), [4; 10])));
    watches.admitted(&Digest::of("another"), || panic!("nobody waits for it"));
    watches.admitted(&secret().digest(), request);
    assert!(!watches.any() && !watches.may_concern(token()));
    for watch in [&mut one, &mut two] {
        assert_eq!(watch.next().await, Some(Event::Admitted(request())));
        assert_eq!(watch.next().await, None);
    }
    drop((one, two));
    assert!(!watches.any());
}

#[tokio::test]
async fn a_wait_ends() {
    let bearer = api("bearer", &[Scheme::Bearer], false);
    let watches = Arc::<Watches>::default();
    let mut watch = watches.begin(watched(&bearer, 1)).unwrap();
    let left = watch.end.deadline() - tokio::time::Instant::now();
    assert!(left <= LONGEST && left + Duration::from_mins(1) > LONGEST);
    watch.end.as_mut().reset(tokio::time::Instant::now());
    assert_eq!(watch.next().await, None);
    drop(watch);
    assert!(!watches.any());
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let bearer = api("bearer", &[Scheme::Bearer], false);
    let watches = Arc::<Watches>::default();
    let mut all = Vec::new();
    for account in 0..=u8::MAX {
        for _ in 0..EACH {
            match watches.begin(watched(&bearer, account)) {
                Ok(watch) => all.push(watch),
                Err(Full) => break,
            }
        }
        assert!(watches.begin(watched(&bearer, account)).is_err());
    }
    assert_eq!(all.len(), MOST);
    all.pop();
    all.push(watches.begin(watched(&bearer, u8::MAX)).unwrap());
    drop(all);
    assert!(!watches.any());
}
