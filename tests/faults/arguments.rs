//! What the suite is asked for. `cargo test` also passes what it passes to every other test
//! binary: filters, `--list`, `--nocapture` and the like.

use std::time::Duration;

use super::fault::Fault;

/// The name by which filters find the suite.
const NAME: &str = "faults";
/// How long the database is away in a short run and in a long one.
const AWAY: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(30));
/// Options of libtest that are followed by a value.
const WITH_VALUE: [&str; 6] = ["--color", "--format", "--logfile", "--shuffle-seed", "--test-threads", "-Z"];

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub rounds: usize,
    pub faults: Vec<Fault>,
    /// How long the database is away.
    pub away: Duration,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    Run(Arguments),
    /// Something else was meant.
    Nothing,
    /// Say what tests there are.
    List {
        names: &'static str,
    },
}

/// Reads the command line.
pub fn read(arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut arguments = arguments.peekable();
    let (mut rounds, mut faults, mut filters, mut skipped) = (None, Vec::new(), Vec::new(), Vec::new());
    let (mut list, mut terse, mut exact, mut ignored) = (false, false, false, false);
    while let Some(argument) = arguments.next() {
        let (name, given) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value =
            || given.clone().or_else(|| arguments.next()).ok_or_else(|| format!("{name} needs a value"));
        match &*name {
            "--rounds" => {
                let text = value()?;
                let number = text.parse().ok().filter(|number| *number > 0);
                rounds = Some(number.ok_or_else(|| format!("{text:?} is not a number of rounds"))?);
            }
            "--only" => faults.push(Fault::parse(&value()?)?),
            "--skip" => skipped.push(value()?),
            "--list" => list = true,
            "--exact" => exact = true,
            "--ignored" => ignored = true,
            "--format" => terse = value()? == "terse",
            option if WITH_VALUE.contains(&option) => _ = value()?,
            option if option.starts_with('-') => {}
            filter => filters.push(filter.to_owned()),
        }
    }
    let matches = |filter: &String| if exact { filter == NAME } else { NAME.contains(&**filter) };
    let meant =
        (filters.is_empty() || filters.iter().any(matches)) && !skipped.iter().any(matches) && !ignored;
    if list {
        let names = match (meant, terse) {
            (true, true) => "faults: test\n",
            (true, false) => "faults: test\n\n1 test, 0 benchmarks\n",
            (false, true) => "",
            (false, false) => "0 tests, 0 benchmarks\n",
        };
        return Ok(Wish::List { names });
    }
    if !meant {
        return Ok(Wish::Nothing);
    }
    if faults.is_empty() {
        faults = Fault::ALL.to_vec();
    }
    let away = if rounds.is_some() { AWAY.1 } else { AWAY.0 };
    Ok(Wish::Run(Arguments { rounds: rounds.unwrap_or(1), faults, away }))
}
