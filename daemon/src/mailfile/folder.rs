//! Which files of a folder hold mail.
//!
//! It deliberately follows no links to folders, so that it always ends.

use std::io;
use std::path::{Path, PathBuf};

/// Deeper folders are not entered.
const DEEPEST: usize = 16;
/// What a plain folder may hold beside mail is passed over.
const EXTENSIONS: [&str; 3] = ["eml", "mbox", "jsonl"];

/// The files with mail in a folder and in those within, ordered by name: of a Maildir what lies in
/// `cur` and `new` (`tmp` holds what is not delivered yet), of other folders what is named as mail.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(folder, 0, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let maildir = ["cur", "new"].into_iter().any(|name| folder.join(name).is_dir());
    let (folders, files) = entries(folder)?;
    if maildir {
        for name in ["cur", "new"] {
            if folder.join(name).is_dir() {
                found.extend(entries(&folder.join(name))?.1);
            }
        }
    } else {
        found.extend(files.into_iter().filter(|file| is_named_as_mail(file)));
    }
    for inner in folders {
        let own = maildir && ["cur", "new", "tmp"].into_iter().any(|name| inner.ends_with(name));
        if !own && depth < DEEPEST {
            collect(&inner, depth + 1, found)?;
        }
    }
    Ok(())
}

/// The folders and the files of a folder, each ordered by name. Files with a leading dot are none.
fn entries(folder: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if path.is_file() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

fn is_named_as_mail(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}
