//! Files: calls of [`std::fs`] that keep the green threads of a worker running.
//!
//! On a green thread each runs as a [`blocking`](crate::blocking()) call, and on an OS thread right there. For what is missing, and
//! for several calls in a row, use `blocking` itself: it costs one hand-over and not many.

use crate::blocking::off_worker;
use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
};

/// Makes [`std::fs`]'s function of this name one that does not block a worker.
macro_rules! wrap {
    ($($name:ident($($path:ident),+) -> $result:ty, $what:literal;)+) => {$(
        #[doc = $what]
        #[doc = concat!(" [`std::fs::", stringify!($name), "`].")]
        ///
        /// # Errors
        ///
        /// The file system's.
        ///
        /// # Cancellation
        ///
        /// Once begun it is finished, whether or not somebody waits.
        #[track_caller]
        pub fn $name($($path: impl AsRef<Path>),+) -> io::Result<$result> {
            $(let $path = $path.as_ref().to_owned();)+
            off_worker(move || fs::$name($($path),+))
        }
    )+};
}

wrap! {
    read(path) -> Vec<u8>, "All that is in a file.";
    read_to_string(path) -> String, "All that is in a file, as text.";
    copy(from, to) -> u64, "Copies a file, and says how long it is.";
    rename(from, to) -> (), "Gives a file another name, in place of what has that name.";
    remove_file(path) -> (), "Removes a file.";
    create_dir(path) -> (), "Makes a directory.";
    create_dir_all(path) -> (), "Makes a directory, with all that lead to it.";
    remove_dir(path) -> (), "Removes an empty directory.";
    remove_dir_all(path) -> (), "Removes a directory with all that is in it.";
    metadata(path) -> Metadata, "What the file system knows about a file.";
    canonicalize(path) -> PathBuf, "The absolute path, without links.";
}

/// Makes `contents` all that is in a file. [`std::fs::write`].
///
/// # Errors
///
/// The file system's.
///
/// # Cancellation
///
/// Once begun it is finished, whether or not somebody waits.
///
/// # Examples
///
/// ```
/// use greenlight::fs;
///
/// let path = std::env::temp_dir().join(format!("greenlight-{}", std::process::id()));
/// fs::write(&path, "all of it")?;
/// assert_eq!(fs::read_to_string(&path)?, "all of it");
/// fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let (path, contents) = (path.as_ref().to_owned(), contents.as_ref().to_owned());
    off_worker(move || fs::write(path, contents))
}

/// The paths of what is in a directory, in no order. [`std::fs::read_dir`], all at once.
///
/// # Errors
///
/// The file system's.
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<PathBuf>> {
    let path = path.as_ref().to_owned();
    off_worker(move || fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect())
}

/// Opens a file to read. [`File::open`]. Reading from it blocks: do it in a [`blocking`](crate::blocking()) call.
///
/// # Errors
///
/// The file system's.
#[track_caller]
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref().to_owned();
    off_worker(move || File::open(path))
}
