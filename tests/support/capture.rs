//! Captures all traces, at every level and for every target.

use std::{
    fmt::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The captured text: traced, formatted or from a panic. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<State>);

#[derive(Default)]
struct State {
    said: Mutex<Vec<String>>,
    spans: AtomicU64,
    depth: AtomicI64,
}

impl Capture {
    pub(crate) fn say(&self, what: String) {
        self.0.said.lock().unwrap().push(what);
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.0.said.lock().unwrap().clone()
    }

    fn record(&self, metadata: Option<&Metadata<'_>>, record: impl FnOnce(&mut Line)) {
        let mut line = Line::default();
        if let Some(metadata) = metadata {
            let _ = write!(line.0, "{} {}", metadata.target(), metadata.name());
        }
        record(&mut line);
        self.say(line.0);
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?} {value:#?}");
    }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.record(Some(span.metadata()), |line| span.record(line));
        span::Id::from_u64(self.0.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        Capture::record(self, None, |line| values.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let depth = self.0.depth.load(Ordering::Relaxed);
        self.record(Some(event.metadata()), |line| {
            event.record(line);
            let _ = write!(line.0, " in {depth} spans");
        });
    }

    fn enter(&self, _: &span::Id) {
        self.0.depth.fetch_add(1, Ordering::Relaxed);
    }

    fn exit(&self, _: &span::Id) {
        self.0.depth.fetch_sub(1, Ordering::Relaxed);
    }
}
