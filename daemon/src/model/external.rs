//! Finds tensors that an ONNX file keeps in other files ("external data").
//!
//! ONNX Runtime resolves such names against the folder that the process happens to run in, so a
//! model could make the daemon read files that no hash covers. The field numbers are those of
//! `onnx.proto` (ONNX IR version 3 and later). Not a general protocol buffer reader: it looks
//! only into the fields on the way to a tensor, and leaves malformed files to ONNX Runtime.

/// The kinds of message on the way from the model to its tensors.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    SparseTensor,
    Function,
    Tensor,
}

/// Subgraphs deeper than this do not occur in models that people train.
const DEEPEST: usize = 32;

/// `TensorProto.data_location` and its value `EXTERNAL`; `TensorProto.external_data`.
const DATA_LOCATION: u64 = 14;
const EXTERNAL: u64 = 1;
const EXTERNAL_DATA: u64 = 13;

/// Whether any tensor of the model in `bytes` says that its data are elsewhere, or the model
/// nests deeper than can be looked at.
pub(super) fn has_external_data(bytes: &[u8]) -> bool {
    found_in(Kind::Model, bytes, 0)
}

fn found_in(kind: Kind, bytes: &[u8], depth: usize) -> bool {
    depth > DEEPEST
        || Fields(bytes).any(|(number, value)| match (kind, number, value) {
            (Kind::Tensor, DATA_LOCATION, Value::Number(EXTERNAL))
            | (Kind::Tensor, EXTERNAL_DATA, _) => true,
            (_, _, Value::Bytes(inner)) => {
                inside(kind, number).is_some_and(|kind| found_in(kind, inner, depth + 1))
            }
            _ => false,
        })
}

/// The kind of message in a field, for the fields that can lead to a tensor.
fn inside(kind: Kind, field: u64) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) => Kind::Graph,
        (Kind::Model, 25) => Kind::Function,
        (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
        (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
        (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Kind::SparseTensor,
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::SparseTensor, 1 | 2) => Kind::Tensor,
        _ => return None,
    })
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of one message; ends at the first malformed one.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Fields<'a> {
    /// A variable-length number of at most ten bytes, seven bits each, lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(*self.take(1)?.first()?);
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::has_external_data;

    /// One length-delimited field.
    fn field(number: u8, inner: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inner.len()).expect("short");
        [&[number << 3 | 2, length], inner].concat()
    }

    #[test]
    fn a_tensor_in_another_file_is_found_wherever_it_hides() {
        // data_location = EXTERNAL; then an external_data entry without it.
        for tensor in [vec![14 << 3, 1], field(13, b"x")] {
            let initializer = field(7, &field(5, &tensor));
            let constant = field(7, &field(1, &field(5, &field(5, &tensor))));
            let branch = field(7, &field(1, &field(5, &field(6, &field(5, &tensor)))));
            for model in [initializer, constant, branch] {
                assert!(has_external_data(&model), "{model:?}");
            }
        }
    }

    #[test]
    fn a_model_that_holds_its_data_is_accepted() {
        // data_location = DEFAULT, raw_data (9), and a name that only looks like a field.
        let tensor =
            [vec![14 << 3, 0], field(9, &[14 << 3, 1]), field(8, b"external_data")].concat();
        assert!(!has_external_data(&field(7, &field(5, &tensor))));
    }

    #[test]
    fn damaged_bytes_do_not_panic() {
        for bytes in [&[0xff_u8; 16][..], &[0x3a, 0xff, 0xff], &[]] {
            assert!(!has_external_data(bytes));
        }
    }
}
