//! The float network as tract runs it: an implementation that shares nothing with
//! [`FloatGraph::trace`] but the file.

use super::error::ModelError;
use super::graph::{FloatGraph, length};
use super::import::{Read, decode, read};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{GraphProto, type_proto};
use tract_onnx::prelude::{
    InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TypedSimplePlan, tvec,
};

/// A float network in tract.
#[derive(Clone, Debug)]
pub struct FloatReference {
    plan: Arc<TypedSimplePlan>,
    input_shape: Vec<usize>,
}

impl FloatReference {
    /// Loads an ONNX file.
    ///
    /// # Errors
    /// Those of [`FloatGraph::open`], and [`ModelError::Reference`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::from_onnx(&read(path.as_ref())?)
    }

    /// Loads an ONNX model from its bytes. Only models that [`FloatGraph::from_onnx`] accepts are
    /// handed to tract, without what their output does not depend on.
    ///
    /// # Errors
    /// Those of [`FloatGraph::from_onnx`], and [`ModelError::Reference`], also for models that only
    /// tract cannot run.
    pub fn from_onnx(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut model = decode(bytes)?;
        let Read { graph, used } = FloatGraph::from_proto(&model)?;
        let input_shape = graph.input_shape;
        if let Some(graph) = model.graph.as_mut() {
            keep_used(graph, &used);
            fix_input_shape(graph, &input_shape);
        }
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        let plan = guarded(|| {
            let parsed = onnx.parse(&model, None)?;
            parsed.model.into_optimized()?.into_runnable()
        })?;
        Ok(FloatReference { plan, input_shape })
    }

    /// The output for one input; indices as floats.
    ///
    /// # Errors
    /// [`ModelError::InputLength`] and [`ModelError::Reference`].
    pub fn evaluate(&self, input: &[f32]) -> Result<Vec<f32>, ModelError> {
        let (expected, got) = (length(&self.input_shape), input.len());
        if expected != got {
            return Err(ModelError::InputLength {
                sample: 0,
                expected,
                got,
            });
        }
        let tensor = Tensor::from_shape(&self.input_shape, input).map_err(failed)?;
        let fact = self.plan.model().input_fact(0).map_err(failed)?;
        let tensor = tensor.cast_to_dt(fact.datum_type).map_err(failed)?;
        let tensor = tensor.into_owned();
        let outputs = guarded(|| self.plan.run(tvec!(tensor.into_tvalue())))?;
        let output = outputs.first().ok_or_else(|| failed("no output"))?;
        let output = output.cast_to::<f32>().map_err(failed)?;
        let values = output.to_plain_array_view::<f32>().map_err(failed)?;
        Ok(values.iter().copied().collect())
    }
}

/// Runs tract, whose panics are errors here.
fn guarded<T, E: std::fmt::Display>(run: impl FnOnce() -> Result<T, E>) -> Result<T, ModelError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(failed("it panicked")),
    }
}

fn failed(reason: impl std::fmt::Display) -> ModelError {
    ModelError::Reference {
        reason: format!("{reason:#}"),
    }
}

/// Drops nodes and initialisers that the output does not depend on: they have not been checked.
fn keep_used(graph: &mut GraphProto, used: &HashSet<usize>) {
    let mut position = 0;
    graph.node.retain(|_| {
        position += 1;
        used.contains(&(position - 1))
    });
    let read: HashSet<String> = graph
        .node
        .iter()
        .flat_map(|n| n.input.iter().cloned())
        .collect();
    graph.initializer.retain(|t| read.contains(&t.name));
    graph.sparse_initializer.clear();
}

/// Replaces a symbolic batch dimension by 1.
fn fix_input_shape(graph: &mut GraphProto, shape: &[usize]) {
    let weights: HashSet<String> = graph.initializer.iter().map(|t| t.name.clone()).collect();
    for input in graph
        .input
        .iter_mut()
        .filter(|i| !weights.contains(&i.name))
    {
        let value = input.r#type.as_mut().and_then(|t| t.value.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = value else {
            continue;
        };
        let dimensions = tensor.shape.iter_mut().flat_map(|s| s.dim.iter_mut());
        for (dimension, &size) in dimensions.zip(shape) {
            dimension.value = i64::try_from(size).ok().map(Dimension::DimValue);
        }
    }
}
