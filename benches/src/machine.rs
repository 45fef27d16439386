//! Where and of what figures are.

use std::{fs, process::Command, thread, time::SystemTime};

/// What stands at a report's head, by name. Asks the system, the compiler and git.
pub fn facts() -> Vec<(&'static str, String)> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
    vec![
        ("date", date()),
        ("machine", format!("{cpus} CPUs, {}", model.unwrap_or("unknown"))),
        ("kernel", ask("uname", &["-sr"])),
        ("commit", commit()),
        ("rustc", ask("rustc", &["-V"])),
    ]
}

fn ask(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn commit() -> String {
    let changed = !matches!(ask("git", &["status", "--porcelain", "--untracked-files=no"]).as_str(), "" | "unknown");
    format!("{}{}", ask("git", &["rev-parse", "--short", "HEAD"]), if changed { ", with changes" } else { "" })
}

/// The day, by the civil calendar.
fn date() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    // Days since the first of March of the year 0, so that a leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}
