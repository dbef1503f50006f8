//! Which execution provider of ONNX Runtime computes: the CPU, or an accelerator where both the
//! library and the machine have one.

use std::fmt;
use std::str::FromStr;

use ort::ep::{CUDA, CoreML, ExecutionProvider, ExecutionProviderDispatch};

/// What is asked for in the configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provider {
    /// An accelerator where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// Apple's Core ML.
    CoreMl,
}

/// What is really used, and why where that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReport {
    /// The provider in use, never `Auto`.
    pub used: Provider,
    /// One line for the log and for `check` where an accelerator was wanted and is not used.
    pub note: Option<String>,
}

impl Provider {
    /// The spelling in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::CoreMl => "coreml",
        }
    }

    /// The accelerators to try before the CPU, best first.
    pub(super) fn accelerators(self) -> &'static [Self] {
        match self {
            Self::Auto => &[Self::Cuda, Self::CoreMl],
            Self::Cpu => &[],
            Self::Cuda => &[Self::Cuda],
            Self::CoreMl => &[Self::CoreMl],
        }
    }

    /// Whether the loaded library was built with it; the machine may still lack the device.
    pub(super) fn is_in_library(self) -> bool {
        match self {
            Self::Auto | Self::Cpu => true,
            // An error here means that the list could not be read: then it is not used.
            Self::Cuda => CUDA::is_available().unwrap_or(false),
            Self::CoreMl => CoreML::is_available().unwrap_or(false),
        }
    }

    /// What a session registers; nothing for the CPU, which is always there.
    pub(super) fn registration(self) -> Option<ExecutionProviderDispatch> {
        match self {
            Self::Auto | Self::Cpu => None,
            Self::Cuda => Some(CUDA::default().build().error_on_failure()),
            Self::CoreMl => Some(CoreML::default().build().error_on_failure()),
        }
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto, Self::Cpu, Self::Cuda, Self::CoreMl]
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or_else(|| format!("{text:?} is none of auto, cpu, cuda and coreml"))
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ProviderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.note {
            Some(note) => write!(f, "{} ({note})", self.used),
            None => self.used.fmt(f),
        }
    }
}
