/// What a process does; several may share a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Answer requests and deliver events
    #[default]
    All,
    /// Answer requests; other processes deliver
    Api,
    /// Deliver; other processes answer requests
    Deliver,
}
