//! What the mathematics engine takes for equal, as a table, and the laws that hold for any text.

use proptest::prelude::*;
use rlvr_verifiers::math::{Answer, Comparison, Policy, ReadError, compare};

/// The outcome in a word: `same`, `other`, `unreadable` (the answer) or `refused`.
fn outcome(reference: &str, answer: &str, policy: &Policy) -> &'static str {
    let reference = match Answer::read(reference, policy) {
        Ok(reference) => reference,
        Err(why) => panic!("the reference {reference} cannot be read: {why}"),
    };
    match Answer::read(answer, policy) {
        Err(ReadError::Unparsable(_)) => "unreadable",
        Err(ReadError::Refused(_)) => "refused",
        Ok(answer) => match compare(&reference, &answer, policy, 1) {
            Comparison::Equal { .. } => "same",
            Comparison::Different { .. } => "other",
            Comparison::Refused(_) => "refused",
        },
    }
}

#[track_caller]
fn check(expected: &str, pairs: &[(&str, &str)]) {
    check_by(&Policy::default(), expected, pairs);
}

#[track_caller]
fn check_by(policy: &Policy, expected: &str, pairs: &[(&str, &str)]) {
    let wrong: Vec<_> = pairs
        .iter()
        .map(|(reference, answer)| (reference, answer, outcome(reference, answer, policy)))
        .filter(|(_, _, found)| *found != expected)
        .collect();
    assert!(wrong.is_empty(), "not {expected}: {wrong:#?}");
}

#[test]
fn numbers() {
    check(
        "same",
        &[
            ("1/2", "0.5"),
            ("1/2", ".50"),
            ("2500", "2,500"),
            ("2500", "2{,}500"),
            ("1234567", "1,234,567"),
            ("32349", "32,\\!349"),
            ("25000", "2.5e4"),
            ("25000", "2.5 \\times 10^4"),
            ("25000", "2.5 x 10^4"),
            ("25000", "2.5 \\cdot 10^{4}"),
            ("3/7", "\\frac37"),
            ("-3/7", "\\dfrac{-3}{7}"),
            ("11/3", "3\\tfrac23"),
            ("11/3", "3 2/3"),
            ("-11/3", "-3\\frac{2}{3}"),
            ("11/3", "3⅔"),
            ("1/3", "0.\\overline{3}"),
            ("1/6", "0.1\\bar{6}"),
            ("2/11", "0.\\dot{1}\\dot{8}"),
            ("1", "0.\\overline{9}"),
            ("1/3", "0.333..."),
            ("0.7", "0.3+0.4"),
            ("0.25", "25\\%"),
            ("25\\%", "25"),
            ("25\\%", "0.25"),
            ("25\\%", "25 percent"),
            ("25\\%", "\\frac14"),
            ("1024", "2^{10}"),
            ("1024", "2^10"),
            ("1024", "2**10"),
            ("720", "6!"),
            ("21", "\\binom{7}{2}"),
            ("21", "{7 \\choose 2}"),
            ("5050", "\\sum_{k=1}^{100} k"),
            ("120", "\\prod_{i=1}^{5} i"),
            ("3", "\\log_2 8"),
            ("-2", "\\log_{3}\\frac{1}{9}"),
            ("4", "\\gcd(12, 8)"),
            ("24", "\\operatorname{lcm}(12, 8)"),
            ("3", "\\lfloor \\pi \\rfloor"),
            ("-3", "\\left\\lfloor -2.5 \\right\\rfloor"),
            ("4", "\\lceil 3.2 \\rceil"),
            ("2", "|-2|"),
            ("2", "17 \\bmod 5"),
            ("4", "\\max(3, 4, 1)"),
            ("8", "\\sqrt[3]{512}"),
            ("-2", "\\sqrt[3]{-8}"),
            ("-2", "(-8)^{1/3}"),
            ("9", "27^{2/3}"),
            ("10^{100}", "10^{99} \\cdot 10"),
            ("\\infty", "+\\infty"),
            ("\\infty", "∞"),
            ("6", "6th"),
        ],
    );
    check(
        "other",
        &[
            ("1", "0.99999999"),
            ("1/3", "0.333"),
            ("1/3", "0.33333333333333333333"),
            ("10^{100}", "10^{100}+1"),
            ("10^{100}", "10^{101}"),
            ("1/2^{99}", "1/2^{98}"),
            ("0.00000001", "0.00000002"),
            ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
            ("3/2", "3\\frac12"),
            ("32349", "32, 349"),
            ("1234", "12,34"),
            ("1234", "1,2,3,4"),
            ("0.5", "0.5\\%"),
            ("50", "50\\%"),
            ("0.25", "25"),
            ("0", "10^{-10^{10}}"),
            ("1", "10^{10^{10}}"),
            ("1", "1 + e^{-1000}"),
            ("1", "1 - 1/e"),
            ("1 - \\frac{1}{\\mathrm{e}}", "1"),
            ("1 - 1/e", "1 + 1/e"),
            ("5", "\\infty"),
            ("\\infty", "-\\infty"),
            ("7", "x"),
            ("7", "-7"),
        ],
    );
    check(
        "unreadable",
        &[
            ("0", "\\frac{0}{0}"),
            ("\\infty", "1/0"),
            ("1", "0^0"),
            ("1000", "1 000"),
            ("7", "1.2.3"),
            ("7", "\\frac{7}{"),
            ("7", "{7"),
            ("7", "--"),
            ("0", ""),
            ("0", "\\infty - \\infty"),
            ("1", "\\int_0^1 dx"),
        ],
    );
}

#[test]
fn spellings() {
    check(
        "same",
        &[
            ("7", "７"),
            ("7", "٧"),
            ("42", "४२"),
            ("7", "7\u{200b}"),
            ("-7", "−7"),
            ("x^2", "x²"),
            ("\\sqrt{2}", "√2"),
            ("\\sqrt{x+1}", "√(x+1)"),
            ("\\pi", "π"),
            ("6", "2×3"),
            ("2/3", "2÷3"),
            ("\\frac{x}{2}", "½x"),
            ("x \\le 2", "x ≤ 2"),
            ("[1,2] \\cup [3,4]", "[1,2]∪[3,4]"),
            ("90", "90°"),
            ("x_1", "x₁"),
            ("\\emptyset", "∅"),
            ("\\emptyset", "\\{\\}"),
            ("\\alpha+1", "α+1"),
            ("7", "$7$."),
            ("7", "\\(7\\)"),
            ("7", "\\boxed{7}"),
            ("7", "{{{7}}}"),
            ("\\frac{1}{2}", "\\\\frac{1}{2}"),
            ("A", "\\text{A}"),
            ("A", "(A)"),
            ("A", "\\textbf{(A)}"),
            ("C", "C. 12"),
            ("12", "\\textbf{(C)}\\ 12"),
            ("\\text{even}", "Even"),
            ("odd", "\\text{odd}"),
            ("\\text{no solution}", "No solution."),
        ],
    );
    check(
        "other",
        &[
            ("A", "B"),
            ("A", "\\text{(B)}"),
            ("A", "ABCD"),
            ("A", "a"),
            ("A", "A, B"),
            ("A", "A \\text{ or } B"),
            ("even", "\\text{odd}"),
            ("7", "\\text{True}"),
            ("7", "\\text{gold}"),
            ("C", "D. 12"),
            ("\\sqrt{2}", "√3"),
        ],
    );
}

#[test]
fn units() {
    check(
        "same",
        &[
            ("5", "5 cm"),
            ("5 cm", "5"),
            ("5 cm", "5\\text{ centimeters}"),
            ("5 cm", "5\\,\\mathrm{cm}"),
            ("12 cm^2", "12 \\text{ square centimeters}"),
            ("12 cm^2", "12 cm²"),
            ("60 mph", "60 miles per hour"),
            ("60 \\text{ km/h}", "60 km/h"),
            ("7", "7 apples"),
            ("9 (apples)", "9 apples"),
            ("\\$18.90", "18.90"),
            ("\\$18.90", "18.90 dollars"),
            ("1234", "\\$1,234"),
            ("90^\\circ", "90"),
            ("90^\\circ", "90 degrees"),
            ("\\frac{\\pi}{2}", "90^\\circ"),
            ("5.4 \\text{ cents}", "5.4"),
            ("10\\text{ units}", "10"),
            ("7", "7 m"),
            ("12:05", "12:05 p.m."),
        ],
    );
    check(
        "unreadable",
        &[
            ("7", "7 \\text{ is false}"),
            ("7", "x=7 \\text{ is wrong}"),
            ("7", "at least 7"),
            ("7", "7 \\text{ at most}"),
            ("6", "6 \\text{ feet } 2 \\text{ inches}"),
        ],
    );
    check(
        "other",
        &[
            ("5 cm", "5 m"),
            ("5 cm", "5 \\text{ cm}^2"),
            ("5 hours", "5 minutes"),
            ("5 cm", "50 mm"),
            ("7 apples", "7 oranges"),
            ("\\$5", "5 cents"),
            ("90^\\circ", "45^\\circ"),
            ("12:05 a.m.", "12:05 p.m."),
            ("12:00", "12"),
        ],
    );
}

#[test]
fn expressions() {
    check(
        "same",
        &[
            ("(x+1)^2", "x^2+2x+1"),
            ("(x-2)(x+2)", "x^2-4"),
            ("\\frac{x^2-1}{x-1}", "x+1"),
            ("\\frac{1}{\\sqrt2}", "\\frac{\\sqrt{2}}{2}"),
            ("\\sqrt{5+2\\sqrt6}", "\\sqrt2+\\sqrt3"),
            ("2\\sqrt{3}", "\\sqrt{12}"),
            ("\\frac{1+\\sqrt5}{2}", "\\frac{2}{\\sqrt5-1}"),
            ("0", "\\sin^2 x + \\cos^2 x - 1"),
            ("2\\sin x\\cos x", "\\sin 2x"),
            ("2 \\sin b \\cos a", "\\sin(a+b) - \\sin(a-b)"),
            ("\\cot x", "\\frac{\\cos x}{\\sin x}"),
            ("\\frac12", "\\sin\\frac{\\pi}{6}"),
            ("\\frac12", "\\sin 30^\\circ"),
            ("\\frac{\\pi}{4}", "\\arctan 1"),
            ("\\frac{\\pi}{4}", "\\tan^{-1}(1)"),
            ("-1", "e^{i\\pi}"),
            ("i", "\\sqrt{-1}"),
            ("1+2i", "2i+1"),
            ("5", "(1+2i)(1-2i)"),
            ("\\frac{1}{5}-\\frac{2}{5}i", "\\frac{1}{1+2i}"),
            ("\\ln 6", "\\ln 2 + \\ln 3"),
            ("\\ln 8", "3\\ln 2"),
            ("2", "\\log_4 16"),
            ("\\frac{3}{2}", "\\log_4 8"),
            ("e^{x+y}", "e^x e^y"),
            ("2^{n+1}", "2\\cdot 2^n"),
            ("\\frac{n(n+1)}{2}", "\\binom{n+1}{2}"),
            ("n!", "n\\cdot(n-1)!"),
            ("0", "(a+b)^{400}-(b+a)^{400}"),
            ("3abc", "3cba"),
            ("x\\sqrt{x}", "x^{3/2}"),
            ("\\sqrt[3]{x}", "x^{1/3}"),
            ("|x|", "\\sqrt{x^2}"),
            ("f(x)+1", "1+f(x)"),
            ("\\cosh x", "\\frac{e^x+e^{-x}}{2}"),
            ("2", "|1+i|^2"),
            ("\\max(a,b)", "\\max(b,a)"),
        ],
    );
    check(
        "other",
        &[
            ("(x+1)^2", "x^2+1"),
            ("x", "\\sqrt{x^2}"),
            ("x+1", "x+2"),
            ("x", "y"),
            ("f(x)", "f(y)"),
            ("2\\ln x", "\\ln x^2"),
            ("1+2i", "1-2i"),
            ("4", "4\\sqrt2"),
            ("1\\sqrt{19}", "1"),
            ("1", "(a+b+c+d+e)^{400}-(e+d+c+b+a)^{400}"),
            ("\\sin x", "\\cos x"),
            ("\\pi", "3.14159265358979"),
            ("\\pi", "\\frac{355}{113}"),
            ("\\sqrt2", "1.41421356237"),
            ("x^2", "x^{2.0001}"),
            ("x", "x + 10^{-30}"),
            ("11a+c", "11a"),
        ],
    );
}

#[test]
fn several_values() {
    check(
        "same",
        &[
            ("(1,2)", "(1, 2)"),
            ("(3, \\frac{\\pi}{2})", "\\left( 3, \\frac{\\pi}{2} \\right)"),
            ("\\{1,2,3\\}", "\\{3,1,2\\}"),
            ("\\{1,2,3\\}", "1, 2, 3"),
            ("-2,1", "1,-2"),
            ("-2,1", "1 \\text{ and } -2"),
            ("1;2;3", "3, 2, 1"),
            ("\\pm 3", "\\{-3,3\\}"),
            ("\\pm 3", "3, -3"),
            ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"),
            ("\\{1\\pm\\sqrt5,-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
            ("x=2, x=3", "2, 3"),
            ("x=2 \\text{ or } x=3", "\\{2,3\\}"),
            ("(5,8),(8,5)", "(x,y)=(5,8) \\text{ and } (8,5)"),
            ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
            ("p=5,q=2 \\text{ and } p=7,q=2", "(7,2),(5,2)"),
            ("a_3=2, a_{37}=19", "a_{37}=19, \\quad a_3=2"),
            ("n=2, 3, 4", "2,3,4"),
            ("3:4", "6:8"),
            ("3:4", "\\frac34"),
            ("S:T=7:32", "7:32"),
            ("204_5", "204_{5}"),
            ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}"),
            (
                "\\begin{pmatrix}6&8\\\\10&12\\end{pmatrix}",
                "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}+\\begin{pmatrix}5&6\\\\7&8\\end{pmatrix}",
            ),
            ("\\begin{pmatrix}7&10\\\\15&22\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^2"),
            ("\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^T"),
            ("-2", "\\begin{vmatrix}1&2\\\\3&4\\end{vmatrix}"),
            ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\langle 1, 2\\rangle"),
            ("\\langle 1,2,0\\rangle", "\\mathbf{i}+2\\mathbf{j}"),
            ("3 \\pmod 5", "8 \\pmod{5}"),
            ("x \\equiv 3 \\pmod 5", "3 \\pmod 5"),
            ("\\{5\\}", "5"),
            ("12:05", "12:05"),
        ],
    );
    check(
        "other",
        &[
            ("(1,2)", "(2,1)"),
            ("(1,3)", "\\{1,3\\}"),
            ("\\{1,2,3\\}", "\\{1,2\\}"),
            ("7", "7, 8"),
            ("7", "7 \\text{ or } 8"),
            ("3", "\\pm 3"),
            ("1,1,2", "1,2"),
            ("n=2, 3, 4", "n=1, 2, 3"),
            ("x=2,y=3", "x=3,y=2"),
            ("3:4", "4:3"),
            ("1011_2", "1011_3"),
            ("204_5", "204_6"),
            ("204_5", "54"),
            ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}"),
            ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1&2\\end{pmatrix}"),
            ("3 \\pmod 5", "4 \\pmod 5"),
            ("3 \\pmod 5", "3 \\pmod 7"),
            ("(3,3,2)", "(3,3,2,1)"),
        ],
    );
}

#[test]
fn equations_and_intervals() {
    check(
        "same",
        &[
            ("5", "x=5"),
            ("x=5", "5"),
            ("x=5", "5=x"),
            ("11", "x \\approx 11"),
            ("x=11", "x=5+5+1=11"),
            ("(3,2)", "(p,q)=(3,2)"),
            ("x^2+2", "f(x)=x^2+2"),
            ("P(x)=x^2+2", "x^2+2"),
            ("\\frac{2}{3}", "P(A)=\\frac23"),
            ("12", "\\text{Area} = 12"),
            ("12", "x = 12 \\text{ cm}"),
            ("(-1,5)", "|x-2|<3"),
            ("x>5", "2x+1>11"),
            ("[1,3]", "x \\ge 1 \\text{ and } x \\le 3"),
            ("1,2,3", "\\{1,2\\}\\cup\\{3\\}"),
            ("\\frac{x-1}{2}", "f^{-1}(x)=\\frac{x-1}{2}"),
            ("\\theta=30^\\circ", "30"),
            ("12", "AB = 12"),
            ("\\frac{22}{7}", "\\frac{22}{7} \\approx 3.14"),
            ("3.14", "\\frac{22}{7} \\approx 3.14"),
            ("4x+4", "4(x+1) = 4x+4"),
            ("x+2y=3", "2x+4y=6"),
            ("x+2y=3", "y=\\frac{3-x}{2}"),
            ("x^2/4+y^2/3=1", "3x^2+4y^2=12"),
            ("y=2x+3", "2x+3"),
            ("x>5", "5<x"),
            ("x>5", "(5,\\infty)"),
            ("(5,\\infty)", "x>5"),
            ("x<1", "-x>-1"),
            ("x\\neq 3", "(-\\infty,3)\\cup(3,\\infty)"),
            ("x\\neq 3", "\\mathbb{R}\\setminus\\{3\\}"),
            ("-2\\le x\\le 7", "x\\in[-2,7]"),
            ("[-2,7]", "-2\\le x\\le 7"),
            ("-2\\le x\\le 7", "7\\ge x\\ge -2"),
            ("1\\le|z|\\le\\frac32", "[-\\frac32,-1]\\cup[1,\\frac32]"),
            ("|x|<2", "(-2,2)"),
            ("(0,1)\\cup(1,2)", "(1,2)\\cup(0,1)"),
            ("(0,3)", "(0,2]\\cup(1,3)"),
            ("[0,2]\\setminus(0,1)", "\\{0\\}\\cup[1,2]"),
            ("\\mathbb{R}", "(-\\infty,\\infty)"),
            ("x<-1 \\text{ or } x>1", "(-\\infty,-1)\\cup(1,\\infty)"),
            ("\\{x \\mid x>5\\}", "(5,\\infty)"),
            ("\\{x\\in\\mathbb{R} : 0<x<1\\}", "(0,1)"),
            ("(-\\sqrt3,\\sqrt3)", "(-3^{1/2},\\sqrt{3})"),
            ("f(2)<f(1)<f(4)", "f(4)>f(1)>f(2)"),
            ("(2,\\infty)", "(2,+\\infty)"),
            ("[2,4)", "2 \\leq t < 4"),
        ],
    );
    check(
        "other",
        &[
            ("x=5", "x^2=25"),
            ("x=5", "x=x"),
            ("x=5", "y=5"),
            ("x^2+y^2=1", "0=0"),
            ("x^2+y^2=1", "x=x"),
            ("x^2+y^2=1", "x^2+y^2=2"),
            ("y=2x+1", "y=2x-1"),
            ("7=11a+c", "11a+c"),
            ("a+3z=0", "0"),
            ("2x+z=1", "1"),
            ("x>5", "x\\ge5"),
            ("x>5", "x<5"),
            ("x>5", "[5,\\infty)"),
            ("x<1", "x>-1"),
            ("[0,9)", "[0,1)"),
            ("(0,9)", "[0,9)"),
            ("5", "x\\in\\mathbb{R}"),
            ("5", "x>5"),
            ("[-3,2]", "(-\\infty,-3]\\cup[2,\\infty)"),
            ("1,2", "(1,2)"),
            ("8", "7 \\approx 8"),
            ("f(2)<f(1)<f(4)", "f(1)<f(2)<f(4)"),
        ],
    );
}

#[test]
fn policies() {
    use rlvr_verifiers::math::policy::{Intervals, Labels, ListOrder, Locale, Percent, Units, Variables};
    let with = |change: fn(&mut Policy)| {
        let mut policy = Policy::default();
        change(&mut policy);
        policy
    };
    let eu = with(|p| p.locale = Locale::Eu);
    check_by(&eu, "same", &[("2,74", "2,74"), ("1000", "1 000"), ("1,5; 2", "2; 1,5"), ("1234,5", "1.234,5")]);
    check_by(&eu, "other", &[("2,74", "274")]);
    let decimals = with(|p| p.decimals = Some(2));
    check_by(&decimals, "same", &[("1/3", "0.33"), ("\\pi", "3.14"), ("(1/3, 2)", "(0.333, 2)")]);
    check_by(&decimals, "other", &[("1/3", "0.34"), ("0.001", "0.002"), ("\\infty", "3.14")]);
    check_by(&with(|p| p.rtol = Some(0.01)), "same", &[("100", "100.9"), ("\\sqrt{2}", "1.41")]);
    check_by(&with(|p| p.rtol = Some(0.01)), "other", &[("100", "101.1"), ("0", "0.001")]);
    check_by(&with(|p| p.percent = Percent::Value), "other", &[("25\\%", "25")]);
    check_by(&with(|p| p.units = Units::Required), "other", &[("5 cm", "5"), ("5", "5 cm")]);
    check_by(&with(|p| p.list_order = ListOrder::Kept), "other", &[("1,2", "2,1")]);
    check_by(&with(|p| p.labels = Labels::Required), "other", &[("x=5", "5"), ("5", "x=5")]);
    check_by(&with(|p| p.intervals = Intervals::Distinct), "other", &[("x>1 ", "(1,5)"), ("1<x<5", "(1,5)")]);
    check_by(&with(|p| p.variables = Variables::Free), "same", &[("x+1", "y+1"), ("x=5", "y=5"), ("f(x)=x", "f(y)=y")]);
}

#[test]
fn bombs_are_refused_or_judged() {
    let deep = |open: &str, inner: &str, close: &str, n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
    let bombs = [
        "9".repeat(200_000),
        deep("(", "1", ")", 100_000),
        deep("\\frac{", "", "", 20_000),
        deep("\\sqrt{", "2", "}", 3000),
        deep("-", "1", "", 100_001),
        deep("2^", "2", "", 50_000),
        deep("\\sin", " x", "", 50_000),
        deep("\\{", "1", "\\}", 30_000),
        deep("|", "1", "|", 60_000),
        deep("[", "1", "]", 60_000),
        deep("\\sqrt", "2", "", 30_000),
        deep("\\text{", "a", "}", 20_000),
        deep("x_{", "1", "}", 20_000),
        deep("1", "!", "", 3) + &"!".repeat(100_000),
        "10^{10^{10^{10}}}".to_owned(),
        "(((9!)!)!)!".to_owned(),
        "1000000000!".to_owned(),
        "\\prod_{k=1}^{100000000} k".to_owned(),
        "\\sum_{a=1}^{1000}\\sum_{b=1}^{1000}\\sum_{c=1}^{1000} abc".to_owned(),
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{100000000}".to_owned(),
        "\\binom{100000}{50000}".to_owned(),
        "\\pm".repeat(50_000) + "1",
        "1,".repeat(50_000),
        "x=".repeat(50_000) + "1",
        "a+".repeat(50_000) + "1",
        "\\left(".repeat(20_000),
        "\\begin{pmatrix}".repeat(5_000),
        "1/(1+".repeat(30_000),
        "12345678901234567890 \\cdot ".repeat(5_000) + "1",
        "1/3+1/7+1/11+1/13+1/17+1/19+1/23+1/29+".repeat(2_000) + "1",
        "{".repeat(100_000) + "7, 8" + &"}".repeat(100_000),
        "1e999999999".to_owned(),
        "\\\\".repeat(100_000),
        "\\".repeat(100_001),
        "$".repeat(100_000),
    ];
    let policy = Policy::default();
    let one = Answer::read("1", &policy).unwrap();
    for bomb in &bombs {
        let read = Answer::read(bomb, &policy);
        let judged = read.as_ref().map(|answer| compare(&one, answer, &policy, 1));
        let head: String = bomb.chars().take(40).collect();
        assert!(!matches!(judged, Ok(Comparison::Equal { .. })), "{head}: {judged:?}");
    }
    check("same", &[("100001", &("1+".repeat(100_000) + "1")), ("1", &deep("{", "1", "}", 100_000))]);
}

#[test]
fn a_small_stack_suffices() {
    let run = || {
        let deep =
            |open: &str, inner: &str, close: &str, n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
        let policy = Policy::default();
        for n in [150, 199, 5000] {
            for text in [
                deep("(", "1", ")", n),
                deep("\\{", "1", "\\}", n),
                deep("\\sqrt{x+", "1", "}", n),
                deep("(2,", "1", ")", n),
            ] {
                if let Ok(answer) = Answer::read(&text, &policy) {
                    let _ = compare(&answer, &answer, &policy, 1);
                    drop(answer);
                }
            }
            let sum = "x+".repeat(4000) + "1";
            let answer = Answer::read(&sum, &policy).unwrap();
            let _ = compare(&answer, &answer.clone(), &policy, 1);
        }
    };
    std::thread::Builder::new().stack_size(1 << 19).spawn(run).unwrap().join().unwrap();
}

fn atoms() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_i64..1000).prop_map(|n| n.to_string()),
        (1_i64..100, 1_i64..100).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
        (0_i64..100, 0_i64..1000).prop_map(|(a, b)| format!("{a}.{b}")),
        (2_i64..50).prop_map(|n| format!("\\sqrt{{{n}}}")),
        prop::sample::select(vec!["x", "y", "a", "\\pi", "e", "i", "\\theta", "x_1", "n!", "25\\%", "\\infty"])
            .prop_map(str::to_owned),
    ]
}

fn formulas() -> impl Strategy<Value = String> {
    atoms().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" + "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" \\cdot ")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(", ")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(", "))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("\\{{{}\\}}", parts.join(", "))),
            (inner.clone(), 0_u32..5).prop_map(|(base, n)| format!("({base})^{{{n}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
            (prop::sample::select(vec!["\\sin", "\\ln", "\\cos", "\\exp", "\\arctan", "\\log_2"]), inner.clone())
                .prop_map(|(f, x)| format!("{f}({x})")),
            (inner.clone(), prop::sample::select(vec!["=", "<", "\\ge", "\\in", "\\pm", "\\cup"]), inner)
                .prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        ]
    })
}

fn is_equal(a: &Answer, b: &Answer) -> bool {
    matches!(compare(a, b, &Policy::default(), 3), Comparison::Equal { .. })
}

/// Forms whose comparison depends on which side is the reference.
fn is_one_sided(text: &str) -> bool {
    text.contains('%')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_not_without_a_panic(text in "\\PC{0,60}") {
        if let Ok(answer) = Answer::read(&text, &Policy::default()) {
            let _ = (compare(&answer, &answer, &Policy::default(), 5), answer.to_string());
        }
    }

    #[test]
    fn any_tokens_are_read_or_not_without_a_panic(tokens in prop::collection::vec(prop::sample::select(vec![
        "1", "23", "x", "y", "(", ")", "[", "]", "{", "}", "\\{", "\\}", ",", ";", "+", "-", "*", "/", "^", "_", "=", "<", "\\le ",
        "\\frac", "\\sqrt", "\\sin", "\\log", "\\pm", "\\mp", "\\infty", "\\cup", "\\in", "|", "!", "%", "\\%", "\\text{cm}",
        "\\text{or}", " and ", "\\begin{pmatrix}", "\\end{pmatrix}", "&", "\\\\", "\\pi", "e", "i", ".", ":", "^\\circ", "'", "\\sum",
        "\\left", "\\right", "\\mathbb{R}", "\\overline{3}", "0.", "\\pmod", "\\mid", "cm", "e5", " ", "\\quad", "\\boxed",
        "\\binom", "\\vec{i}", "\\langle ", "\\rangle ", "\\lfloor ", "\\rfloor ", "10^{100}", "\\begin{cases}", "\\end{cases}",
    ]), 0..14)) {
        if let Ok(answer) = Answer::read(&tokens.concat(), &Policy::default()) {
            let _ = (compare(&answer, &answer, &Policy::default(), 5), answer.to_string());
        }
    }

    #[test]
    fn what_is_read_is_never_different_from_itself(text in formulas()) {
        if let Ok(answer) = Answer::read(&text, &Policy::default()) {
            // A tautology is the same as no equation.
            prop_assume!(!text.contains('='));
            let spaced = Answer::read(&format!(" ${text}$ "), &Policy::default()).unwrap();
            prop_assert!(is_equal(&answer, &answer) || !matches!(
                compare(&answer, &spaced, &Policy::default(), 3), Comparison::Different { .. }), "{}", text);
        }
    }

    #[test]
    fn equality_is_symmetric(a in formulas(), b in formulas()) {
        prop_assume!(!is_one_sided(&a) && !is_one_sided(&b));
        if let (Ok(x), Ok(y)) = (Answer::read(&a, &Policy::default()), Answer::read(&b, &Policy::default())) {
            prop_assert_eq!(is_equal(&x, &y), is_equal(&y, &x), "{} and {}", a, b);
        }
    }

    #[test]
    fn sums_and_products_may_be_reordered(mut parts in prop::collection::vec(atoms(), 2..6), sign in prop::sample::select(vec![" + ", " \\cdot "])) {
        prop_assume!(!parts.iter().any(|part| part.contains("infty") || part.contains('!')));
        let straight = Answer::read(&parts.join(sign), &Policy::default()).unwrap();
        parts.reverse();
        let turned = Answer::read(&parts.join(sign), &Policy::default()).unwrap();
        prop_assert!(is_equal(&straight, &turned), "{:?}", parts);
    }

    #[test]
    fn one_more_is_never_the_same(text in formulas()) {
        // A larger part may hide the change in a union, and so may one of two inequalities.
        prop_assume!(!["cup", "\\ge", "<"].iter().any(|sign| text.contains(sign)));
        let policy = Policy::default();
        if let (Ok(x), Ok(y)) = (Answer::read(&text, &policy), Answer::read(&format!("{text} + 1"), &policy)) {
            prop_assert!(!is_equal(&x, &y), "{}", text);
        }
    }
}
