//! Addresses of pages on this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Url {
    pub site: SocketAddr,
    /// With the query, from the slash on. Neither dots nor a fragment.
    pub path: String,
}

impl Url {
    /// # Errors
    ///
    /// If it is none, or one of another machine.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("a URL begins with http://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let site = site(authority).ok_or_else(|| format!("{authority} is not this machine, or not its IP address"))?;
        Ok(Self { site, path: normal(path) })
    }

    /// Where a link on this page leads to, if that is on this machine and by HTTP.
    pub fn join(&self, link: &str) -> Option<Self> {
        let link = link.trim();
        if let Some(rest) = link.strip_prefix("//") {
            return Self::parse(&format!("http://{rest}")).ok();
        }
        let to = |path: String| Some(Self { site: self.site, path: normal(&path) });
        let before_query = self.path.split('?').next().unwrap_or_default();
        match link.find(['/', '?', '#', ':']).map(|at| &link[at..=at]) {
            Some(":") => Self::parse(link).ok(),
            Some("/") if link.starts_with('/') => to(link.to_owned()),
            Some("?") if link.starts_with('?') => to(format!("{before_query}{link}")),
            Some("#") if link.starts_with('#') => None, // this page
            _ if link.is_empty() => None,
            _ => {
                let directory = before_query.rfind('/').map_or("/", |slash| &before_query[..=slash]);
                to(format!("{directory}{link}"))
            }
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.site, self.path)
    }
}

/// An address of this machine, and a port. `localhost` is the only name we know.
fn site(authority: &str) -> Option<SocketAddr> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 80),
    };
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?,
    };
    ip.is_loopback().then_some(SocketAddr::new(ip, port))
}

/// Takes dots and the fragment out, and what cannot stand in a request.
fn normal(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path.find('?').map_or((path, ""), |at| path.split_at(at));
    let mut parts: Vec<&str> = Vec::new();
    let mut is_directory = true;
    for part in path.split('/').skip(usize::from(path.starts_with('/'))) {
        is_directory = matches!(part, "" | "." | "..");
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let slash = if is_directory && !parts.is_empty() { "/" } else { "" };
    let whole = format!("/{}{slash}{query}", parts.join("/"));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>');
    whole
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
