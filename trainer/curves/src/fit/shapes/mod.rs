//! The forms, one file each.

pub(super) mod bnsl;
pub(super) mod constant;
pub(super) mod exp_sat;
pub(super) mod hinge;
pub(super) mod log_linear;
pub(super) mod logit_linear;
pub(super) mod power_sat;
pub(super) mod sigmoid;

use super::shape::Shape;

/// The forms that are fitted to accuracies, in the order of their number of parameters.
pub(super) const ALL: [&dyn Shape; 7] = [
    &constant::Constant,
    &log_linear::LogLinear,
    &logit_linear::LogitLinear,
    &power_sat::PowerSat,
    &exp_sat::ExpSat,
    &sigmoid::Sigmoid,
    &hinge::Hinge,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters at which no derivative vanishes.
    fn example(name: &str) -> Vec<f64> {
        match name {
            "constant" => vec![0.4],
            "log_linear" => vec![0.4, 0.1],
            "logit_linear" => vec![-0.3, 0.7],
            "power_sat" => vec![0.6, -0.9, 0.5],
            "exp_sat" => vec![0.2, 0.7, 0.3],
            "sigmoid" => vec![0.2, 0.7, 1.4, 0.1],
            "hinge" => vec![0.4, 0.2, 0.05, 0.15],
            other => panic!("no example of `{other}`"),
        }
    }

    #[test]
    fn derivatives_agree_with_differences() {
        for shape in ALL {
            let params = example(shape.name());
            for x in [-1.3, 0.4, 1.1] {
                for (i, derivative) in shape.gradient(&params, x).into_iter().enumerate() {
                    let h = 1e-6;
                    let at = |by: f64| {
                        let mut moved = params.clone();
                        moved[i] += by;
                        shape.value(&moved, x)
                    };
                    let difference = (at(h) - at(-h)) / (2.0 * h);
                    assert!((derivative - difference).abs() < 1e-8, "{} {i} at {x}", shape.name());
                }
            }
        }
    }

    #[test]
    fn moving_the_origin_changes_no_value() {
        for shape in ALL {
            let params = example(shape.name());
            let mut moved = params.clone();
            shape.moved(&mut moved, 18.5);
            for x in [-1.3, 0.4, 1.1] {
                let (here, there) = (shape.value(&params, x), shape.value(&moved, x + 18.5));
                assert!((here - there).abs() < 1e-12, "{}: {here} against {there}", shape.name());
            }
        }
    }
}
