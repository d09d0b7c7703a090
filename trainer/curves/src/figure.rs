//! Figures: SVG as the master, PNG from it, and the data that was drawn beside them.
//!
//! Equal input gives equal bytes. Text is set in DejaVu Sans, which is shipped, since a machine without fonts would draw
//! no text and say nothing. What is told by colour is told by markers or dashes too.

mod at_k;
mod axis;
mod difficulty;
mod frame;
mod inference;
mod panels;
mod scaling;
mod svg;
mod theme;

use std::path::{Path, PathBuf};

use resvg::{tiny_skia, usvg};

pub use at_k::AtKFigure;
pub use difficulty::DifficultyFigure;
pub use inference::{InferenceFigure, Ladder, Used};
pub use panels::{PANELS, PanelsFigure};

pub(crate) use scaling::problem_interval;
pub use scaling::{ScalingFigure, Style};
pub use theme::Theme;

/// Why a figure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The file could not be written.
    #[error("figure `{}` cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The SVG could not be drawn, which is a mistake of this program.
    #[error("the figure could not be drawn: {0}")]
    Render(String),
}

/// The font of all figures.
const FONT: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

/// Draws an SVG as PNG, twice as large.
///
/// # Errors
///
/// If the SVG cannot be drawn, which is a mistake of this program.
pub fn to_png(svg: &str) -> Result<Vec<u8>, FigureError> {
    let mut options = usvg::Options { font_family: svg::FONT_FAMILY.to_owned(), ..usvg::Options::default() };
    options.fontdb_mut().load_font_data(FONT.to_vec());
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| FigureError::Render(error.to_string()))?;
    let scale = 2.0;
    let size = tree.size().to_int_size().scale_by(scale).ok_or_else(|| FigureError::Render("no size".to_owned()))?;
    let mut pixels = tiny_skia::Pixmap::new(size.width(), size.height())
        .ok_or_else(|| FigureError::Render("no pixels".to_owned()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| FigureError::Render(error.to_string()))
}

/// Writes `STEM.svg`, `STEM.png` and `STEM.csv` of the accuracy against training FLOPs into a folder and returns the path
/// of the first.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_curve(figure: &ScalingFigure<'_>, folder: &Path, stem: &str) -> Result<PathBuf, FigureError> {
    write(folder, stem, figure.to_svg(), figure.to_csv())
}

/// Writes a drawing as `STEM.svg` and `STEM.png`, and its data as `STEM.csv`, into a folder and returns the path of the
/// first.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write(folder: &Path, stem: &str, svg: String, csv: String) -> Result<PathBuf, FigureError> {
    let files = [("png", to_png(&svg)?), ("csv", csv.into_bytes()), ("svg", svg.into_bytes())];
    for (extension, bytes) in files {
        let path = folder.join(format!("{stem}.{extension}"));
        std::fs::write(&path, bytes).map_err(|source| FigureError::Io { path, source })?;
    }
    Ok(folder.join(format!("{stem}.svg")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::fit;
    use crate::points::{Point, Series};

    pub(super) fn example() -> Vec<Series> {
        let points = (0..8)
            .map(|i| {
                let compute = if i == 0 { 0.0 } else { 3e14 * 2_f64.powi(i) };
                let y = 0.3 + 0.06 * f64::from(i);
                Point { step: i as u64 * 10, compute, y, lenient: Some(y + 0.05), n: Some(200.0) }
            })
            .collect();
        vec![Series { name: "seed <1>".to_owned(), set: "sums".to_owned(), points }]
    }

    #[test]
    fn a_figure_is_three_files_and_the_png_has_text() {
        let series = example();
        let folder = tempfile::tempdir().unwrap();
        let figure = ScalingFigure { series: &series, fit: &fit(&series), title: "T" };
        let path = write_curve(&figure, folder.path(), "curve").unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        // The labels of the axis of compute stand at one height.
        let label = svg.lines().find(|line| line.contains(">10¹⁵<")).unwrap();
        let y: f64 = label.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        let pixels = tiny_skia::Pixmap::decode_png(&std::fs::read(path.with_extension("png")).unwrap()).unwrap();
        assert_eq!(pixels.width(), 1520);
        let (top, bottom) = (2 * y as u32 - 22, 2 * y as u32 + 2);
        let dark = (0..1520)
            .flat_map(|x| (top..bottom).map(move |y| (x, y)))
            .filter(|&(x, y)| pixels.pixel(x, y).is_some_and(|p| p.red() < 100))
            .count();
        assert!(dark > 200, "{dark} dark pixels where the tick labels should be");
        assert!(
            std::fs::read_to_string(path.with_extension("csv"))
                .unwrap()
                .starts_with("series,step,C,y,lenient,n\nseed <1>,0,0e0,0.3,")
        );
    }
}
