//! Where and of what the figures are.

use crate::rounds::Run;
use greenlight_benches::facts;

/// What stands at a report's head, by name.
pub(crate) struct About(pub(crate) Vec<(&'static str, String)>);

/// Asks the system, the compiler and git.
pub(crate) fn about(run: &Run) -> About {
    let mut about = facts();
    about.push(("workers", run.workers.to_string()));
    about.push(("scale", run.scale.to_string()));
    about.extend(run.contenders.iter().map(|contender| (contender.name, contender.about.clone())));
    about.push(("versions", versions()));
    About(about)
}

/// The peers' versions, from the lock file.
fn versions() -> String {
    const PEERS: [&str; 10] = [
        "async-channel",
        "async-lock",
        "crossbeam-channel",
        "flume",
        "kanal",
        "may",
        "parking_lot",
        "smol",
        "tokio",
        "async-executor",
    ];
    let mut found = Vec::new();
    let mut lines = include_str!("../../../../Cargo.lock").lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("name = ").map(|name| name.trim_matches('"')) else { continue };
        if let Some(version) = lines.next().and_then(|line| line.strip_prefix("version = "))
            && PEERS.contains(&name)
        {
            found.push(format!("{name} {}", version.trim_matches('"')));
        }
    }
    found.join(", ")
}
