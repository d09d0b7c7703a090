//! The page: plain files, made part of the program, so that it works without a network.

/// A file of the page by its path: its type and its text.
pub(super) fn find(path: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(name, _, _)| *name == path).map(|&(_, content_type, text)| (content_type, text))
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: [(&str, &str, &str); 20] = [
    ("/", HTML, include_str!("assets/index.html")),
    ("/style.css", CSS, include_str!("assets/style.css")),
    ("/icon.svg", SVG, include_str!("assets/icon.svg")),
    ("/main.js", JS, include_str!("assets/main.js")),
    ("/dom.js", JS, include_str!("assets/dom.js")),
    ("/server.js", JS, include_str!("assets/server.js")),
    ("/controls.js", JS, include_str!("assets/controls.js")),
    ("/chart.js", JS, include_str!("assets/chart.js")),
    ("/axis.js", JS, include_str!("assets/axis.js")),
    ("/heat.js", JS, include_str!("assets/heat.js")),
    ("/panels.js", JS, include_str!("assets/panels.js")),
    ("/rollout.js", JS, include_str!("assets/rollout.js")),
    ("/diff.js", JS, include_str!("assets/diff.js")),
    ("/views/rollouts.js", JS, include_str!("assets/views/rollouts.js")),
    ("/views/groups.js", JS, include_str!("assets/views/groups.js")),
    ("/views/distribution.js", JS, include_str!("assets/views/distribution.js")),
    ("/views/curves.js", JS, include_str!("assets/views/curves.js")),
    ("/views/prompt.js", JS, include_str!("assets/views/prompt.js")),
    ("/views/scaling.js", JS, include_str!("assets/views/scaling.js")),
    ("/views/verifiers.js", JS, include_str!("assets/views/verifiers.js")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_loaded_from_elsewhere_or_written_as_html() {
        for (path, _, text) in FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "https://",
                "style=\"",
            ] {
                assert!(!text.contains(word), "{path} has `{word}`");
            }
        }
        assert!(find("/../Cargo.toml").is_none());
    }

    /// The characters in a class of a regular expression that is made of `\\uXXXX`, `\\u{X}` and ranges of them.
    fn class(text: &str) -> Vec<std::ops::RangeInclusive<u32>> {
        let mut codes = vec![];
        for part in text.split("\\u").skip(1) {
            let is_start = part.ends_with('-');
            let digits = part.trim_matches(['{', '}', '-']);
            codes.push((u32::from_str_radix(digits, 16).unwrap(), is_start));
        }
        let (mut ranges, mut start) = (vec![], None);
        for (code, is_start) in codes {
            match (is_start, start.take()) {
                (true, _) => start = Some(code),
                (false, from) => ranges.push(from.unwrap_or(code)..=code),
            }
        }
        ranges
    }

    #[test]
    fn the_page_and_the_terminal_show_the_same_characters_by_number() {
        let (_, text) = find("/dom.js").unwrap();
        let text = &text[text.find("/[\\u").unwrap() + 2..];
        let ranges = class(&text[..text.find("]/gu").unwrap()]);
        for c in '\0'..=char::MAX {
            let on_the_page = ranges.iter().any(|range| range.contains(&(c as u32)));
            let in_the_terminal = crate::rollouts::visible(&c.to_string()) != c.to_string();
            assert_eq!(on_the_page, in_the_terminal, "{c:?}");
        }
    }

    #[test]
    fn all_modules_are_there() {
        for (path, _, text) in FILES.iter().filter(|(_, content_type, _)| *content_type == JS) {
            let folder = &path[..=path.rfind('/').unwrap()];
            for import in text.lines().filter_map(|line| line.strip_prefix("import ")?.split('"').nth(1)) {
                let full = match import.strip_prefix("../") {
                    Some(upper) => format!("/{upper}"),
                    None => format!("{folder}{}", import.trim_start_matches("./")),
                };
                assert!(find(&full).is_some(), "{path} imports {import}");
            }
        }
    }
}
