//! The OpenTelemetry variables that this crate reads itself.

use runtime::{ConfigError, Variables};

/// The variables with the URL of the collector. The first one applies to traces only.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// The settings that are read here from OpenTelemetry's variables
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>). Its crates read the
/// others.
#[derive(Debug, PartialEq)]
pub(super) struct Settings {
    /// The share of new traces that is recorded, from 0 to 1.
    pub(super) sampled: f64,
}

impl Settings {
    /// Reads the settings. Returns `None` if no endpoint is set.
    pub(super) fn read(variables: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let mut is_set = false;
        for name in ENDPOINTS {
            let Some(text) = variables.text(name) else { continue };
            is_set = true;
            let is_http = http_client::Url::parse(&text)
                .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
            if !is_http {
                return Err(ConfigError::new(name, "must be a URL such as http://localhost:4318"));
            }
        }
        for name in PROTOCOLS {
            if variables.text(name).is_some_and(|protocol| protocol != "http/protobuf") {
                return Err(ConfigError::new(name, "must be http/protobuf, the only supported protocol"));
            }
        }
        Ok(is_set.then_some(Self { sampled: sampled(variables)? }))
    }
}

/// The share of new traces to record. A trace with a parent follows the parent's decision, so that the trace
/// of a lead is complete. A sampler and its `parentbased_` variant are therefore equal here.
fn sampled(variables: &Variables<'_>) -> Result<f64, ConfigError> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let sampler = variables.text(SAMPLER);
    match sampler.as_deref().map(|name| name.strip_prefix("parentbased_").unwrap_or(name)) {
        None | Some("always_on") => Ok(1.0),
        Some("always_off") => Ok(0.0),
        Some("traceidratio") => {
            let share = variables.text(ARGUMENT).map_or(Ok(1.0), |text| text.parse());
            let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| ConfigError::new(ARGUMENT, "must be a number from 0 to 1"))
        }
        Some(_) => {
            let problem =
                "must be always_on, always_off or traceidratio, each also with parentbased_ before it";
            Err(ConfigError::new(SAMPLER, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Option<f64>, &'static str> {
        let pairs = pairs.to_vec();
        let of = move |name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let read = Settings::read(&Variables::from_fn(of));
        read.map(|settings| settings.map(|settings| settings.sampled)).map_err(|error| error.variable)
    }

    const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_TRACES_SAMPLER", "always_on")]), Ok(None));
        assert_eq!(read(&[COLLECTOR]), Ok(Some(1.0)));
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector.example/v1/traces");
        assert_eq!(read(&[traces]), Ok(Some(1.0)));
    }

    #[test]
    fn samplers_are_read_by_their_standard_names() {
        for (sampler, argument, share) in [
            ("always_on", "", 1.0),
            ("parentbased_always_on", "0.5", 1.0),
            ("always_off", "", 0.0),
            ("parentbased_always_off", "", 0.0),
            ("traceidratio", "0.25", 0.25),
            ("parentbased_traceidratio", "0.25", 0.25),
            ("traceidratio", "", 1.0),
        ] {
            let given = [COLLECTOR, ("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)];
            assert_eq!(read(&given), Ok(Some(share)), "{sampler} {argument}");
        }
    }

    #[test]
    fn the_example_file_names_every_trace_variable() {
        let requested = std::cell::RefCell::new(std::collections::BTreeSet::new());
        let of = |name: &str| {
            requested.borrow_mut().insert(name.to_owned());
            match name {
                "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://localhost:4318".to_owned()),
                "OTEL_TRACES_SAMPLER" => Some("traceidratio".to_owned()),
                _ => None,
            }
        };
        assert!(Settings::read(&Variables::from_fn(of)).unwrap().is_some());
        let mut known = requested.into_inner();
        // OpenTelemetry's crates read these.
        known.extend(
            ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"].map(Into::into),
        );
        let lines = include_str!("../../../.env.example").lines();
        let names = lines.filter_map(|line| line.trim_start_matches("# ").split_once('='));
        let documented = names.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with("OTEL_"));
        assert_eq!(known, documented.collect());
    }

    #[test]
    fn invalid_settings_are_rejected() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ] {
            assert_eq!(read(&[(name, value), COLLECTOR]), Err(name), "{value}");
        }
        for argument in ["1.1", "-0.1", "NaN", "half"] {
            let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
            let given = [COLLECTOR, sampler, ("OTEL_TRACES_SAMPLER_ARG", argument)];
            assert_eq!(read(&given), Err("OTEL_TRACES_SAMPLER_ARG"), "{argument}");
        }
    }
}
