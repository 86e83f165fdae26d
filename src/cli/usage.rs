//! From arguments and environment to a [`Cli`], or to a sentence about what is wrong.

use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::Cli;

/// Reads arguments and environment. What is wrong, or asked for by `--help`, is printed, and
/// the process ends.
pub fn parse() -> Cli {
    let command =
        without_blanks(Cli::command(), &|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)).unwrap_or_else(|error| {
        match sentence(&error) {
            Some(sentence) => {
                eprintln!("isao: {sentence}");
                std::process::exit(error.exit_code())
            }
            None => error.exit(),
        }
    })
}

/// A variable that is set to nothing is as good as unset: Compose files and `.env` files
/// pass such ones on.
fn without_blanks(command: Command, is_blank: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_blank(name) => arg.env(Resettable::Reset),
            _ => arg,
        })
        .mut_subcommands(|command| without_blanks(command, is_blank))
}

/// Says which setting has a bad value, under both of its names (clap names only the flag, which
/// helps nobody who set the variable).
fn sentence(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return None };
    let because = std::error::Error::source(error)?;
    let mut command = Cli::command();
    command.build();
    let arg = arguments(&command).into_iter().find(|arg| arg.to_string() == *flag);
    let variable =
        arg.and_then(Arg::get_env).map(|name| format!(" ({})", name.display())).unwrap_or_default();
    let shown = match arg {
        Some(arg) if arg.is_hide_env_values_set() => String::new(),
        _ => format!(" {value:?}"),
    };
    let flag = flag.split(' ').next().unwrap_or(flag);
    Some(format!("{flag}{variable} has a bad value{shown}: {because}"))
}

/// The arguments of a command and of all below it.
fn arguments(command: &Command) -> Vec<&Arg> {
    command.get_arguments().chain(command.get_subcommands().flat_map(arguments)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::super::Command as Asked;
    use super::*;

    const KEY: &str = "ck_0000000000000000000000000000000000000000000000000000000000000000";

    fn refusal(args: &[&str]) -> String {
        let Err(error) = Cli::try_parse_from(args) else { panic!("{args:?} is fine") };
        sentence(&error).unwrap_or_else(|| error.to_string())
    }

    #[test]
    fn the_commands_are_well_defined() {
        Cli::command().debug_assert();
    }

    /// Names and defaults of the settings in `.env.example`, which are the lines without a space.
    fn example() -> BTreeMap<&'static str, &'static str> {
        include_str!("../../.env.example")
            .lines()
            .filter(|line| !line.contains(' '))
            .filter_map(|line| line.strip_prefix('#')?.split_once('='))
            .collect()
    }

    #[test]
    fn every_setting_is_in_the_example_with_its_default() {
        let command = Cli::command();
        let settings: BTreeMap<_, _> = arguments(&command)
            .into_iter()
            .filter_map(|arg| {
                let default = arg.get_default_values().first().and_then(|default| default.to_str());
                Some((arg.get_env()?.to_str()?, default.unwrap_or_default()))
            })
            .collect();
        assert_eq!(example(), settings);
    }

    #[test]
    fn a_bad_value_is_named_with_its_setting() {
        for (args, said) in [
            (
                &["isao", "serve", "--bind", "8080"][..],
                "--bind (ISAO_BIND) has a bad value \"8080\": write an IP",
            ),
            (
                &["isao", "serve", "--retry-delays", "2s"],
                "--retry-delays (ISAO_RETRY_DELAYS) has a bad value \"2s\": \"2s\" is not a list of 3",
            ),
            (
                &["isao", "serve", "--delivery-timeout", "0s"],
                "--delivery-timeout (ISAO_DELIVERY_TIMEOUT) has a bad value \"0s\": must be greater",
            ),
            (
                &["isao", "serve", "--allow-targets", "a b"],
                "--allow-targets (ISAO_ALLOW_TARGETS) has a bad value \"a b\": ",
            ),
            (&["isao", "--log", "a=b=c", "serve"], "--log (ISAO_LOG) has a bad value \"a=b=c\": "),
            (&["isao", "companies", "create", " "], "<NAME> has a bad value \" \": must not be empty"),
        ] {
            let sentence = refusal(args);
            assert!(sentence.starts_with(said), "{sentence}");
            assert_eq!(sentence.lines().count(), 1, "{sentence}");
        }
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let secret = format!("{KEY}0");
        let sentence = refusal(&["isao", "serve", "--demo-key", &secret]);
        assert!(sentence.starts_with("--demo-key (ISAO_DEMO_KEY) has a bad value: "), "{sentence}");
        assert!(!sentence.contains(&secret), "{sentence}");
    }

    #[test]
    fn blank_variables_are_forgotten() {
        let with_env =
            |command: Command| arguments(&command).into_iter().filter(|arg| arg.get_env().is_some()).count();
        assert!(with_env(without_blanks(Cli::command(), &|_| false)) > 0);
        assert_eq!(with_env(without_blanks(Cli::command(), &|_| true)), 0);
    }

    #[test]
    fn settings_arrive() {
        let args = ["isao", "serve", "--bind", "[::1]:0", "--delivery-timeout", "5s", "--demo-key", KEY];
        let Asked::Serve(config) = Cli::try_parse_from(args).unwrap().command else { panic!() };
        assert_eq!(config.bind, "[::1]:0".parse().unwrap());
        assert_eq!(config.delivery_timeout, std::time::Duration::from_secs(5));
        assert_eq!(config.demo_key.as_ref().map(|key| key.reveal()), Some(KEY));
    }
}
