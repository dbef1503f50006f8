//! Choosing the version that serves, and going back.

use super::lock;
use super::record::Record;
use super::{VersionError, Versions};
use crate::model::engine::{Engine, ModelOptions};

/// Another version serves from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version until now.
    pub before: String,
    /// The version from now on.
    pub now: String,
}

impl Versions {
    /// Lets the version of this name serve, after it was loaded, tried on the largest input and on
    /// its golden mails, and its keywords were found to fit the configuration.
    pub fn activate(&self, name: &str) -> Result<Change, VersionError> {
        self.make_folder()?;
        let _alone = lock::wait(&self.folder)?;
        // Whoever activates a version by name mends a record that can not be read, too.
        let record = self.record().unwrap_or_default();
        let target = self.find(name)?;
        self.turn_to(target, &record, record.before_this())
    }

    /// Lets the version serve again that served before this one, tried in the same way. Versions
    /// that are gone are passed over; before the first one that was activated was the installed.
    pub fn rollback(&self) -> Result<Change, VersionError> {
        self.make_folder()?;
        let _alone = lock::wait(&self.folder)?;
        let record = self.record()?;
        let mut before = record.before.clone();
        while let Some(name) = before.pop() {
            match self.find(&name) {
                Ok(target) if target == record.active => {}
                Ok(target) => return self.turn_to(target, &record, before),
                Err(VersionError::Unknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if record.active.is_none() {
            return Err(VersionError::NothingBefore { current: self.name_of(&record) });
        }
        self.turn_to(None, &record, before)
    }

    /// Tries a version (`None`: the installed one) and writes down that it serves.
    fn turn_to(
        &self,
        target: Option<String>,
        now: &Record,
        before: Vec<String>,
    ) -> Result<Change, VersionError> {
        let folder =
            target.as_ref().map_or_else(|| self.installed.clone(), |name| self.folder.join(name));
        let (bundle, keywords) = self.load(&folder)?;
        let name = bundle.version();
        Engine::try_out(bundle, keywords, &ModelOptions { threads: 1, ..self.options.clone() })?;
        Record { active: target, before }.write(&self.folder)?;
        Ok(Change { before: self.name_of(now), now: name })
    }

    /// The name of the version that a record says.
    fn name_of(&self, record: &Record) -> String {
        record.active.clone().unwrap_or_else(|| self.installed_name())
    }
}
