//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use crate::progress::{Progress, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Stderr, Write};
use std::time::{Duration, Instant};

/// The bar's layout: stage, bar, units done, rate, time left.
const TEMPLATE: &str = "{msg:16} {bar:28} {pos}/{len}  {per_sec}  {eta} left";

/// Stages that take less get no line.
const WORTH_A_LINE: Duration = Duration::from_millis(500);

/// The least time between two plain lines, so that logs stay short.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress on standard error, in the form that suits it.
#[derive(Debug)]
pub enum TerminalProgress {
    /// A bar that is redrawn in place.
    Bar(BarProgress),
    /// A line now and then.
    Lines(LineProgress<Stderr>),
}

impl TerminalProgress {
    /// Bars if standard error is a terminal, otherwise lines.
    pub fn new() -> Self {
        if io::stderr().is_terminal() {
            Self::Bar(BarProgress::default())
        } else {
            Self::Lines(LineProgress::new(io::stderr(), LINE_INTERVAL, WORTH_A_LINE))
        }
    }
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress for TerminalProgress {
    fn start(&mut self, stage: Stage, total: u64) {
        match self {
            Self::Bar(bar) => bar.start(stage, total),
            Self::Lines(lines) => lines.start(stage, total),
        }
    }

    fn advance(&mut self, done: u64) {
        match self {
            Self::Bar(bar) => bar.advance(done),
            Self::Lines(lines) => lines.advance(done),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Bar(bar) => bar.finish(),
            Self::Lines(lines) => lines.finish(),
        }
    }
}

/// An `indicatif` bar per stage, removed when the stage is complete.
#[derive(Debug, Default)]
pub struct BarProgress {
    bar: Option<ProgressBar>,
}

impl Progress for BarProgress {
    fn start(&mut self, stage: Stage, total: u64) {
        self.finish();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        // A template that cannot be parsed costs the layout, never the computation.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        bar.set_message(stage.title());
        self.bar = Some(bar);
    }

    fn advance(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// One line per interval and one at the end: units done, rate, time left. For logs.
#[derive(Debug)]
pub struct LineProgress<W> {
    output: W,
    interval: Duration,
    least: Duration,
    stage: Option<RunningStage>,
}

/// The stage that lines are written about.
#[derive(Clone, Copy, Debug)]
struct RunningStage {
    stage: Stage,
    total: u64,
    started: Instant,
    reported: Instant,
}

impl<W: Write + Send> LineProgress<W> {
    /// Writes to `output`, at most one line per `interval` beside the last one, and none about stages
    /// that take less than `least`.
    pub fn new(output: W, interval: Duration, least: Duration) -> Self {
        Self {
            output,
            interval,
            least,
            stage: None,
        }
    }

    /// The output that was given to [`LineProgress::new`].
    pub fn into_output(self) -> W {
        self.output
    }

    /// Writes one line. A closed output is no reason to stop a computation.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.output, "{text}").and_then(|()| self.output.flush());
    }
}

impl<W: Write + Send> Progress for LineProgress<W> {
    fn start(&mut self, stage: Stage, total: u64) {
        let now = Instant::now();
        self.stage = Some(RunningStage {
            stage,
            total,
            started: now,
            reported: now,
        });
    }

    fn advance(&mut self, done: u64) {
        let Some(running) = &mut self.stage else {
            return;
        };
        if running.reported.elapsed() < self.interval || done >= running.total {
            return;
        }
        running.reported = Instant::now();
        let text = describe(
            running.stage,
            done,
            running.total,
            running.started.elapsed(),
        );
        self.line(&text);
    }

    fn finish(&mut self) {
        let Some(running) = self.stage.take() else {
            return;
        };
        let elapsed = running.started.elapsed();
        if elapsed < self.least {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        self.line(&format!(
            "{}: {} in {seconds:.1} s",
            running.stage, running.total
        ));
    }
}

/// One line about a stage that is under way.
fn describe(stage: Stage, done: u64, total: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
    format!("{stage}: {done}/{total}, {rate:.1}/s, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_rate_and_time_left() {
        let text = describe(Stage::Fold, 10, 40, Duration::from_secs(5));
        assert_eq!(text, "folding: 10/40, 2.0/s, 15 s left");
        assert!(describe(Stage::Fold, 0, 0, Duration::ZERO).contains("0/0"));
    }

    #[test]
    fn lines_are_written_per_stage() {
        let mut lines = LineProgress::new(Vec::new(), Duration::ZERO, Duration::ZERO);
        lines.advance(1);
        lines.start(Stage::Keys, 4);
        lines.advance(2);
        lines.advance(4);
        lines.finish();
        lines.finish();
        let text = String::from_utf8(lines.into_output()).expect("lines are text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].starts_with("commitment keys: 2/4, "));
        assert!(lines[1].starts_with("commitment keys: 4 in "));
    }

    #[test]
    fn short_stages_get_no_line() {
        let hour = Duration::from_secs(3600);
        let mut lines = LineProgress::new(Vec::new(), hour, hour);
        lines.start(Stage::Keys, 4);
        lines.advance(2);
        lines.finish();
        assert!(lines.into_output().is_empty());
    }

    #[test]
    fn the_bar_template_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let mut bar = BarProgress::default();
        bar.advance(1);
        bar.start(Stage::Prove, 2);
        bar.advance(2);
        bar.finish();
        assert!(bar.bar.is_none());
    }
}
