//! The names that commands and words give to functions, constants, signs and units.

use super::expression::{Binary, Constant, Function};
use super::form::Sign;

/// A function by the name of its command or in plain text.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "exp" => Function::Exp,
        "ln" => Function::Ln,
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" | "tg" => Function::Tan,
        "arcsin" | "asin" => Function::Arcsin,
        "arccos" | "acos" => Function::Arccos,
        "arctan" | "atan" | "arctg" => Function::Arctan,
        "sinh" | "sh" => Function::Sinh,
        "cosh" | "ch" => Function::Cosh,
        "tanh" | "th" => Function::Tanh,
        "arcsinh" | "arsinh" | "asinh" => Function::Arsinh,
        "arccosh" | "arcosh" | "acosh" => Function::Arcosh,
        "arctanh" | "artanh" | "atanh" => Function::Artanh,
        "abs" => Function::Abs,
        "floor" => Function::Floor,
        "ceil" | "ceiling" => Function::Ceiling,
        "sgn" | "sign" => Function::Sign,
        "Re" => Function::Re,
        "Im" => Function::Im,
        "arg" | "Arg" => Function::Arg,
        _ => return None,
    })
}

/// A function whose reciprocal has the name.
pub(super) fn reciprocal(name: &str) -> Option<Function> {
    Some(match name {
        "sec" => Function::Cos,
        "csc" | "cosec" => Function::Sin,
        "cot" | "ctg" => Function::Tan,
        "sech" => Function::Cosh,
        "csch" => Function::Sinh,
        "coth" => Function::Tanh,
        _ => return None,
    })
}

/// The inverse of a function, for `\sin^{-1}`.
pub(super) fn inverse(function: Function) -> Option<Function> {
    Some(match function {
        Function::Sin => Function::Arcsin,
        Function::Cos => Function::Arccos,
        Function::Tan => Function::Arctan,
        Function::Sinh => Function::Arsinh,
        Function::Cosh => Function::Arcosh,
        Function::Tanh => Function::Artanh,
        _ => return None,
    })
}

/// Functions of several arguments, which combine two at a time.
pub(super) fn combining(name: &str) -> Option<Binary> {
    Some(match name {
        "gcd" | "GCD" => Binary::Gcd,
        "lcm" | "LCM" => Binary::Lcm,
        "min" => Binary::Min,
        "max" => Binary::Max,
        _ => return None,
    })
}

/// Constants by the name of their command or in plain text.
pub(super) fn constant(name: &str) -> Option<Constant> {
    Some(match name {
        "pi" | "Pi" => Constant::Pi,
        "infty" | "infinity" | "Infinity" | "inf" | "oo" => Constant::Infinity,
        "exponentialE" => Constant::E,
        "imaginaryI" | "imath" => Constant::I,
        _ => return None,
    })
}

/// Greek letters and other symbols that are variables.
pub(super) fn is_variable(name: &str) -> bool {
    const NAMES: [&str; 44] = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "rho",
        "varrho",
        "sigma",
        "varsigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Xi",
        "Sigma",
        "Upsilon",
        "Phi",
        "Psi",
        "Omega",
        "ell",
        "hbar",
        "nabla",
        "partial",
        "aleph",
        "triangle",
        "jmath",
    ];
    NAMES.contains(&name)
}

/// Relations by their command.
pub(super) fn relation(name: &str) -> Option<Sign> {
    Some(match name {
        "eq" => Sign::Equal,
        "approx" | "thickapprox" | "approxeq" | "simeq" | "doteq" => Sign::About,
        "ne" | "neq" => Sign::NotEqual,
        "lt" => Sign::Less,
        "le" | "leq" | "leqslant" | "leqq" => Sign::LessEqual,
        "gt" => Sign::Greater,
        "ge" | "geq" | "geqslant" | "geqq" => Sign::GreaterEqual,
        "in" => Sign::In,
        "notin" => Sign::NotIn,
        "subset" | "subseteq" => Sign::Subset,
        "equiv" => Sign::Congruent,
        "Rightarrow" | "implies" | "to" | "rightarrow" | "longrightarrow" | "mapsto" | "iff" | "Leftrightarrow" => {
            Sign::Implies
        }
        "cong" | "sim" => Sign::Similar,
        "parallel" => Sign::Parallel,
        "perp" => Sign::Perpendicular,
        _ => return None,
    })
}

/// Commands whose argument is words.
pub(super) fn is_text(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "text",
        "mbox",
        "textbf",
        "textit",
        "textrm",
        "textsf",
        "texttt",
        "mathrm",
        "hbox",
        "rm",
        "textnormal",
        "mathsf",
    ];
    NAMES.contains(&name)
}

/// Commands that show their argument and add nothing.
pub(super) fn is_frame(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "boxed",
        "fbox",
        "framebox",
        "mathbf",
        "boldsymbol",
        "bm",
        "mathit",
        "mathcal",
        "mathnormal",
        "underline",
        "variable",
        "ensuremath",
        "mathop",
        "mathbin",
        "pmb",
    ];
    NAMES.contains(&name)
}

/// Commands that make another name of a letter.
pub(super) fn is_accent(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "overline",
        "bar",
        "hat",
        "widehat",
        "vec",
        "overrightarrow",
        "overleftarrow",
        "overleftrightarrow",
        "tilde",
        "widetilde",
        "dot",
        "ddot",
        "overarc",
        "wideparen",
        "arc",
    ];
    NAMES.contains(&name)
}
