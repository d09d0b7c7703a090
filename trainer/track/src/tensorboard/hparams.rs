//! The settings of a run for the hyperparameter plugin, which compares runs by them.

use prost::Message;
use serde_json::Value;

use super::proto;
use crate::Outcome;
use crate::replay::Description;

/// Announces the settings of a run.
pub(super) fn begin(run: &Description) -> [proto::Value; 2] {
    let settings = run.settings();
    let experiment = proto::Experiment {
        hparam: settings
            .iter()
            .map(|(name, value)| proto::HparamInfo { name: name.clone(), r#type: kind(value) })
            .collect(),
        metric: ["reward/mean", "outcome/mean"].map(metric).to_vec(),
    };
    let start = proto::SessionStart {
        hparams: settings.iter().map(|(name, value)| (name.clone(), setting(value))).collect(),
        start_time_secs: run.started_s,
    };
    [
        value("_hparams_/experiment", &proto::Hparams { experiment: Some(experiment), ..proto::Hparams::default() }),
        value(
            "_hparams_/session_start_info",
            &proto::Hparams { session_start: Some(start), ..proto::Hparams::default() },
        ),
    ]
}

/// Says how the run ended, if it has.
pub(super) fn end(outcome: Outcome, time_s: f64) -> Option<proto::Value> {
    let status = if outcome.exit_code()? == 0 { 1 } else { 2 };
    let session_end = Some(proto::SessionEnd { status, end_time_secs: time_s });
    Some(value("_hparams_/session_end_info", &proto::Hparams { session_end, ..proto::Hparams::default() }))
}

fn value(tag: &str, content: &proto::Hparams) -> proto::Value {
    let data = proto::PluginData { plugin_name: "hparams".to_owned(), content: content.encode_to_vec() };
    // The plugin looks at the metadata alone; TensorBoard wants a value all the same, and has this one for nothing.
    let nothing =
        proto::Tensor { dtype: 1, shape: Some(proto::Shape { dim: vec![proto::Dim { size: 0 }] }), string_val: vec![] };
    proto::Value {
        tag: tag.to_owned(),
        tensor: Some(nothing),
        metadata: Some(proto::Metadata { plugin_data: Some(data) }),
        ..proto::Value::default()
    }
}

fn metric(tag: &str) -> proto::MetricInfo {
    proto::MetricInfo { name: Some(proto::MetricName { tag: tag.to_owned() }) }
}

fn kind(value: &Value) -> i32 {
    match value {
        Value::Bool(_) => 2,
        Value::Number(_) => 3,
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => 1,
    }
}

fn setting(value: &Value) -> proto::Setting {
    match value {
        Value::Bool(truth) => proto::Setting { truth: Some(*truth), ..proto::Setting::default() },
        Value::Number(number) => proto::Setting { number: number.as_f64(), ..proto::Setting::default() },
        Value::String(text) => proto::Setting { text: Some(text.clone()), ..proto::Setting::default() },
        other => proto::Setting { text: Some(other.to_string()), ..proto::Setting::default() },
    }
}
