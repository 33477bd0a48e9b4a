//! An API's upstreams: which one a request goes to, and whether it may go to another.

mod connect;
mod fit;
mod health;
mod idle;
mod io;
mod link;
mod names;
mod tls;

pub(crate) use fit::is_only_chunked;

use super::{
    failure::{Failure, chain, is_excess},
    held::Hold,
    paced::Paced,
};
use crate::{
    config,
    http::beat::keeping_deadlines,
    limiter::Held,
    telemetry::{UpstreamFailures, UpstreamMetrics},
};
use anyhow::Context as _;
use connect::Connector;
use health::Health;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::{Body as _, Incoming};
use idle::Idle;
use link::{Begun, Link, Unanswered};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// To how many upstreams one request goes at most.
const TRIES: u32 = 3;

/// All upstreams of one API.
pub(super) struct Upstreams {
    all: Box<[Arc<Upstream>]>,
    /// How often there was something to choose.
    choices: AtomicUsize,
    pub(super) failures: UpstreamFailures,
}

/// How many connections an API may have to all of its upstreams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connections {
    /// That wait unused.
    pub(super) idle: usize,
    /// In all.
    pub(super) most: usize,
}

/// One of them.
pub(super) struct Upstream {
    /// Its URL, as logs and metrics have it.
    pub(super) name: String,
    pub(super) api: String,
    /// What it is called by.
    pub(super) host: HeaderValue,
    pub(super) failures: UpstreamFailures,
    connector: Connector,
    idle: Arc<Idle>,
    health: Health,
    /// How many requests it has, where there are others.
    under_way: AtomicUsize,
}

/// An upstream's answer.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    /// What the request holds until the response has been passed on, too.
    pub(super) hold: Hold,
    /// The upstream, where more of the response is to come.
    pub(super) more_from: Option<Arc<Upstream>>,
}

/// Where a request is.
#[derive(Debug, Default)]
pub(super) struct Asked {
    upstream: AtomicUsize,
    is_connecting: AtomicBool,
}

impl Asked {
    /// Which upstream has it, or had it last.
    pub(super) fn upstream(&self) -> usize {
        self.upstream.load(Ordering::Relaxed)
    }

    /// Whether it waits for a connection.
    pub(super) fn is_connecting(&self) -> bool {
        self.is_connecting.load(Ordering::Relaxed)
    }

    fn go_to(&self, upstream: usize) {
        self.upstream.store(upstream, Ordering::Relaxed);
    }

    async fn connect(&self, upstream: &Arc<Upstream>) -> Result<Link, Failure> {
        self.is_connecting.store(true, Ordering::Relaxed);
        let link = upstream.connect().await;
        self.is_connecting.store(false, Ordering::Relaxed);
        link
    }
}

/// A request that an upstream has, among others that it might have gone to.
pub(super) struct Load(Arc<Upstream>);

impl Load {
    fn of(upstream: &Arc<Upstream>) -> Self {
        upstream.under_way.fetch_add(1, Ordering::Relaxed);
        Self(upstream.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstreams {
    /// Those that `configured` has of the API. Health checks end once they are `retired`.
    pub(super) fn new(
        api: &str,
        configured: &config::Upstream,
        connections: Connections,
        metrics: &UpstreamMetrics,
        retired: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let failures = metrics.failures(api);
        let is_secure = configured.urls.iter().any(|url| url.scheme_str() == Some("https"));
        let tls = is_secure.then(|| tls::config(&configured.tls).map(Arc::new)).transpose()?;
        let each = connections.idle / configured.urls.len().max(1);
        let places = Arc::new(Semaphore::new(connections.most));
        let all = configured.urls.iter().map(|url| {
            let tls = tls.clone().map(|tls| (tls, configured.tls.server_name.clone()));
            let name = url.to_string().trim_end_matches('/').to_owned();
            let gauge = metrics.gauge(api, &name);
            let upstream = Arc::new(Upstream {
                api: api.to_owned(),
                host: host_of(url)?,
                failures: failures.clone(),
                connector: Connector::new(url, tls, configured.timeouts.connect, places.clone())?,
                idle: Arc::new(Idle::new(each)),
                health: Health::new(gauge, configured.health.is_some()),
                under_way: AtomicUsize::new(0),
                name,
            });
            tokio::spawn(keeping_deadlines(idle::sweep(Arc::downgrade(&upstream.idle))));
            if let Some(check) = &configured.health {
                let check = health::check(Arc::downgrade(&upstream), check.clone());
                let retired = retired.clone();
                tokio::spawn(async move { retired.run_until_cancelled(check).await });
            }
            Ok(upstream)
        });
        let all: anyhow::Result<Vec<_>> = all.collect();
        let all = all.with_context(|| format!("the upstreams of {api}"))?;
        Ok(Self { all: all.into_boxed_slice(), choices: AtomicUsize::new(0), failures })
    }

    /// What upstream `at` is called by.
    pub(super) fn host(&self, at: usize) -> &HeaderValue {
        &self.all[at].host
    }

    /// The URL of upstream `at`.
    pub(super) fn name(&self, at: usize) -> &str {
        &self.all[at].name
    }

    /// Sends a request, and waits for the head of the response. While that goes on, `asked`
    /// tells where it is. What is `held` is given back when the request is over here,
    /// or goes on to whoever passes the response on.
    ///
    /// A request goes to another upstream only if nothing of it was sent. Once it was sent it
    /// is sent again only if asking twice comes to the same, it has no body, and
    /// the connection had carried others and was closed without a word.
    pub(super) async fn ask(
        &self,
        mut request: Box<Request<Paced>>,
        mut held: Option<Held>,
        asked: &Asked,
    ) -> Result<Answer, Failure> {
        let are_several = self.all.len() > 1;
        let mut tried = 0_u32;
        loop {
            let at = self.choose(tried);
            let upstream = &self.all[at];
            asked.go_to(at);
            tried |= 1 << at;
            if are_several {
                request.headers_mut().insert(header::HOST, upstream.host.clone());
            }
            let load = are_several.then(|| Load::of(upstream));
            let stopped = match upstream.ask(request, asked, &mut held, load).await {
                Ok(Begun { response, hold, is_whole }) => {
                    let more_from = (!is_whole).then(|| upstream.clone());
                    return Ok(Answer { response, hold, more_from });
                }
                Err(stopped) => stopped,
            };
            match stopped.unsent {
                Some(unsent) if self.has_another(upstream, tried, &stopped.failure) => {
                    request = unsent;
                }
                _ => return Err(stopped.failure),
            }
        }
    }

    /// The same on a connection of its own, which may become something else with the response:
    /// `hyper::upgrade::on` then has it.
    pub(super) async fn switch(
        &self,
        mut request: Request<Paced>,
        held: Option<Held>,
        asked: &Asked,
    ) -> Result<Answer, Failure> {
        let mut tried = 0_u32;
        let (upstream, link) = loop {
            let at = self.choose(tried);
            let upstream = &self.all[at];
            asked.go_to(at);
            tried |= 1 << at;
            match asked.connect(upstream).await {
                Ok(link) => break (upstream, link),
                Err(failure) if self.has_another(upstream, tried, &failure) => {}
                Err(failure) => return Err(failure),
            }
        };
        request.headers_mut().insert(header::HOST, upstream.host.clone());
        let (response, kept) = link.switch(request, held, Load::of(upstream)).await?;
        Ok(Answer { response, hold: kept, more_from: Some(upstream.clone()) })
    }

    /// Whether a request of which nothing was sent may go to another upstream.
    fn has_another(&self, upstream: &Upstream, tried: u32, why: &Failure) -> bool {
        let has_place = !matches!(why, Failure::NoPlace);
        if !has_place || tried.count_ones() >= TRIES.min(self.count()) {
            return false;
        }
        let (api, upstream) = (&upstream.api, &upstream.name);
        tracing::info!(api, upstream, %why, "another upstream is asked");
        why.count(&self.failures);
        self.failures.retries.inc();
        true
    }

    fn count(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    /// The one for a request that has been to those whose bits are set in `tried`: of two that
    /// are up, the one with fewer requests under way. A slow one so gets fewer, while one that
    /// answers quickly, be it with errors, does not get all of them. Where none is up, the one
    /// that has been down for longest.
    fn choose(&self, tried: u32) -> usize {
        if self.all.len() == 1 {
            return 0;
        }
        let untried = || self.all.iter().enumerate().filter(|(at, _)| tried & (1 << at) == 0);
        let up = || untried().filter(|(_, upstream)| upstream.health.down() == 0);
        let count = up().count();
        let choice = scattered(self.choices.fetch_add(1, Ordering::Relaxed));
        let chosen = match count {
            0 => untried().min_by_key(|(_, upstream)| upstream.health.down()),
            1 => up().next(),
            _ => {
                let first = choice % count;
                let second = (first + 1 + choice / count % (count - 1)) % count;
                let load = |(_, upstream): &(usize, &Arc<Upstream>)| {
                    upstream.under_way.load(Ordering::Relaxed)
                };
                // Of equals the first.
                up().nth(first).into_iter().chain(up().nth(second)).min_by_key(load)
            }
        };
        // One may have changed between two looks; there is always a first.
        chosen.or_else(|| untried().next()).map_or(0, |(at, _)| at)
    }
}

/// Numbers that follow each other, far apart.
fn scattered(number: usize) -> usize {
    // 2^64 by the golden ratio (Knuth, 6.4).
    let number = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (number >> 40) as usize
}

impl Upstream {
    async fn ask(
        self: &Arc<Self>,
        mut request: Box<Request<Paced>>,
        asked: &Asked,
        held: &mut Option<Held>,
        mut load: Option<Load>,
    ) -> Result<Begun, Unanswered> {
        let may_repeat = request.body().is_end_stream() && io::is_repeatable(request.method());
        let mut wants_new = false;
        loop {
            let kept = if wants_new { None } else { self.idle.take() };
            let is_new = kept.is_none();
            let link = match kept {
                Some(link) => link,
                // On the heap, so that requests need not make room for it: there are few.
                None => match Box::pin(asked.connect(self)).await {
                    Ok(link) => link,
                    Err(failure) => {
                        return Err(Unanswered { failure, unsent: Some(request), again: None });
                    }
                },
            };
            match link.ask(request, self, held, &mut load).await {
                Ok(begun) => return Ok(begun),
                // The upstream had closed the connection before it could see any of this.
                Err(Unanswered { unsent: Some(unsent), failure, .. }) if !is_new => {
                    if let Failure::NoHttp(why) = failure {
                        self.has_said_more(&why);
                    }
                    request = unsent;
                }
                Err(Unanswered { again: Some(again), failure, .. }) if !is_new && may_repeat => {
                    let (api, upstream) = (&self.api, &self.name);
                    tracing::debug!(api, upstream, why = %failure, "a request is sent again");
                    self.failures.retries.inc();
                    wants_new = true;
                    request = again;
                }
                Err(stopped) => return Err(stopped),
            }
        }
    }

    /// A connection has ended behind a response.
    fn has_ended(&self, how: hyper::Result<()>) {
        if let Err(error) = how
            && is_excess(&error)
        {
            self.has_said_more(&chain(&error));
        }
    }

    /// It has sent what belongs to no request. Nobody gets that.
    fn has_said_more(&self, why: &str) {
        self.failures.unfit.inc();
        let (api, upstream) = (&self.api, &self.name);
        tracing::warn!(api, upstream, why, "the upstream sent more than its response");
    }

    async fn connect(self: &Arc<Self>) -> Result<Link, Failure> {
        match self.connector.connect().await {
            Ok(io) => {
                self.has_connected();
                Link::new(io).await.map_err(|error| Failure::of(&error))
            }
            Err(failure) => {
                if !matches!(failure, Failure::NoPlace) {
                    self.fall(&failure.to_string());
                }
                Err(failure)
            }
        }
    }
}

fn host_of(url: &Uri) -> anyhow::Result<HeaderValue> {
    let authority = url.authority().context("it names no host")?;
    Ok(HeaderValue::try_from(authority.as_str())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An API with this many upstreams, none of which is ever asked.
    fn upstreams(count: usize) -> Upstreams {
        let urls = (0..count).map(|at| format!("http://127.0.0.1:{}", at + 1).parse().unwrap());
        let mut configured = config::Upstream::at("http://127.0.0.1".parse().unwrap());
        configured.urls = urls.collect();
        let connections = Connections { idle: 8, most: 8 };
        let (metrics, retired) = (UpstreamMetrics::default(), CancellationToken::new());
        Upstreams::new("a", &configured, connections, &metrics, &retired).unwrap()
    }

    fn chosen(upstreams: &Upstreams, tried: u32) -> Vec<usize> {
        let mut times = vec![0; upstreams.all.len()];
        (0..1200).for_each(|_| times[upstreams.choose(tried)] += 1);
        times
    }

    #[tokio::test]
    async fn each_has_its_part() {
        for count in 1..6 {
            let times = chosen(&upstreams(count), 0);
            let part = 1200 / count;
            assert!(times.iter().all(|times| times.abs_diff(part) <= part / 2), "{times:?}");
        }
    }

    #[tokio::test]
    async fn who_has_much_to_do_gets_less() {
        let three = upstreams(3);
        let loads = [Load::of(&three.all[1]), Load::of(&three.all[1]), Load::of(&three.all[0])];
        let times = chosen(&three, 0);
        assert_eq!(times[1], 0, "{times:?}");
        assert!(times[2] > times[0] && times[0] > 0, "{times:?}");
        drop(loads);
        assert!(chosen(&three, 0)[1] > 0);
    }

    #[tokio::test]
    async fn who_is_down_is_asked_last() {
        let three = upstreams(3);
        three.all[1].fall("of a test");
        three.all[1].fall("once more");
        assert_eq!(chosen(&three, 0)[1], 0);
        assert_eq!(chosen(&three, 0b101), [0, 1200, 0]);
        three.all[2].fall("of a test");
        three.all[0].fall("of a test");
        // Down for longest.
        assert_eq!(chosen(&three, 0), [0, 1200, 0]);
        assert_eq!(chosen(&three, 0b10), [0, 0, 1200]);
        three.all[0].has_connected();
        assert_eq!(chosen(&three, 0), [1200, 0, 0]);
    }
}
