//! Loading the configuration file; what stands in it is the core's affair.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use triaged_core::config::{Config, Problems, parse_bytes};

/// A configuration of ten thousand accounts has about 3 MB; beyond this it is another file.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file can not be opened or read.
    #[error(
        "the configuration {path} can not be read: {source}; name another one with --config, or begin with the sample systemd/triaged.toml"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its content must be changed.
    #[error("the configuration can not be used as it is:\n{0}")]
    Wrong(Problems),
}

/// The configuration of `path`. Relative paths in it are taken from the folder of the file.
pub fn load(path: &Path) -> Result<Config, ConfigurationError> {
    let bytes = read(path)
        .map_err(|source| ConfigurationError::Unreadable { path: path.to_owned(), source })?;
    let config = parse_bytes(&bytes)
        .map_err(|problems| ConfigurationError::Wrong(problems.in_file(path.display())))?;
    Ok(config.relative_to(path.parent().unwrap_or(Path::new(""))))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 16 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn errors_name_the_file_and_paths_start_at_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("triaged.toml");
        let missing = load(&path).expect_err("not there").to_string();
        assert!(missing.contains("triaged.toml") && missing.contains("--config"), "{missing}");
        fs::write(&path, [0xff; 64]).expect("written");
        let wrong = load(&path).expect_err("not text").to_string();
        assert!(wrong.contains("triaged.toml:1: byte 1 is not UTF-8"), "{wrong}");
        let account =
            "[[account]]\nname = \"a\"\nhost = \"h\"\nuser = \"u\"\npassword_file = \"p\"";
        fs::write(&path, format!("state = \"here\"\n{account}")).expect("written");
        assert_eq!(load(&path).expect("valid").state, folder.path().join("here"));
    }
}
