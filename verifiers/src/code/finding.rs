//! From the end of a run to the word for it.

use super::sandbox::run::{End, Report};

/// Why a run is wrong whatever it wrote.
///
/// What the kernel and the case's pid 1 counted is believed, never what the program said: a program that ends itself
/// with the exit code or the signal of a sandbox's failure has failed, not the sandbox.
pub(crate) fn fault(report: &Report) -> Option<&'static str> {
    if report.syntax_error.is_some() {
        return Some("syntax_error");
    }
    if report.n_oom_kills > 0 {
        return Some("oom");
    }
    if report.is_over {
        return Some("output_limit");
    }
    let Some(ended) = &report.ended else { return Some("timeout") };
    match (ended.why, ended.status) {
        (Some(End::Cpu | End::Wall), _) => Some("timeout"),
        (Some(End::Memory), _) => Some("oom"),
        (Some(End::Exit), Some(status)) => match (signal(status), exit_code(status)) {
            (Some(libc::SIGSYS), _) => Some("sandbox_violation"),
            (Some(libc::SIGXFSZ), _) => Some("output_limit"),
            (Some(libc::SIGXCPU), _) => Some("timeout"),
            (Some(_), _) => Some("runtime_error"),
            (None, 0) => None,
            (None, _) => Some("runtime_error"),
        },
        (_, None) | (None, _) => Some("runtime_error"),
    }
}

/// The signal that a wait status names, if one ended the process.
fn signal(status: i32) -> Option<i32> {
    let signal = status & 0x7f;
    (signal != 0).then_some(signal)
}

/// The exit code of a wait status.
pub(crate) fn exit_code(status: i32) -> i32 {
    (status >> 8) & 0xff
}

#[cfg(test)]
mod tests {
    use super::super::sandbox::run::Ended;
    use super::*;

    fn report(why: Option<End>, status: Option<i32>) -> Report {
        let ended = Ended { why, status, cpu_s: 0.0, wall_s: 0.0, peak_mb: 0.0, no_export: None };
        Report { is_ready: true, ended: Some(ended), ..Report::default() }
    }

    #[track_caller]
    fn check(report: &Report, expected: Option<&str>) {
        assert_eq!(fault(report), expected, "{report:?}");
    }

    #[test]
    fn ends_have_words() {
        check(&report(Some(End::Exit), Some(0)), None);
        check(&report(Some(End::Exit), Some(124 << 8)), Some("runtime_error"));
        check(&report(Some(End::Exit), Some(137 << 8)), Some("runtime_error"));
        check(&report(Some(End::Exit), Some(libc::SIGKILL)), Some("runtime_error"));
        check(&report(Some(End::Exit), Some(libc::SIGSEGV | 0x80)), Some("runtime_error"));
        check(&report(Some(End::Exit), Some(libc::SIGSYS)), Some("sandbox_violation"));
        check(&report(Some(End::Wall), None), Some("timeout"));
        check(&report(Some(End::Cpu), None), Some("timeout"));
        check(&report(Some(End::Memory), None), Some("oom"));
        check(&Report { is_ready: true, ..Report::default() }, Some("timeout"));
    }

    #[test]
    fn a_childs_death_for_memory_counts() {
        check(&Report { n_oom_kills: 1, ..report(Some(End::Exit), Some(0)) }, Some("oom"));
        check(&Report { is_over: true, ..report(Some(End::Exit), Some(0)) }, Some("output_limit"));
    }
}
