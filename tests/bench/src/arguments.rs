use clap::ValueEnum;

/// Measures the product beside a Node application, and prints one table.
#[derive(clap::Parser)]
pub(crate) struct Arguments {
    /// The parts to measure; by default all but retention, scale and waiting
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Leads that are accepted and finished
    #[arg(long, default_value_t = 5_000)]
    pub(crate) leads: u64,
    /// Leads that only intake accepts, and that drain during the paced posts
    #[arg(long, default_value_t = 10_000)]
    pub(crate) backlog: u64,
    /// Connections of the posts at full speed
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Paced posts a second
    #[arg(long, default_value_t = 50)]
    pub(crate) pace: u32,
    /// The longest duration of paced posts, in seconds
    #[arg(long, default_value_t = 20)]
    pub(crate) paced_seconds: u64,
    /// Leads in the database of scale, and in the backlog of waiting
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: u64,
    /// Rounds; the table holds the best figure of each
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: u32,
}

/// A part of the benchmark. `retention`, `scale` and `waiting` run only if they are named: they take many
/// minutes and some gigabytes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Sqlite,
    Postgres,
    Redis,
    Peer,
    Lpush,
    Crm,
    Slow,
    Retention,
    Scale,
    Waiting,
}

impl Arguments {
    pub(crate) fn parts(&self) -> Vec<Part> {
        if !self.parts.is_empty() {
            return self.parts.clone();
        }
        Part::value_variants()
            .iter()
            .copied()
            .filter(|part| !matches!(part, Part::Retention | Part::Scale | Part::Waiting))
            .collect()
    }
}

impl Part {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
