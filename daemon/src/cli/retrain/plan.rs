//! The plan of a retraining: which mails teach, which judge, and by what.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::anyhow;
use triaged::model::{ModelBundle, Versions};
use triaged::retrain::dataset::{self, Dataset};
use triaged::retrain::environment;
use triaged::retrain::reference::{self, Reference};
use triaged::retrain::trial::Judges;
use triaged_core::config::{Config, keyword_map_among};
use triaged_core::label::Head;
use triaged_core::retrain::{Collection, LabelNames, LabelledMail, Split, split};

use crate::cli::model::change::failure;
use crate::cli::{Exit, Failure, OrExit, STACK};

/// All that is decided before anything is trained.
pub(super) struct Plan {
    /// Folder of the bundle to begin with.
    pub(super) base: PathBuf,
    /// Its name without the version, which the candidate inherits.
    pub(super) base_name: String,
    /// Its name and version.
    pub(super) base_version: String,
    /// The person's mails.
    pub(super) dataset: Dataset,
    /// Their two parts.
    pub(super) split: Split,
    /// The mails of the training package.
    pub(super) reference: Reference,
}

impl Plan {
    /// Reads everything and splits it; refuses what could not be learnt, judged or served.
    pub(super) fn make(
        config: &Config,
        versions: &Versions,
        from: &Path,
        base: Option<&Path>,
        own_labels: &[(String, String)],
    ) -> Result<Self, Failure> {
        let training = environment::package(config).or_exit(Exit::Config)?;
        let base = match base {
            Some(base) => std::path::absolute(base).or_exit(Exit::Config)?,
            None => versions.active().map_err(failure)?,
        };
        let bundle = ModelBundle::load(&base).or_exit(Exit::Config)?;
        let (base_name, base_version) = (bundle.manifest().name().to_owned(), bundle.version());
        let meant = [config.retrain.own_labels.as_slice(), own_labels].concat();
        let names = LabelNames::new(bundle.manifest().heads(), &meant);
        let read = move |from: PathBuf| {
            let dataset = dataset::read(&from, names).or_exit(Exit::Data)?;
            let reference = reference::read(&training, dataset.names.heads(), &dataset.mails);
            Ok((dataset, reference.or_exit(Exit::Config)?))
        };
        let (dataset, reference) = on_a_deep_stack(read, from.to_owned())?;
        let split = split(&dataset.mails);
        let plan = Self { base, base_name, base_version, dataset, split, reference };
        plan.can_be_judged()?;
        plan.forgets_nothing()?;
        plan.can_be_served(config, versions)?;
        Ok(plan)
    }

    /// The mails that teach, each with its group.
    pub(super) fn teaching(&self) -> Vec<(usize, &LabelledMail)> {
        let mails = self.dataset.mails.iter().zip(&self.split.group).zip(&self.split.held_out);
        mails.filter(|(_, held)| !**held).map(|((mail, group), _)| (*group, mail)).collect()
    }

    /// The mails that judge.
    pub(super) fn judges(&self) -> Judges<'_> {
        let mails = self.dataset.mails.iter().enumerate().zip(&self.split.held_out);
        let held_out = mails.filter(|(_, held)| **held).map(|((at, mail), _)| {
            (&*mail.text, &mail.labels, self.reference.by_heart.contains(&at))
        });
        let check = self.reference.check.iter().map(|(text, labels)| (text.as_str(), labels));
        Judges { held_out: held_out.collect(), check: check.collect() }
    }

    /// Every label of the person's own must be among the mails that judge.
    fn can_be_judged(&self) -> Result<(), Failure> {
        let names = &self.dataset.names;
        let unjudged = self.split.unjudged.iter();
        let own = unjudged.filter(|(head, label)| !names.is_known(head, label));
        let own: Vec<String> = own.map(|(head, label)| format!("{head}={label}")).collect();
        if own.is_empty() {
            return Ok(());
        }
        let error = anyhow!(
            "too little of {} can be held out to judge by: nearly all its mails come from one \
             sender or one conversation; add mails of others",
            own.join(", ")
        );
        Err(Failure { exit: Exit::Data, error })
    }

    /// Labels that only an earlier retraining taught must be taught again.
    fn forgets_nothing(&self) -> Result<(), Failure> {
        let counts = Collection::counts(&self.dataset.mails);
        let is_taught = |head: &str, label: &str| {
            self.reference.taught.contains(&(head.to_owned(), label.to_owned()))
                || counts.get(head).is_some_and(|of| of.contains_key(label))
        };
        let heads = self.dataset.names.heads().iter();
        let labels = heads.flat_map(|head| head.labels.iter().map(move |label| (head, label)));
        let forgotten: Vec<String> = labels
            .filter(|(head, label)| !is_taught(&head.name, &label.name))
            .map(|(head, label)| format!("{}={}", head.name, label.name))
            .collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        let error = anyhow!(
            "{} knows {}, of which neither these mails nor the training package have one, so it \
             would be forgotten; add its mails, or begin from a model without it (--base)",
            self.base_version,
            forgotten.join(", ")
        );
        Err(Failure { exit: Exit::Data, error })
    }

    /// The configuration must have a keyword for every label of the candidate.
    fn can_be_served(&self, config: &Config, versions: &Versions) -> Result<(), Failure> {
        let manifests = versions.list().map_err(failure)?.into_iter();
        let others = manifests.filter_map(|version| version.manifest.ok());
        let others: Vec<Head> = others.flat_map(|manifest| manifest.heads().to_vec()).collect();
        let map = keyword_map_among(&config.keywords, self.dataset.names.heads(), &others);
        map.map(|_| ()).map_err(|problems| {
            let error = anyhow!("the configuration has no room for the new labels:\n{problems}");
            Failure { exit: Exit::Config, error }
        })
    }
}

/// Mail is parsed where its structure may be deep.
fn on_a_deep_stack<A: Send + 'static, T: Send + 'static>(
    work: impl FnOnce(A) -> Result<T, Failure> + Send + 'static,
    argument: A,
) -> Result<T, Failure> {
    let thread = thread::Builder::new().name("reader".to_owned()).stack_size(STACK);
    let reader = thread.spawn(move || work(argument)).or_exit(Exit::Config)?;
    reader.join().unwrap_or_else(|_| {
        let error = anyhow!("reading the mails ended in a panic, which is a bug of triaged");
        Err(Failure { exit: Exit::Software, error })
    })
}
