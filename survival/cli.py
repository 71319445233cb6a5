"""The command line; thin: parse, call, print. A user's mistake prints one message and exits with 2."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from survival.errors import SurvivalError
from survival.starting import INTERRUPTED, MESSAGE, begun

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="When and why customers leave: survival analysis of churn, from raw facts to a publishable report.",
)  # fmt: skip

Configs = Annotated[
    list[Path], typer.Argument(help="YAML files, such as configs/crm_hazard_ratios.yaml", show_default=False)
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a key, such as model.ties=breslow")
]
Results = Annotated[
    Path | None,
    typer.Option("--results", metavar="DIR", help="where runs are written; default: results/ of the project"),
]
Force = Annotated[bool, typer.Option("--force", help="compute again even if nothing has changed")]


@app.command()
def run(
    configs: Configs,
    set_: Set = None,
    results: Results = None,
    force: Force = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", min=1, help="runs at a time, which share memory and cores")
    ] = 1,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="neither read nor keep episodes of other runs")] = False,
) -> None:
    """Run experiments, and every point of their sweeps; each writes results/NAME/ whole or not at all."""
    from survival.experiment.run import run_all

    if no_cache:
        os.environ["SURVIVAL_CACHE"] = "off"  # read by this process and by those that it starts
    run_all(configs, set_ or [], results, force, _console(), jobs)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="of runs, such as results/NAME", show_default=False)],
    figures: Annotated[str, typer.Option(metavar="FORMATS", help="svg,png,pdf; default: as the run had them")] = "",
) -> None:
    """Write reports and figures again from the tables that their runs saved; the data are not needed."""
    from survival.experiment.rerender import rerender

    formats = [part for part in figures.replace(" ", "").split(",") if part]
    if set(formats) - {"svg", "png", "pdf"}:
        raise typer.BadParameter("give one or more of svg, png and pdf, separated by commas", param_hint="--figures")
    for folder in folders:
        rerender(folder, formats)
        typer.echo(f"wrote {folder}/report.html")


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="folder of a run, such as results/last_quarter", show_default=False)],
    after: Annotated[Path, typer.Argument(help="folder of another", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="write a page (report.html) there; results/NAME puts it on the index"
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Say what changed between two runs: inputs, customers' statuses, hazard ratios, retention."""
    from survival.experiment.compare import compare as compare_runs
    from survival.experiment.compare_report import as_json, as_text
    from survival.experiment.results_index import write_comparison

    found = compare_runs(before, after)
    if out is not None:
        write_comparison(found, out)
    typer.echo(as_json(found) if json_ else as_text(found))
    if out is not None and not json_:
        typer.echo(f"\nwrote {out}/report.html")


@app.command()
def check(
    config: Annotated[Path, typer.Argument(show_default=False)],
    set_: Set = None,
    json_: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    look_ahead: Annotated[
        bool, typer.Option("--look-ahead", help="rebuild from truncated facts: nothing before the cut may differ")
    ] = False,
) -> None:
    """Check a config and its data without fitting anything; exits with 2 when a finding would stop a run."""
    from survival.experiment.check import check as check_experiment

    if not check_experiment(config, set_ or [], _console(), as_json=json_, rebuild=look_ahead):
        raise typer.Exit(2)


@app.command()
def cache(
    action: Annotated[Literal["show", "clear"], typer.Argument(help="what to do with it")] = "show",
    project: Annotated[Path, typer.Option("--project", metavar="DIR", help="the folder that holds configs/")] = Path(),
) -> None:
    """Show or clear the episodes that are kept so that runs on the same facts need not build them again."""
    from survival.experiment.episode_cache import EpisodeCache

    kept = EpisodeCache.of(project)
    if kept is None:
        typer.echo("the cache is off (SURVIVAL_CACHE, SURVIVAL_CACHE_MB)")
        return
    builds, size = kept.size()
    if action == "clear":
        kept.clear()
    done = "removed" if action == "clear" else "kept"
    typer.echo(f"{kept.folder}: {builds} build{'' if builds == 1 else 's'} {done}, {size / 2**20:.1f} MiB")


@app.command()
def simulate(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="folder for the raw tables and truth.json", show_default=False)
    ],
    scenario: Annotated[str, typer.Option(help="which company")] = "crm",
    customers: Annotated[int, typer.Option(help="how many customers", min=1)] = 5000,
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 7,
    format_: Annotated[Literal["parquet", "csv"], typer.Option("--format", help="of the tables")] = "parquet",
) -> None:
    """Write the raw tables of a simulated company whose true hazard ratios are known."""
    from survival.experiment.progress import counter
    from survival.simulate import simulate as simulate_company

    with counter(_console(), f"simulating {customers:,} customers ({scenario}, seed {seed})") as progress:
        simulate_company(scenario, customers=customers, seed=seed, out=out, format=format_, progress=progress)
    _console().print(f"wrote {out}/", highlight=False)


@app.command()
def studies() -> None:
    """List the studies that a config can name."""
    from survival.experiment.studies import available

    for study in available(Path.cwd()).values():
        typer.echo(f"{study.name:<20} {study.summary}{'' if study.ships else f'  [{study.path}]'}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    from survival.experiment.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def init(directory: Annotated[Path, typer.Argument(help="a new or empty folder", show_default=False)]) -> None:
    """Write a research folder (configs, experiments, Makefile) that runs at once."""
    from survival.experiment.init import init as write_folder

    write_folder(directory)
    typer.echo(f"wrote {directory}/\nNext: cd {directory} && make experiment")


def _console() -> Console:
    return Console(stderr=True)


def main() -> None:
    """The `survival` command: users' mistakes end in one message and exit code 2, Ctrl-C in 130."""
    begun()
    try:
        app()
    except SurvivalError as error:
        sys.exit(_say(str(error), 2))
    except SystemExit as exit_:
        if exit_.code == INTERRUPTED:  # Typer turns Ctrl-C into this
            _say(MESSAGE, INTERRUPTED)
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_say(f"{where}{error.strerror or error}. Earlier results are untouched.", 2))
    except MemoryError:
        sys.exit(_say("Out of memory. Use a larger update_every, fewer indicators, or a machine with more memory.", 2))


def _say(message: str, code: int) -> int:
    print(f"survival: {message}", file=sys.stderr)
    return code
