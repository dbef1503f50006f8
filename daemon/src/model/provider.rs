//! Which execution provider of ONNX Runtime computes: the CPU, or an accelerator where both the
//! library and the machine have one.

use std::fmt;

use ort::ep::{CUDA, CoreML, ExecutionProvider, ExecutionProviderDispatch};
use triaged_core::config::Provider;

/// What is really used, and why where that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReport {
    /// The provider in use, never `Auto`.
    pub used: Provider,
    /// One line for the log and for `check` where an accelerator was wanted and is not used.
    pub note: Option<String>,
}

/// The accelerators to try before the CPU, best first.
pub(super) fn accelerators(wanted: Provider) -> &'static [Provider] {
    match wanted {
        Provider::Auto => &[Provider::Cuda, Provider::CoreMl],
        Provider::Cpu => &[],
        Provider::Cuda => &[Provider::Cuda],
        Provider::CoreMl => &[Provider::CoreMl],
    }
}

/// Whether the loaded library was built with it; the machine may still lack the device.
pub(super) fn is_in_library(provider: Provider) -> bool {
    match provider {
        Provider::Auto | Provider::Cpu => true,
        // An error means that the library can not list what it has: then it is not used.
        Provider::Cuda => CUDA::is_available().unwrap_or(false),
        Provider::CoreMl => CoreML::is_available().unwrap_or(false),
    }
}

/// What a session registers; nothing for the CPU, which is always there.
pub(super) fn registration(provider: Provider) -> Option<ExecutionProviderDispatch> {
    match provider {
        Provider::Auto | Provider::Cpu => None,
        Provider::Cuda => Some(CUDA::default().build().error_on_failure()),
        Provider::CoreMl => Some(CoreML::default().build().error_on_failure()),
    }
}

impl fmt::Display for ProviderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.note {
            Some(note) => write!(f, "{} ({note})", self.used.as_str()),
            None => f.write_str(self.used.as_str()),
        }
    }
}
