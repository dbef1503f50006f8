//! Whether a model's inputs and outputs are those that its manifest promises: names and types as
//! declared, then a run with the largest input that its tokenizer can give.

use ort::session::{Session, SessionOutputs};
use ort::value::{Outlet, TensorElementType, TensorRef};

use super::{numbers, one_line};
use crate::model::manifest::Manifest;
use crate::model::tokens::Tokens;

/// Says what does not fit.
pub(super) fn check(
    session: &mut Session,
    manifest: &Manifest,
    tokens: &Tokens,
) -> Result<(), String> {
    declared(session, manifest)?;
    let ids = tokens.extreme_ids();
    let input = TensorRef::from_array_view(([1, ids.len()], ids.as_slice()))
        .map_err(|error| one_line(&error))?;
    let outputs = session
        .run(ort::inputs![manifest.ids_input() => input])
        .map_err(|error| format!("it fails on {} tokens: {}", ids.len(), one_line(&error)))?;
    for (head, reading) in manifest.readings() {
        finite(&outputs, &reading.output, head.labels.len())?;
    }
    finite(&outputs, manifest.embedding_output(), manifest.embedding_size())
}

fn declared(session: &Session, manifest: &Manifest) -> Result<(), String> {
    let [input] = session.inputs() else {
        return Err(format!("it has {} inputs, expected one", session.inputs().len()));
    };
    if input.name() != manifest.ids_input() {
        return Err(format!("its input is {}, expected {}", input.name(), manifest.ids_input()));
    }
    typed(input, TensorElementType::Int64)?;
    let outputs = manifest.readings().map(|(_, reading)| reading.output.as_str());
    for name in outputs.chain([manifest.embedding_output()]) {
        let output = session.outputs().iter().find(|output| output.name() == name);
        typed(
            output.ok_or_else(|| format!("it has no output {name}"))?,
            TensorElementType::Float32,
        )?;
    }
    Ok(())
}

fn typed(outlet: &Outlet, expected: TensorElementType) -> Result<(), String> {
    match outlet.dtype().tensor_type() {
        Some(found) if found == expected => Ok(()),
        _ => {
            Err(format!("{} is {}, expected a tensor of {expected}", outlet.name(), outlet.dtype()))
        }
    }
}

fn finite(outputs: &SessionOutputs<'_>, name: &str, expected: usize) -> Result<(), String> {
    let numbers = numbers(outputs, name)?;
    if numbers.len() != expected {
        return Err(format!("{name} has {} numbers, expected {expected}", numbers.len()));
    }
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err(format!("{name} is not finite"));
    }
    Ok(())
}
