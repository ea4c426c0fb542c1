//! From what was typed to an exit code.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use chassis::{Environment, Prometheus, Secret};
use clap::{CommandFactory as _, Parser as _};
use clap_complete::{generate, shells};
use notifier::Receivers;
use rollout::Verb;

use crate::arguments::{Arguments, Command, RouterArguments, Shell, UpArguments};
use crate::client::Client;
use crate::commands;
use crate::embedded::Options;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::{
    alone, asking, demo, doctor, foreign, init, lint, migrate, ready, restore, setup, simulate, up, verify, watch,
};

/// Does what the command line of this process says: the whole of `main`.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_refused = error.use_stderr();
            // Nobody is left to tell when even this can't be written.
            let _ = error.print();
            return if is_refused { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match chassis::block_on(dispatch(arguments)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            // A reader that left, such as `head`, has seen enough.
            if !error.chain().any(is_broken_pipe) {
                complain(&error);
            }
            Exit::Failed.into()
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is where errors are told")]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn dispatch(arguments: Arguments) -> anyhow::Result<Exit> {
    let screen = Screen::of_stdout();
    let file = arguments.key_file.as_deref().filter(|_| arguments.command.asks_an_api());
    let client = Client::new(&arguments.url, key(arguments.key, file)?);
    match arguments.command {
        Command::Up(up) => run_up(up).await,
        Command::Router(router) => run_router(router).await,
        Command::Demo(demo) => {
            chassis::start_logging("off");
            demo::run(&demo, screen).await
        }
        Command::Models { shown, verb } => commands::models::run(&client, screen, shown.output, verb).await,
        Command::Versions { model, shown, verb } => {
            commands::versions::run(&client, screen, (model, shown.output), verb).await
        }
        Command::Policies { shown, verb } => commands::policies::run(&client, screen, shown.output, verb).await,
        Command::Promote(promote) => commands::promote::run(&client, screen, promote).await,
        Command::Rollouts { limit, shown } => commands::rollouts::run(&client, screen, limit, shown.output).await,
        Command::Show { which, shown } => commands::show::run(&client, screen, &which, shown.output).await,
        Command::Watch { which } => watch::run(&client, screen, &which, None).await,
        Command::History { which, shown } => commands::history::run(&client, screen, &which, shown.output).await,
        Command::Replay { which, policy, shown } => {
            commands::replay::run(&client, screen, (&which, policy.as_deref()), shown.output).await
        }
        Command::Wait { which, timeout } => watch::wait(&client, screen, &which, timeout).await,
        Command::Approve(said) => commands::say(&client, screen, Verb::Approve, &said).await,
        Command::Reject(said) => commands::say(&client, screen, Verb::Reject, &said).await,
        Command::Pause(said) => commands::say(&client, screen, Verb::Pause, &said).await,
        Command::Resume(said) => commands::say(&client, screen, Verb::Resume, &said).await,
        Command::Advance(said) => commands::say(&client, screen, Verb::Advance, &said).await,
        Command::Rollback(retreat) => commands::take_back(&client, screen, Verb::Rollback, retreat).await,
        Command::Cancel(retreat) => commands::take_back(&client, screen, Verb::Cancel, retreat).await,
        Command::Observe(observe) => commands::observe::run(&client, screen, observe).await,
        Command::Parked { shown, verb } => commands::parked::run(&client, screen, shown.output, verb).await,
        Command::Verify { data } => verify::run(screen, &data).await,
        Command::Init(asked) => init::run(screen, &asked).await,
        Command::Migrate(asked) => migrate::run(screen, &asked).await,
        Command::Setup(asked) => setup::run(screen, &asked),
        Command::Load(asked) => asking::run(screen, asked).await,
        Command::Ready { admin } => ready::run(screen, admin).await,
        Command::Restore(asked) => restore::run(screen, &asked).await,
        Command::Doctor(asked) => doctor::run(&client, screen, &asked).await,
        Command::Lint { policy, resolved, assumed, shown } => {
            lint::run(screen, (&policy, &assumed), resolved, shown.output)
        }
        Command::Import(asked) => foreign::import(&asked),
        Command::Export(asked) => foreign::export(&asked),
        Command::Simulate(asked) => simulate::run_simulation(screen, &asked),
        Command::Completions { shell } => completions(shell),
    }
}

/// The key that the API wants to see.
fn key(said: Option<String>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match (said.filter(|key| !key.is_empty()), file) {
        (None, Some(file)) => {
            let key = Secret::read(file).map_err(|why| anyhow!("{}: {why}", file.display()))?;
            Ok(Some(key.expose().to_owned()))
        }
        (said, _) => Ok(said),
    }
}

/// Prints the script of a shell, made from what can be typed.
fn completions(shell: Shell) -> anyhow::Result<Exit> {
    let (mut words, mut script) = (Arguments::command(), Vec::new());
    match shell {
        Shell::Bash => generate(shells::Bash, &mut words, "tidegate", &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut words, "tidegate", &mut script),
        Shell::Fish => generate(shells::Fish, &mut words, "tidegate", &mut script),
    }
    io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

async fn run_up(arguments: UpArguments) -> anyhow::Result<Exit> {
    chassis::start_logging("info");
    let mut environment = Environment::of_process();
    let (prometheus, receivers) = (Prometheus::read(&mut environment), Receivers::read(&mut environment));
    environment.finish()?;
    let UpArguments { data, listen, router } = arguments;
    up::run(Options { data, listen, router: router.0, prometheus, receivers }).await?;
    Ok(Exit::Done)
}

async fn run_router(arguments: RouterArguments) -> anyhow::Result<Exit> {
    chassis::start_logging("info");
    let RouterArguments { control, listen, data: folder, name, admin } = arguments;
    alone::run(router::Following { control, listen, folder, name }, admin.0).await?;
    Ok(Exit::Done)
}
