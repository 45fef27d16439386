//! A crawler that looks for broken links on a site of this machine, no faster than it is allowed to.
//!
//! ```text
//!            ┌───────────────── links of all pages, each once: the next level ─────────────────┐
//!            ▼                                                                                 │
//!   URL ─▶ level ──▶ place ──▶ robots.txt? ──▶ tick ──▶ fetch ──▶ a visit, and its links ──────┴─▶ report
//!                (--at-once)   (one fetch    (--rate)
//!                               for all who
//!                               ask)
//! ```
//!
//! ```text
//! cargo run --release --example crawler -p greenlight -- --depth 3 --rate 200 http://127.0.0.1:8080/
//! ```
//!
//! Each visit is a task of a group, of which so many run at a time. One group does one level, the pages that are so many links away: so
//! each is reached by the shortest way, whoever is quick, and `--depth` means the same in every run.
//!
//! It follows links in `href` and `src`, and redirects, on any port of this machine, and leaves out what the site's robots.txt asks
//! everybody to leave out. It refuses to visit any other machine.
//!
//! | exit code | means                                                               |
//! |-----------|---------------------------------------------------------------------|
//! | 0         | every page that was visited is there                                |
//! | 1         | some are not: the lines with another status than 200                |
//! | 2         | the arguments make no sense, or URL is not on this machine          |
//! | 130       | Ctrl-C: what was visited is printed; a second one ends it at once   |
//! | 141       | nobody reads stdout any more                                        |

#[path = "../common"]
mod common {
    pub mod program;
    pub mod progress;
}

mod fetch;
mod url;

use common::program::start;
use common::progress;
use fetch::{Page, fetch};
use greenlight::context::Context;
use greenlight::group::{Group, SingleFlight};
use greenlight::signal::Signal;
use greenlight::time::Ticker;
use greenlight::{Mutex, select};
use indicatif::ProgressBar;
use lexopt::{Arg, ValueExt};
use regex::bytes::Regex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

const USAGE: &str = "\
usage: crawler [OPTIONS] URL

Visits the pages that can be reached from URL, which must be on this machine, and prints the status of each.

  --depth N      follow so many links in a row (default: 5)
  --rate N       fetch N pages a second at most (default: 100)
  --at-once N    fetch N pages at a time (default: 8)
  --help         print this
";

const FAILED: u8 = 1;
/// As if SIGINT had ended us.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    start(USAGE, Options::parse, |options| greenlight::run(move || run(options)), FAILED)
}

struct Options {
    start: Url,
    depth: usize,
    rate: u32,
    at_once: usize,
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut start, mut depth, mut rate, mut at_once) = (None, 5, 100, 8);
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("depth") => depth = args.value()?.parse()?,
                Arg::Long("rate") => rate = args.value()?.parse_with(|text| number(text, 1_000_000))?,
                Arg::Long("at-once") => at_once = args.value()?.parse_with(|text| number(text, 10_000))? as usize,
                Arg::Value(text) if start.is_none() => start = Some(text.parse_with(Url::parse)?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(Self { start: start.ok_or("a URL is missing")?, depth, rate, at_once }))
    }
}

fn number(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("not a number from 1 to {most}"))
}

/// The whole job but for the arguments. Returns the exit code.
fn run(options: Options) -> io::Result<u8> {
    let (ctx, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    let bar = progress::bar("pages");
    let crawler = Arc::new(Crawler {
        ctx: ctx.clone(),
        ticker: Ticker::new(Duration::from_secs(1) / options.rate),
        robots: Mutex::default(),
        flights: SingleFlight::new(),
        links: Regex::new(r#"(?i)\b(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)')"#).expect("a valid pattern"),
        bar,
    });
    let visits = crawl(&crawler, options.start, options.depth, options.at_once);
    crawler.bar.finish_and_clear();

    let mut stdout = BufWriter::new(io::stdout().lock());
    for (url, outcome) in &visits {
        match outcome {
            Ok(status) => writeln!(stdout, "{status} {url}")?,
            Err(error) => writeln!(stdout, "--- {url} ({error})")?,
        }
    }
    stdout.flush()?;
    let broken = visits.values().filter(|outcome| !matches!(outcome, Ok(200..=399))).count();
    let _ = writeln!(io::stderr(), "{} pages visited, {broken} broken", visits.len());
    Ok(match (ctx.is_done(), broken) {
        (true, _) => INTERRUPTED,
        (false, 0) => 0,
        (false, _) => FAILED,
    })
}

/// A page's status, or why there is none.
type Outcome = Result<u16, String>;

/// Visits level after level.
fn crawl(crawler: &Arc<Crawler>, start: Url, depth: usize, at_once: usize) -> BTreeMap<Url, Outcome> {
    let (mut visits, mut seen, mut level) = (BTreeMap::new(), HashSet::from([start.clone()]), vec![start]);
    for left in (0..=depth).rev() {
        let group = Group::collect_all(&crawler.ctx);
        group.set_limit(at_once);
        crawler.bar.inc_length(level.len() as u64);
        for url in level.drain(..) {
            let crawler = crawler.clone();
            group.go(move || {
                let visit = crawler.visit(url);
                crawler.bar.inc(1);
                visit
            });
        }
        for Visit { url, outcome, links } in group.wait().into_iter().flatten() {
            let new = links.into_iter().filter(|link| left > 0 && seen.insert(link.clone()));
            level.extend(new);
            visits.insert(url, outcome);
        }
    }
    visits
}

struct Visit {
    url: Url,
    outcome: Outcome,
    links: Vec<Url>,
}

struct Crawler {
    ctx: Context,
    ticker: Ticker,
    /// What each site does not want visited: the beginnings of paths.
    robots: Mutex<HashMap<SocketAddr, Arc<[String]>>>,
    /// Who is the first to ask a site for that, while others want to know it, too.
    flights: SingleFlight<SocketAddr, Arc<[String]>>,
    links: Regex,
    bar: ProgressBar,
}

impl Crawler {
    /// None: the page was not to be visited, or nobody wants to know any more.
    fn visit(&self, url: Url) -> Option<Visit> {
        let forbidden = self.forbidden(url.site)?;
        if forbidden.iter().any(|beginning| url.path.starts_with(beginning)) {
            return None;
        }
        Some(match self.fetch(&url)? {
            Ok(page) => {
                let links = self.links(&page).iter().filter_map(|link| url.join(link)).collect();
                Visit { url, outcome: Ok(page.status), links }
            }
            Err(error) => Visit { url, outcome: Err(error.to_string()), links: Vec::new() },
        })
    }

    /// The links in a page, and where it has moved.
    fn links(&self, page: &Page) -> Vec<String> {
        let mut links = Vec::from_iter(page.location.clone());
        if page.is_html {
            for found in self.links.captures_iter(&page.body) {
                let link = found.get(1).or_else(|| found.get(2));
                links.extend(link.map(|link| String::from_utf8_lossy(link.as_bytes()).replace("&amp;", "&")));
            }
        }
        links
    }

    /// Fetches when it is our turn. None if nobody wants it any more.
    fn fetch(&self, url: &Url) -> Option<io::Result<Page>> {
        select! {
            wait(self.ticker.wait_async()) -> _ => Some(fetch(url)),
            wait(self.ctx.done()) -> _ => None,
        }
    }

    /// What the robots.txt of a site forbids to everybody. However many ask at the same time, it is fetched once.
    fn forbidden(&self, site: SocketAddr) -> Option<Arc<[String]>> {
        let known = self.robots.lock().get(&site).cloned();
        if known.is_some() {
            return known;
        }
        let (forbidden, _) = self.flights.call(site, || {
            // Somebody may have landed between our look and our call.
            if let Some(known) = self.robots.lock().get(&site).cloned() {
                return known;
            }
            let robots = self.fetch(&Url { site, path: "/robots.txt".into() });
            let text = match robots {
                Some(Ok(page)) if page.status == 200 => page.body,
                _ => Vec::new(),
            };
            let forbidden: Arc<[String]> = parse_robots(&String::from_utf8_lossy(&text)).into();
            self.robots.lock().insert(site, forbidden.clone());
            forbidden
        });
        (!self.ctx.is_done()).then_some(forbidden)
    }
}

/// What is forbidden to everybody: in the groups of lines for `User-agent: *`.
fn parse_robots(text: &str) -> Vec<String> {
    let (mut forbidden, mut for_all, mut in_agents) = (Vec::new(), false, false);
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if key == "user-agent" {
            for_all = value == "*" || in_agents && for_all;
        } else if key == "disallow" && for_all && !value.is_empty() {
            forbidden.push(value.to_owned());
        }
        in_agents = key == "user-agent";
    }
    forbidden
}
