//! Client address: takes the peer and the header its proxies write, gives whose bucket a request is in.
//!
//! **Invariant:** a header counts only as far as trusted proxies wrote it: from its right end, one hop
//! for each proxy, and no further than the first address that is none.
//! **Invariant:** every spelling of an address, and every address of an IPv6 /64, is one client.
//!
//! RFC 7239 for `Forwarded`; RFC 4291 §2.5.5.2 for IPv4 in IPv6.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{Extensions, HeaderMap};
use ipnet::IpNet;

use crate::app::Shared;
use crate::problem::{Problem, ProblemCode};

/// Where a request comes from, as far as limits tell clients apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ClientAddress {
    V4(u32),
    /// The upper 64 bits: one customer has all of the lower ones.
    V6(u64),
}

impl ClientAddress {
    /// The client behind the peer of a request.
    pub(crate) fn of(
        extensions: &Extensions,
        headers: &HeaderMap,
        shared: &Shared,
    ) -> Result<Self, Problem> {
        let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() else {
            return Err(Problem::new(ProblemCode::InternalError));
        };
        let settings = &shared.settings;
        let client = settings
            .trusted_proxies
            .client(peer.ip(), headers, settings.forwarded_header);
        Ok(Self::from(client))
    }
}

impl FromRequestParts<Shared> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        Self::of(&parts.extensions, &parts.headers, shared)
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            // The shift leaves 64 bits.
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The one header that proxies are trusted to append to. Reading whichever is there would let a client
/// write the one its proxy does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardedHeader {
    XForwardedFor,
    Forwarded,
}

impl FromStr for ForwardedHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("expected x-forwarded-for or forwarded".to_owned()),
        }
    }
}

impl ForwardedHeader {
    fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    /// The address one hop wrote down.
    fn address(self, hop: &str) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => node(hop.trim()),
            Self::Forwarded => node(for_node(hop)?),
        }
    }
}

/// The networks whose word about a client's address counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The last address on the way from the peer to the client that somebody trusted vouches for.
    pub(super) fn client(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        header: ForwardedHeader,
    ) -> IpAddr {
        let mut client = peer;
        let lines = headers.get_all(header.name()).iter().rev();
        // Commas within quotes are split too, and bytes that are no text stay within their element:
        // nothing a client writes changes how the rest, which a proxy wrote, is read.
        let mut hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.contains(client) {
            let hop = hops.next().and_then(|hop| std::str::from_utf8(hop).ok());
            let Some(next) = hop.and_then(|hop| header.address(hop)) else {
                break;
            };
            client = next;
        }
        client
    }
}

/// Networks such as `10.0.0.0/8` or single addresses, separated by spaces or commas.
impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split([' ', ',']).filter(|name| !name.is_empty());
        let networks = names.map(network).collect::<Result<Vec<_>, _>>()?;
        if networks.len() > MOST_NETWORKS {
            return Err(format!("expected at most {MOST_NETWORKS} networks"));
        }
        Ok(Self(networks))
    }
}

/// A network in its one canonical form, and not everyone.
fn network(text: &str) -> Result<IpNet, String> {
    let expected = || {
        "expected addresses and networks without host bits, such as 10.0.0.0/8, none of them everyone"
            .to_owned()
    };
    let network: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => text.parse().map_err(|_| expected())?,
    };
    let is_canonical = network.addr() == network.network()
        && network.addr().to_canonical() == network.addr()
        && network.prefix_len() > 0;
    if is_canonical {
        Ok(network)
    } else {
        Err(expected())
    }
}

/// The one `for` of an element of `Forwarded` (RFC 7239 §4).
fn for_node(element: &str) -> Option<&str> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim())
    });
    let (node, None) = (nodes.next()?, nodes.next()) else {
        return None;
    };
    match node.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(node),
    }
}

/// An address, perhaps in brackets, perhaps with a port.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse().ok().filter(IpAddr::is_ipv6)
}

const MOST_NETWORKS: usize = 64;
