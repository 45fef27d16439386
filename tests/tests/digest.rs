//! The digest example as its users meet it: a process with arguments, a tree, two output streams and an exit code.
//!
//! Known hashes are checked everywhere. What GNU `sha256sum` makes of the output is checked where it is installed, and
//! what a lack of permission does where the tests do not run as root; otherwise the test says that it did not.

use greenlight_tests::programs::{self, LIMIT, assert_output, catches_sigint, finish, proc_number, signal, wait_until};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MILLION_A: &str = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
const ZEROS_4_MIB: &str = "bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8";

/// A directory in which the example is run.
struct Tree(programs::Tree);

impl Deref for Tree {
    type Target = programs::Tree;

    fn deref(&self) -> &programs::Tree {
        &self.0
    }
}

impl Tree {
    fn new() -> Self {
        Self(programs::Tree::new())
    }

    /// The example, about to start in this directory.
    fn digest<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        programs::command("digest", self.root(), args)
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        finish(self.digest(args).spawn().expect("the example starts"))
    }

    /// What the coreutils print for the files below `.`, unless they are missing.
    fn coreutils(&self) -> Option<Vec<u8>> {
        sha256sum_is_installed().then(|| {
            let pipeline = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum";
            let output = Command::new("sh").args(["-c", pipeline]).current_dir(self.root()).output().expect("sh runs");
            assert!(output.status.success(), "{output:?}");
            output.stdout
        })
    }

    /// Has `sha256sum -c` read the lines back.
    fn check(&self, lines: &[u8]) {
        if !sha256sum_is_installed() {
            return;
        }
        let mut command = Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet"]).current_dir(self.root()).stdin(Stdio::piped());
        let mut check = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sha256sum starts");
        check.stdin.take().expect("a pipe").write_all(lines).expect("it reads");
        let output = finish(check);
        assert!(output.status.success(), "{output:?}");
    }
}

fn sha256sum_is_installed() -> bool {
    let installed = Command::new("sha256sum").arg("--version").output().is_ok_and(|output| output.status.success());
    if !installed {
        eprintln!("NOT CHECKED against sha256sum, which is not installed");
    }
    installed
}

#[test]
fn known_files_have_their_known_hashes_sorted_by_path() {
    let tree = Tree::new();
    tree.file("sub/deeper/a", vec![b'a'; 1_000_000]);
    tree.file("sub.txt", "abc");
    tree.file("B", "");
    tree.file("a", "abc");

    // By bytes: capitals first, and `.` before `/`.
    let expected = format!("{EMPTY}  ./B\n{ABC}  ./a\n{ABC}  ./sub.txt\n{MILLION_A}  ./sub/deeper/a\n");
    assert_output(&tree.run([""; 0]), 0, &expected, "");
    tree.check(expected.as_bytes());
}

#[test]
fn paths_begin_with_dir_as_it_was_given() {
    let tree = Tree::new();
    let absolute = tree.file("-dir/x", "abc");

    assert_output(&tree.run(["."]), 0, format!("{ABC}  ./-dir/x\n"), "");
    assert_output(&tree.run(["./-dir"]), 0, format!("{ABC}  ./-dir/x\n"), "");
    assert_output(&tree.run(["./-dir//"]), 0, format!("{ABC}  ./-dir//x\n"), "");
    assert_output(&tree.run(["--", "-dir"]), 0, format!("{ABC}  -dir/x\n"), "");
    assert_output(&tree.run([tree.root()]), 0, format!("{ABC}  {}\n", absolute.display()), "");
    assert_output(&tree.run(["./-dir/x"]), 0, format!("{ABC}  ./-dir/x\n"), "");
}

#[test]
fn odd_names_are_escaped_as_sha256sum_does() {
    let tree = Tree::new();
    for name in [&b"back\\slash"[..], b"cr\rname", b"new\nline", b" two  spaces ", b"\\", b"not \xff\xfe UTF-8", b"*"] {
        tree.file(OsString::from_vec(name.to_vec()), "abc");
    }

    let mut expected = Vec::new();
    for (mark, name) in [
        ("", &b" two  spaces "[..]),
        ("", b"*"),
        (r"\", br"\\"),
        (r"\", br"back\\slash"),
        (r"\", br"cr\rname"),
        (r"\", br"new\nline"),
        ("", b"not \xff\xfe UTF-8"),
    ] {
        expected.extend([format!("{mark}{ABC}  ./").as_bytes(), name, b"\n"].concat());
    }
    assert_output(&tree.run(["."]), 0, &expected, "");
    tree.check(&expected);
}

#[test]
fn an_empty_directory_gives_no_lines() {
    let tree = Tree::new();
    assert_output(&tree.run(["."]), 0, "", "");
    fs::create_dir_all(tree.path("only/directories")).expect("directories");
    assert_output(&tree.run(["."]), 0, "", "");
}

#[test]
fn only_regular_files_count_and_no_link_is_followed() {
    let tree = Tree::new();
    tree.file("dir/file", "abc");
    symlink("dir/file", tree.path("link-to-file")).expect("a link");
    symlink("dir", tree.path("link-to-dir")).expect("a link");
    symlink(".", tree.path("loop")).expect("a link");
    symlink("nowhere", tree.path("dangling")).expect("a link");
    let _socket = UnixListener::bind(tree.path("socket")).expect("a socket");
    // Whoever opens it waits for a writer, who never comes.
    let made = Command::new("mkfifo").arg(tree.path("fifo")).status().expect("mkfifo runs");
    assert!(made.success());

    let expected = format!("{ABC}  ./dir/file\n");
    assert_output(&tree.run(["."]), 0, &expected, "");
    assert_output(&tree.run(["link-to-dir/"]), 0, format!("{ABC}  link-to-dir/file\n"), "");
    let refusal = "digest: link-to-dir: a symbolic link: append / to follow it\n";
    assert_output(&tree.run(["link-to-dir"]), 1, "", refusal);
    assert_output(&tree.run(["fifo"]), 1, "", "digest: fifo: neither a directory nor a regular file\n");
}

/// Every length around the ends of blocks and chunks, more files than the channels hold, several directories.
#[test]
fn any_number_of_workers_prints_what_the_coreutils_print() {
    let tree = Tree::new();
    for length in [0, 1, 55, 56, 63, 64, 65, 65_535, 65_536, 131_071, 131_072, 131_073, 262_144, 1_000_000] {
        let content: Vec<u8> =
            (0..length).map(|index: u32| index.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        tree.file(format!("lengths/{length}"), content);
    }
    for index in 0..1_500 {
        tree.file(format!("{}/{}/{index}", index % 7, index % 31), format!("file {index}"));
    }

    let one = tree.run(["--workers", "1"]);
    assert_eq!(one.status.code(), Some(0), "{}", String::from_utf8_lossy(&one.stderr));
    assert_eq!(one.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1_514);
    if let Some(expected) = tree.coreutils() {
        assert_output(&one, 0, expected, "");
    }
    for args in [&["--workers=1"][..], &["--workers", "2"], &["--workers", "2"], &["--workers", "7"], &[]] {
        assert_output(&tree.run(args), 0, &one.stdout, "");
    }
}

#[test]
fn a_missing_directory_is_an_error_line() {
    let tree = Tree::new();
    let expected = "digest: missing: No such file or directory (os error 2)\n";
    assert_output(&tree.run(["missing"]), 1, "", expected);
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    let tree = Tree::new();
    let refused =
        [&["--wrokers", "2"][..], &["-j2"], &["--workers"], &["--workers", "0"], &["--workers=many"], &["a", "b"]];
    for args in refused {
        let output = tree.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: digest"), "{args:?}");
    }
    let help = tree.run(["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stdout.starts_with(b"usage: digest") && help.stderr.is_empty());
}

/// A path over the kernel's limit of 4,095 bytes cannot be opened, not even by root.
#[test]
fn paths_too_long_to_open_are_error_lines_and_the_rest_is_hashed() {
    let tree = Tree::new();
    let long_name = "d".repeat(200);
    tree.file("a", "abc");
    tree.file("z", "abc");
    let mut path = PathBuf::from(".");
    let mut directory = File::open(tree.root()).expect("the tree");
    loop {
        // Made from where we are, since nobody can say the whole path.
        let here = PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory)));
        path.push(&long_name);
        fs::create_dir(here.join(&long_name)).expect("a directory");
        if path.as_os_str().len() > 4_095 {
            fs::write(here.join("f".repeat(200)), "abc").expect("a file");
            break;
        }
        directory = File::open(here.join(&long_name)).expect("the directory");
    }

    let output = tree.run(["--workers", "2"]);
    let mut complaints: Vec<_> = output.stderr.split_inclusive(|&byte| byte == b'\n').collect();
    complaints.sort_unstable();
    let why = "File name too long (os error 36)";
    let file = path.with_file_name("f".repeat(200));
    let expected = format!("digest: {}: {why}\ndigest: {}: {why}\n", path.display(), file.display());
    assert_eq!(String::from_utf8_lossy(&complaints.concat()), expected);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{ABC}  ./a\n{ABC}  ./z\n"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn files_without_permission_are_error_lines_and_the_rest_is_hashed() {
    let tree = Tree::new();
    let allow = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
    tree.file("a", "abc");
    tree.file("locked-dir/x", "abc");
    allow(&tree.file("locked\nfile", "abc"), 0o000);
    tree.file("z", "abc");
    if File::open(tree.path("locked\nfile")).is_ok() {
        eprintln!("NOT CHECKED without permission: root reads everything");
        return;
    }

    allow(&tree.path("locked-dir"), 0o000);
    let output = tree.run(["."]);
    allow(&tree.path("locked-dir"), 0o700);
    let mut complaints: Vec<_> = output.stderr.split_inclusive(|&byte| byte == b'\n').collect();
    complaints.sort_unstable();
    let expected = "digest: ./locked-dir: Permission denied (os error 13)\n\
        digest: ./locked\\nfile: Permission denied (os error 13)\n";
    assert_eq!(String::from_utf8_lossy(&complaints.concat()), expected);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{ABC}  ./a\n{ABC}  ./z\n"));
    assert_eq!(output.status.code(), Some(1));
}

/// 16 GiB of zeros that take no space on the disk, but some ten seconds to hash.
#[test]
fn ctrl_c_prints_what_is_hashed_and_how_much_that_is() {
    const FILES: usize = 4_000;
    let tree = Tree::new();
    for index in 0..FILES {
        File::create(tree.path(format!("{index:04}"))).and_then(|file| file.set_len(4 << 20)).expect("a sparse file");
    }

    for workers in ["1", "2"] {
        let mut child = tree.digest(["--workers", workers]).spawn().expect("the example starts");
        // 40 MiB: more than the eight hashers of two workers can have read without having finished a file.
        wait_until(&mut child, |pid| catches_sigint(pid) && proc_number(pid, "io", "rchar:", 10) > 40 << 20);
        signal("INT", child.id());
        let output = finish(child);

        let stdout = String::from_utf8(output.stdout).expect("plain names");
        let lines: Vec<_> = stdout.lines().collect();
        for line in &lines {
            let name = line.strip_prefix(ZEROS_4_MIB).and_then(|rest| rest.strip_prefix("  ./"));
            let index: Option<usize> = name.and_then(|name| name.parse().ok());
            assert!(index.is_some_and(|index| index < FILES), "{line:?}");
        }
        assert!(lines.is_sorted_by(|a, b| a < b), "each file once, in order");
        assert!(stdout.is_empty() || stdout.ends_with('\n'));

        let stderr = String::from_utf8(output.stderr).expect("plain text");
        let counts = stderr.strip_prefix("interrupted: ").and_then(|rest| rest.strip_suffix(" files hashed\n"));
        let (hashed, found) = counts.and_then(|counts| counts.split_once(" of ")).expect(&stderr);
        let (hashed, found): (usize, usize) = (hashed.parse().expect("a number"), found.parse().expect("a number"));
        assert_eq!(hashed, lines.len());
        assert!(0 < hashed && hashed < found && found <= FILES, "{stderr}");
        assert_eq!(output.status.code(), Some(130));
    }
}

/// 1 TiB of zeros takes longer to hash than the test waits.
#[test]
fn ctrl_c_does_not_wait_for_the_end_of_a_file() {
    let tree = Tree::new();
    File::create(tree.path("huge")).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");

    let mut child = tree.digest(["--workers", "1"]).spawn().expect("the example starts");
    // 40 MiB: more than an emulator reads for itself, before the example runs.
    wait_until(&mut child, |pid| catches_sigint(pid) && proc_number(pid, "io", "rchar:", 10) > 40 << 20);
    signal("INT", child.id());
    assert_output(&finish(child), 130, "", "interrupted: 0 of 1 files hashed\n");
}

/// Lines that do not fit into a pipe: once the first byte is out, the example waits for a reader.
fn tree_with_more_lines_than_a_pipe_holds() -> Tree {
    let tree = Tree::new();
    for index in 0..2_000 {
        tree.file(format!("{index:0>100}"), "abc");
    }
    tree
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let tree = tree_with_more_lines_than_a_pipe_holds();
    let mut child = tree.digest(["."]).spawn().expect("the example starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("the first byte");

    signal("INT", child.id());
    thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().expect("our own child").is_none(), "the first Ctrl-C does not end the printing");
    let start = Instant::now();
    let status = loop {
        signal("INT", child.id());
        if let Some(status) = child.try_wait().expect("our own child") {
            break status;
        }
        assert!(start.elapsed() < LIMIT, "still there");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.signal(), Some(2), "{status}");
}

#[test]
fn a_reader_who_goes_away_ends_it_quietly() {
    let tree = tree_with_more_lines_than_a_pipe_holds();
    let mut child = tree.digest(["."]).spawn().expect("the example starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("the first byte");
    drop(stdout);
    let output = finish(child);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
}
