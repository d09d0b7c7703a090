//! Colours on light and dark paper.

/// Which paper a figure is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark ink on white.
    #[default]
    Light,
    /// Light ink on nearly black.
    Dark,
}

/// The colours of a theme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colours {
    pub paper: &'static str,
    pub ink: &'static str,
    /// Captions.
    pub muted: &'static str,
    /// Grid lines.
    pub faint: &'static str,
    /// Points that are left out.
    pub skipped: &'static str,
    /// Okabe and Ito's colours, told apart by colour-blind readers and in grey together with the markers. On dark paper
    /// the blue that is too dark there comes last.
    pub series: [&'static str; 6],
}

impl Theme {
    pub(super) fn colours(self) -> Colours {
        match self {
            Self::Light => Colours {
                paper: "#ffffff",
                ink: "#222222",
                muted: "#555555",
                faint: "#dddddd",
                skipped: "#999999",
                series: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"],
            },
            Self::Dark => Colours {
                paper: "#16181d",
                ink: "#e8e8e8",
                muted: "#b0b4ba",
                faint: "#363a42",
                skipped: "#7a7f88",
                series: ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00"],
            },
        }
    }
}

impl Colours {
    /// The colour of a series; with more than there are colours they begin again, under other markers.
    pub(super) fn series(&self, i: usize) -> &'static str {
        self.series[i % self.series.len()]
    }
}
