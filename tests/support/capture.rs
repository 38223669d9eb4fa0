//! Captures all traces, at every level and for every target.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// The captured text: traced, formatted or from a panic. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<State>);

#[derive(Default)]
struct State {
    said: Mutex<Vec<String>>,
    traced: Mutex<Vec<Traced>>,
}

/// A span or a log line.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) module: String,
    /// The name of a span, or the message of a log line.
    pub(crate) name: String,
    /// Those that have a value.
    pub(crate) fields: BTreeMap<String, String>,
    /// `None` for a log line.
    pub(crate) span: Option<u64>,
    pub(crate) parent: Option<u64>,
    pub(crate) follows: Vec<u64>,
    pub(crate) is_closed: bool,
}

impl Traced {
    /// The value of a field, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Capture {
    /// A subscriber that writes here.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default().with(self.clone())
    }

    pub(crate) fn say(&self, what: String) {
        self.0.said.lock().unwrap().push(what);
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.0.said.lock().unwrap().clone()
    }

    pub(crate) fn traced(&self) -> Vec<Traced> {
        self.0.traced.lock().unwrap().clone()
    }

    /// The spans or log lines of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Traced> {
        let mut traced = self.traced();
        traced.retain(|it| it.name == name);
        traced
    }

    fn trace(
        &self,
        metadata: &Metadata<'_>,
        values: Values,
        span: Option<u64>,
        parent: Option<u64>,
    ) {
        let Values { text, mut fields } = values;
        let (target, name) = (metadata.target(), metadata.name());
        self.say(format!("{target} {name}{text}"));
        let name = match span {
            Some(_) => name.to_owned(),
            None => fields.remove("message").unwrap_or_default(),
        };
        self.0.traced.lock().unwrap().push(Traced {
            level: *metadata.level(),
            target: target.to_owned(),
            module: metadata.module_path().unwrap_or_default().to_owned(),
            name,
            fields,
            span,
            parent,
            follows: Vec::new(),
            is_closed: false,
        });
    }

    fn change(&self, span: &span::Id, change: impl FnOnce(&mut Traced)) {
        let mut traced = self.0.traced.lock().unwrap();
        let is_it = |it: &&mut Traced| it.span == Some(span.into_u64()) && !it.is_closed;
        change(traced.iter_mut().rev().find(is_it).unwrap());
    }
}

#[derive(Default)]
struct Values {
    text: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.text, " {field}={value:?}");
        self.fields.insert(field.to_string(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.text, " {field}={value:?} {value:#?}");
        self.fields.insert(field.to_string(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, span: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let parent = match span.is_contextual() {
            true => context.current_span().id().cloned(),
            false => span.parent().cloned(),
        };
        let mut values = Values::default();
        span.record(&mut values);
        let parent = parent.map(|it| it.into_u64());
        self.trace(span.metadata(), values, Some(id.into_u64()), parent);
    }

    fn on_record(&self, id: &span::Id, record: &span::Record<'_>, _: Context<'_, S>) {
        let mut values = Values::default();
        record.record(&mut values);
        self.say(values.text);
        self.change(id, |it| it.fields.extend(values.fields));
    }

    fn on_follows_from(&self, id: &span::Id, follows: &span::Id, _: Context<'_, S>) {
        self.change(id, |it| it.follows.push(follows.into_u64()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let parent = match event.is_contextual() {
            true => context.current_span().id().cloned(),
            false => event.parent().cloned(),
        };
        let mut values = Values::default();
        event.record(&mut values);
        self.trace(
            event.metadata(),
            values,
            None,
            parent.map(|it| it.into_u64()),
        );
    }

    fn on_close(&self, id: span::Id, _: Context<'_, S>) {
        self.change(&id, |it| it.is_closed = true);
    }
}
