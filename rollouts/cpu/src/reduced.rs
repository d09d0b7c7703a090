//! The matrices of a model in numbers of fewer bits.

use crate::half::{Bfloat16, HalfMatrix};
use crate::int8::{Int8, Int8Matrix};
use crate::linear::{Linear, Write};
use crate::model::{AttentionWeights, LayerWeights, Model};
use crate::rows::Rows;
use crate::team::Team;

/// Numbers of fewer bits, with the proof that the processor multiplies them.
#[derive(Clone, Copy, Debug)]
pub enum Reduced {
    /// bfloat16.
    Bfloat16(Bfloat16),
    /// Integers of eight bits.
    Int8(Int8),
}

/// A matrix in numbers of fewer bits.
#[derive(Debug)]
pub struct ReducedMatrix(Matrix);

#[derive(Debug)]
enum Matrix {
    Half(HalfMatrix),
    Int8(Int8Matrix),
}

impl ReducedMatrix {
    /// Rounds a matrix.
    ///
    /// # Panics
    ///
    /// If integers are asked for and it has more than 131,072 inputs, whose products could overflow.
    pub fn of(linear: &Linear<'_>, team: &Team, reduced: Reduced) -> Self {
        Self(match reduced {
            Reduced::Bfloat16(bfloat16) => Matrix::Half(HalfMatrix::of(linear, team, bfloat16)),
            Reduced::Int8(int8) => Matrix::Int8(Int8Matrix::of(linear, team, int8)),
        })
    }

    /// Computes `y = x · matrixᵀ + bias`, or adds it to `y`.
    pub(crate) fn apply(&self, team: &Team, x: &Rows, bias: Option<&[f32]>, y: &mut Rows, write: Write) {
        match &self.0 {
            Matrix::Half(matrix) => matrix.apply(team, x, bias, y, write),
            Matrix::Int8(matrix) => matrix.apply(team, x, bias, y, write),
        }
    }
}

/// The matrices of a model in numbers of fewer bits.
#[derive(Debug)]
pub struct ReducedWeights {
    /// Of each layer: queries, keys and values; out; gate and up; down.
    layers: Vec<[ReducedMatrix; 4]>,
    head: ReducedMatrix,
}

impl ReducedWeights {
    /// Rounds the matrices of a model.
    ///
    /// # Panics
    ///
    /// As [`ReducedMatrix::of`].
    pub fn of(model: &Model<'_>, team: &Team, reduced: Reduced) -> Self {
        let round = |linear: &Linear<'_>| ReducedMatrix::of(linear, team, reduced);
        let layers = model.layers.iter().map(|layer| {
            let AttentionWeights { qkv, out, .. } = &layer.attention;
            [round(qkv), round(out), round(&layer.gate_up), round(&layer.down)]
        });
        Self { layers: layers.collect(), head: round(&model.head) }
    }

    /// Returns a model that multiplies with these matrices; the rest is as before.
    pub fn model<'a>(&'a self, model: &Model<'a>) -> Model<'a> {
        let layers = model.layers.iter().zip(&self.layers).map(|(layer, [qkv, out, gate_up, down])| LayerWeights {
            attention_norm: layer.attention_norm,
            attention: AttentionWeights {
                qkv: layer.attention.qkv.with_reduced(qkv),
                qk_norm: layer.attention.qk_norm,
                out: layer.attention.out.with_reduced(out),
            },
            mlp_norm: layer.mlp_norm,
            gate_up: layer.gate_up.with_reduced(gate_up),
            down: layer.down.with_reduced(down),
        });
        Model {
            sizes: model.sizes.clone(),
            frequencies: model.frequencies.clone(),
            embedding: model.embedding,
            layers: layers.collect(),
            norm: model.norm,
            head: model.head.with_reduced(&self.head),
        }
    }
}
