//! Mounts: which API a host and path mean, and where its upstream is.

use super::{
    cors::Cors,
    upstream::{Connections, Upstreams},
};
use crate::{
    config::{Mount, ProtectedApi, Timeouts},
    http::{
        door::{Common, Door},
        places::Places,
    },
};
use http::{Uri, uri::PathAndQuery};
use prometheus_client::metrics::counter::Counter;
use std::sync::Arc;

/// Every API's place at the gateway.
pub(super) struct Mounts {
    /// By host, in lower case.
    hosts: Vec<(String, Arc<Mounted>)>,
    /// By path prefix, the longest first.
    paths: Vec<(String, bool, Arc<Mounted>)>,
    /// All of them, by number.
    all: Vec<Arc<Mounted>>,
}

/// One API at the gateway.
pub(super) struct Mounted {
    pub(super) number: usize,
    pub(super) door: Door,
    pub(super) upstreams: Upstreams,
    pub(super) timeouts: Timeouts,
    /// Requests that were cut off while they were under way.
    pub(super) streams_ended: Counter,
    /// Which web pages may call it, where that is ours to say.
    pub(super) cors: Option<Cors>,
    /// What stands before every path at the upstreams; no slash at its end.
    base: String,
    /// At which path, as the API sees it, tokens are exchanged for access tokens.
    pub(super) exchange: Option<String>,
}

impl Mounts {
    pub(super) fn new(apis: &[ProtectedApi], common: &Common) -> anyhow::Result<Self> {
        let mut mounts = Self { hosts: Vec::new(), paths: Vec::new(), all: Vec::new() };
        // Those that wait are shared out, that none takes all.
        let places = Places::of_process();
        let (idle, most) = (places.idle / apis.len().max(1), places.of_api(apis.len()));
        let links = Connections { idle, most };
        for protected in apis {
            let mounted = Arc::new(Mounted::new(mounts.all.len(), protected, links, common)?);
            mounts.all.push(mounted.clone());
            match &protected.mount {
                Mount::Host(host) => mounts.hosts.push((host.to_ascii_lowercase(), mounted)),
                Mount::Path { path, strip } => {
                    let prefix = path.trim_end_matches('/').to_owned();
                    mounts.paths.push((prefix, *strip, mounted));
                }
            }
        }
        mounts.paths.sort_by_key(|(prefix, ..)| std::cmp::Reverse(prefix.len()));
        Ok(mounts)
    }

    /// The one of this number.
    pub(super) fn numbered(&self, number: usize) -> &Mounted {
        &self.all[number]
    }

    /// The API that is meant, and the path as that API sees it.
    pub(super) fn find<'a, 'p>(
        &'a self,
        host: Option<&str>,
        path: &'p str,
    ) -> Option<(&'a Mounted, &'p str)> {
        if !self.hosts.is_empty()
            && let Some(host) = host
        {
            let name = without_port(host);
            if let Some((_, mounted)) =
                self.hosts.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))
            {
                return Some((mounted, path));
            }
        }
        self.paths.iter().find_map(|(prefix, strip, mounted)| {
            let rest = path.strip_prefix(prefix.as_str())?;
            match (rest.as_bytes().first(), strip) {
                (Some(b'/') | None, false) => Some((&**mounted, path)),
                (Some(b'/'), true) => Some((&**mounted, rest)),
                (None, true) => Some((&**mounted, "/")),
                _ => None,
            }
        })
    }
}

impl Mounted {
    fn new(
        number: usize,
        protected: &ProtectedApi,
        links: Connections,
        common: &Common,
    ) -> anyhow::Result<Self> {
        let (name, upstream) = (&protected.api.name, &protected.upstream);
        // All of them have the same.
        let base = upstream.urls.first().map_or("", Uri::path);
        Ok(Self {
            number,
            cors: protected.cors.as_ref().map(Cors::new).transpose()?,
            streams_ended: common.metrics.streams_ended(&protected.api.name),
            door: Door::new("gateway", &protected.api, common),
            upstreams: Upstreams::new(
                name,
                upstream,
                links,
                &common.metrics.upstreams,
                &common.retired,
            )?,
            timeouts: upstream.timeouts,
            exchange: protected.exchange(),
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// What the upstream is asked for, when a request is for `path`, which may be part of
    /// `asked`; none when that would not fit into a URI.
    pub(super) fn target(&self, path: &str, asked: &Uri) -> Option<Uri> {
        if self.base.is_empty()
            && std::ptr::eq(path, asked.path())
            && let Some(whole) = asked.path_and_query()
        {
            return Some(whole.clone().into());
        }
        let query = asked.query();
        let mut target = String::with_capacity(
            self.base.len() + path.len() + query.map_or(0, |query| query.len() + 1),
        );
        target.push_str(&self.base);
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        PathAndQuery::try_from(target).ok().map(Uri::from)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
