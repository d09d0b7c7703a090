//! Matrices, definitions by cases, and arithmetic of what is more than one number.

use super::expression::{Function, Id};
use super::form::{Form, Matrix};
use super::lexer::Token;
use super::limits::{Fault, ITEMS, Reading};
use super::members::Enclosure;
use super::parser::{Level, Parser};
use super::rational::Rational;

const NO_NUMBER: Fault = Fault::Unreadable("an operation on what is no number");

/// The largest matrix of which a determinant, inverse or power is computed.
const SIDE: usize = 6;

/// The largest exponent of a matrix.
const EXPONENT: i64 = 64;

impl Parser<'_> {
    /// `\begin` has been passed.
    pub(super) fn environment(&mut self) -> Reading<Form> {
        let (name, end) = self.lexer.group(self.ahead.start)?;
        self.jump(end);
        let kind = name.trim().trim_end_matches('*');
        match kind {
            "array" => {
                // The columns' alignment.
                let (_, end) = self.lexer.group(self.ahead.start)?;
                self.jump(end);
            }
            "matrix" | "pmatrix" | "bmatrix" | "Bmatrix" | "vmatrix" | "Vmatrix" | "smallmatrix" => {}
            "cases" | "aligned" | "align" | "gathered" | "gather" | "split" | "equation" | "dcases" => {
                return self.cases();
            }
            _ => return Err(Fault::Unreadable("an unknown environment")),
        }
        let matrix = self.rows()?;
        if kind == "vmatrix" { self.determinant(&matrix).map(Form::Expression) } else { Ok(Form::Matrix(matrix)) }
    }

    fn end_environment(&mut self) -> Reading<()> {
        let (_, end) = self.lexer.group(self.ahead.start)?;
        self.jump(end);
        Ok(())
    }

    fn rows(&mut self) -> Reading<Matrix> {
        let n_bars = std::mem::replace(&mut self.n_bars, 0);
        let mut rows: Vec<Vec<Id>> = vec![vec![]];
        loop {
            match self.token() {
                Token::Command("end") => {
                    self.advance();
                    self.end_environment()?;
                    break;
                }
                Token::Command("\\" | "cr") => {
                    self.advance();
                    rows.push(vec![]);
                }
                Token::Command("hline") | Token::Sign(b'&' | b',') => self.advance(),
                Token::End => return Err(Fault::Unreadable("an environment that does not end")),
                _ => {
                    if rows.len() > ITEMS || rows.iter().map(Vec::len).sum::<usize>() >= ITEMS {
                        return Err(Fault::Limit("members"));
                    }
                    let entry = self.expression(Level::Sum)?;
                    rows.last_mut().expect("there is a row").push(entry);
                }
            }
        }
        self.n_bars = n_bars;
        rows.retain(|row| !row.is_empty());
        let n_columns = rows.first().map_or(0, Vec::len);
        if n_columns == 0 || rows.iter().any(|row| row.len() != n_columns) {
            return Err(Fault::Unreadable("a matrix with rows of different lengths"));
        }
        Ok(Matrix { n_columns, entries: rows.concat() })
    }

    /// Rows of a definition by cases, or of a system of equations.
    fn cases(&mut self) -> Reading<Form> {
        let mut rows: Vec<Vec<Form>> = vec![vec![]];
        loop {
            match self.token() {
                Token::Command("end") => {
                    self.advance();
                    self.end_environment()?;
                    break;
                }
                Token::Command("\\" | "cr") => {
                    self.advance();
                    rows.push(vec![]);
                }
                Token::Sign(b'&' | b',' | b';' | b'.') | Token::Command("quad" | "qquad") => self.advance(),
                Token::Word("if" | "for" | "when" | "otherwise") => self.advance(),
                Token::End => return Err(Fault::Unreadable("an environment that does not end")),
                _ => {
                    if rows.iter().map(Vec::len).sum::<usize>() + rows.len() >= ITEMS {
                        return Err(Fault::Limit("members"));
                    }
                    let form = self.binary(Level::Relation)?;
                    let is_filler = matches!(&form, Form::Text(text) if is_filler(text));
                    if !is_filler {
                        rows.last_mut().expect("there is a row").push(form);
                    }
                }
            }
        }
        rows.retain(|row| !row.is_empty());
        if rows.iter().all(|row| row.len() == 1) {
            let mut members: Vec<Form> = rows.into_iter().flatten().collect();
            return match members.len() {
                0 => Err(Fault::Unreadable("nothing")),
                1 => Ok(members.remove(0)),
                _ => Ok(Form::List(members)),
            };
        }
        Ok(Form::Cases(rows))
    }

    pub(super) fn add_forms(&mut self, left: Form, right: Form) -> Reading<Form> {
        match (left, right) {
            (Form::Matrix(a), Form::Matrix(b)) if a.n_columns == b.n_columns && a.entries.len() == b.entries.len() => {
                let entries = self.add_all(&a.entries, &b.entries)?;
                Ok(Form::Matrix(Matrix { n_columns: a.n_columns, entries }))
            }
            (Form::Vector(a), Form::Vector(b)) if a.len() == b.len() => self.add_all(&a, &b).map(Form::Vector),
            _ => Err(NO_NUMBER),
        }
    }

    fn add_all(&mut self, a: &[Id], b: &[Id]) -> Reading<Vec<Id>> {
        a.iter().zip(b).map(|(&a, &b)| self.arena.add(a, b)).collect()
    }

    pub(super) fn multiply_forms(&mut self, left: Form, right: Form) -> Reading<Form> {
        match (left, right) {
            (Form::Expression(a), Form::Expression(b)) => self.arena.mul(a, b).map(Form::Expression),
            (Form::Expression(a), form) | (form, Form::Expression(a)) => self.scale(form, a),
            (Form::Matrix(a), Form::Matrix(b)) => self.product(&a, &b).map(Form::Matrix),
            _ => Err(NO_NUMBER),
        }
    }

    pub(super) fn scale_by(&mut self, form: Form, factor: i64) -> Reading<Form> {
        let factor = self.arena.small(factor)?;
        self.scale(form, factor)
    }

    fn scale(&mut self, form: Form, factor: Id) -> Reading<Form> {
        let mut times = |ids: &[Id]| ids.iter().map(|&id| self.arena.mul(factor, id)).collect::<Reading<Vec<Id>>>();
        match form {
            Form::Matrix(matrix) => {
                Ok(Form::Matrix(Matrix { n_columns: matrix.n_columns, entries: times(&matrix.entries)? }))
            }
            Form::Vector(parts) => times(&parts).map(Form::Vector),
            _ => Err(NO_NUMBER),
        }
    }

    fn product(&mut self, a: &Matrix, b: &Matrix) -> Reading<Matrix> {
        let (n, m, k) = (a.entries.len() / a.n_columns, b.n_columns, a.n_columns);
        if k != b.entries.len() / b.n_columns {
            return Err(Fault::Unreadable("a product of matrices whose sizes do not fit"));
        }
        let mut entries = Vec::with_capacity(n * m);
        for row in 0..n {
            for column in 0..m {
                let mut sum = self.arena.small(0)?;
                for i in 0..k {
                    let term = self.arena.mul(a.entries[row * k + i], b.entries[i * m + column])?;
                    sum = self.arena.add(sum, term)?;
                }
                entries.push(sum);
            }
        }
        Ok(Matrix { n_columns: m, entries })
    }

    /// `^` has been passed: a power, the transpose or the inverse.
    pub(super) fn matrix_power(&mut self, matrix: Matrix) -> Reading<Form> {
        let text = self.lexer.text[self.ahead.start..].trim_start_matches(['{', ' ']);
        let is_transpose = text.starts_with('T') || text.starts_with("\\top") || text.starts_with("\\intercal");
        if is_transpose {
            let end = match self.lexer.group(self.ahead.start) {
                Ok((_, end)) => end,
                Err(_) => self.ahead.end,
            };
            self.jump(end);
            return Ok(Form::Matrix(transposed(&matrix)));
        }
        let exponent = self.exponent()?;
        let exponent = self.arena.number(exponent).and_then(Rational::to_i64).ok_or(NO_NUMBER)?;
        if exponent.abs() > EXPONENT {
            return Err(Fault::Limit("matrix power"));
        }
        let base = if exponent < 0 { self.inverse(&matrix)? } else { matrix };
        let n = base.n_columns;
        let mut power = self.identity(n)?;
        for _ in 0..exponent.abs() {
            power = self.product(&power, &base)?;
        }
        Ok(Form::Matrix(power))
    }

    fn identity(&mut self, n: usize) -> Reading<Matrix> {
        let entries =
            (0..n * n).map(|at| self.arena.small(i64::from(at / n == at % n))).collect::<Reading<Vec<Id>>>()?;
        Ok(Matrix { n_columns: n, entries })
    }

    /// The size of what stands between bars: a determinant, a length.
    pub(super) fn size(&mut self, form: Form) -> Reading<Form> {
        match form {
            Form::Matrix(matrix) => self.determinant(&matrix).map(Form::Expression),
            Form::Vector(parts) => {
                let mut sum = self.arena.small(0)?;
                for part in parts {
                    let square = self.arena.mul(part, part)?;
                    sum = self.arena.add(sum, square)?;
                }
                let two = self.arena.small(2)?;
                self.arena.root(two, sum).map(Form::Expression)
            }
            Form::Expression(id) => self.arena.call(Function::Abs, id).map(Form::Expression),
            _ => Err(NO_NUMBER),
        }
    }

    /// The determinant, by the first row.
    fn determinant(&mut self, matrix: &Matrix) -> Reading<Id> {
        let n = matrix.n_columns;
        if n * n != matrix.entries.len() {
            return Err(Fault::Unreadable("a determinant of a matrix that is not square"));
        }
        if n > SIDE {
            return Err(Fault::Limit("matrix size"));
        }
        if n == 1 {
            return Ok(matrix.entries[0]);
        }
        let mut sum = self.arena.small(0)?;
        for column in 0..n {
            let minor = self.determinant(&minor(matrix, 0, column))?;
            let term = self.arena.mul(matrix.entries[column], minor)?;
            sum = if column % 2 == 0 { self.arena.add(sum, term)? } else { self.arena.sub(sum, term)? };
        }
        Ok(sum)
    }

    /// The inverse by the adjugate.
    fn inverse(&mut self, matrix: &Matrix) -> Reading<Matrix> {
        let n = matrix.n_columns;
        let determinant = self.determinant(matrix)?;
        let mut entries = Vec::with_capacity(n * n);
        for row in 0..n {
            for column in 0..n {
                let cofactor =
                    if n == 1 { self.arena.small(1)? } else { self.determinant(&minor(matrix, column, row))? };
                let cofactor = if (row + column) % 2 == 0 { cofactor } else { self.arena.neg(cofactor)? };
                entries.push(self.arena.div(cofactor, determinant)?);
            }
        }
        Ok(Matrix { n_columns: n, entries })
    }

    /// `\sum` or `\prod` has been passed.
    pub(super) fn range(&mut self, name: &str) -> Reading<Form> {
        let (mut from, mut to) = (None, None);
        loop {
            match self.token() {
                Token::Sign(b'_') => {
                    self.advance();
                    from = Some(self.range_start()?);
                }
                Token::Sign(b'^') => {
                    self.advance();
                    to = Some(self.exponent()?);
                }
                _ => break,
            }
        }
        let body = self.expression(Level::Product)?;
        let (Some((variable, low)), Some(high)) = (from, to) else {
            return Err(Fault::Unreadable("a sum or product without its range"));
        };
        super::range::expand(&mut self.arena, name, &super::range::Range { variable, low, high, body })
            .map(Form::Expression)
    }

    fn range_start(&mut self) -> Reading<(String, Id)> {
        const FORM: Fault = Fault::Unreadable("a sum or product without its range");
        if self.token() != Token::Sign(b'{') {
            return Err(FORM);
        }
        self.advance();
        let (mut members, _) = self.members(Enclosure::Braces)?;
        self.expect(Token::Sign(b'}'))?;
        let Some(Form::Relation(relation)) = members.pop() else { return Err(FORM) };
        match (relation.sides[0].expression(), relation.sides[1].expression()) {
            (Some(variable), Some(low)) if relation.signs == [super::form::Sign::Equal] => {
                use super::expression::{Constant, Node};
                let name = match self.arena.node(variable) {
                    Node::Constant(Constant::I) => "i",
                    _ => self.arena.symbol(variable).ok_or(FORM)?,
                };
                Ok((name.to_owned(), low))
            }
            _ => Err(FORM),
        }
    }
}

fn is_filler(text: &str) -> bool {
    matches!(text.trim().trim_matches([',', '.']), "if" | "for" | "when" | "otherwise" | "and" | "else" | "where")
}

fn transposed(matrix: &Matrix) -> Matrix {
    let (n, m) = (matrix.entries.len() / matrix.n_columns, matrix.n_columns);
    let entries = (0..n * m).map(|at| matrix.entries[at % n * m + at / n]).collect();
    Matrix { n_columns: n, entries }
}

fn minor(matrix: &Matrix, row: usize, column: usize) -> Matrix {
    let n = matrix.n_columns;
    let entries = (0..n * n).filter(|at| at / n != row && at % n != column).map(|at| matrix.entries[at]).collect();
    Matrix { n_columns: n - 1, entries }
}
