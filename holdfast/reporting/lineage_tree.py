"""Terminal trees: lineage of a model version, and versions that were trained on a batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.markup import escape
from rich.tree import Tree

from holdfast.core.formatting import format_count, format_cutoffs, format_minute
from holdfast.lineage.batch_history import BatchHistory
from holdfast.lineage.version_history import UsedBatch, VersionHistory
from holdfast.models.declaration import registered_name
from holdfast.reporting.version_timeline import build_timeline
from holdfast.training.evaluation_report import Evaluation
from holdfast.training.model_families import describe_model

_SHOWN_BATCHES = 10


def build_version_tree(history: VersionHistory) -> Tree:
    """Build the tree of a version: data, definitions, code, parameters, evaluation, events.

    Args:
        history: History of the version.

    Returns:
        The tree, for rich's console.
    """
    tree = Tree(
        f"[bold]{registered_name(history.lineage.model)} version {history.version}[/bold]"
        f"{_format_aliases(history.aliases)}  registered {format_minute(history.registered_at)}"
    )
    for heading, note, lines in _list_sections(history):
        section = tree.add(f"[bold]{heading}[/bold]  {escape(note)}")
        for line in lines:
            section.add(escape(line))
    return tree


def _list_sections(history: VersionHistory) -> Iterator[tuple[str, str, Iterable[str]]]:
    """Yield heading, note and lines of each section of the tree of a version."""
    lineage, recipe = history.lineage, history.recipe
    if recipe is None:
        yield "model", "trained before recipes were recorded", [_format_settings(history)]
    else:
        facts = {name: repr(value) for name, value in recipe.params.items()}
        facts |= {"calibration": recipe.calibration, "threshold": f"{recipe.threshold:.4g}", "seed": str(recipe.seed)}
        yield "model", describe_model(recipe.family, recipe.params), [*_align(facts), _format_settings(history)]
    known = f"known at {format_minute(lineage.known_at)}, outcomes up to {format_minute(lineage.as_of)}"
    yield "data", known, format_batches(history.batches)
    if recipe is not None:
        validated = format_cutoffs([fold.validation for fold in recipe.folds])
        windows = {
            "development": format_cutoffs(recipe.development),
            "folds": f"validated on {validated}",
            "test": format_cutoffs(recipe.test),
        }
        if recipe.refit:
            windows["served"] = f"refitted on {format_cutoffs(recipe.refit)}"
        yield "windows", "monthly cut-offs", _align(windows)
    digests = {part: digest[:12] for part, digest in lineage.fingerprint.items()}
    yield "definitions", "fingerprint", _align(digests)
    yield "code", "", _align(list_code_versions(history), 21)
    yield "evidence", f"MLflow run {history.run_id}", _align(_describe_evidence(history))
    yield "events", "", (f"{format_minute(time)}  {text}" for time, text in build_timeline(history))


def _align(facts: Mapping[str, str], width: int = 16) -> list[str]:
    return [f"{name:<{width}}{value}" for name, value in facts.items()]


def build_batch_tree(history: BatchHistory) -> Tree:
    """Build the tree of a batch: all versions that were trained on it.

    Args:
        history: Batch with its versions.

    Returns:
        The tree, for rich's console.
    """
    tree = Tree(f"[bold]batch {history.batch.batch_id}[/bold]  {escape(_format_batch(history.batch))}")
    for version in history.versions:
        tree.add(
            f"[bold]{version.model_name} version {version.version}[/bold]{_format_aliases(version.aliases)}  "
            f"registered {format_minute(version.registered_at)}, outcomes up to {format_minute(version.as_of)}"
        ).add(escape(version.description.split(". ")[0]))
    if not history.versions:
        tree.add("no model version was trained on it")
    for number, reason in history.unreadable.items():
        tree.add(f"[red]{number}: lineage unavailable[/red]  {escape(reason)}")
    return tree


def _format_aliases(aliases: Sequence[str]) -> str:
    return "".join(f"  [green]{alias}[/green]" for alias in aliases)


def _format_settings(history: VersionHistory) -> str:
    parameters = history.lineage.parameters
    if "slices" in parameters:
        parameters["slices"] = ",".join(group["feature"] for group in parameters["slices"]) or "none"
    return f"{'settings':<16}{' '.join(f'{name}={value}' for name, value in parameters.items())}"


def _describe_evidence(history: VersionHistory) -> dict[str, str]:
    facts = {}
    if isinstance(test := history.evaluation, Evaluation):
        roc_auc = test.metrics["model"]["roc_auc"]
        facts["test"] = (
            f"ROC-AUC {roc_auc} on {format_count(test.rows, 'row')} of {format_count(test.customers, 'customer')}"
        )
    elif test:
        facts["test"] = f"{test.headline()} on {format_count(test.rows, 'row')}"
    facts["gates"] = "not evaluated yet"
    if gates := history.gates:
        failed = f": {', '.join(gates.failed)}" if gates.failed else ""
        facts["gates"] = f"{gates.verdict}{failed}, {format_minute(gates.when)}"
    return facts


def format_batches(batches: Sequence[UsedBatch]) -> list[str]:
    """Format batches as lines: the latest ten, after one line about all earlier ones.

    Args:
        batches: Oldest first.

    Returns:
        The lines.
    """
    older, latest = batches[:-_SHOWN_BATCHES], batches[-_SHOWN_BATCHES:]
    lines = [f"batch {batch.batch_id}  {_format_batch(batch)}" for batch in latest]
    if older:
        rows = sum(batch.manifest.rows_added for batch in older if batch.manifest)
        missing = sum(batch.manifest is None for batch in older)
        note = f", {missing} no longer on disk" if missing else ""
        lines.insert(
            0, f"{format_count(len(older), 'earlier batch')}, {format_count(rows, 'row')}{note} (--json lists all)"
        )
    return lines


def _format_batch(batch: UsedBatch) -> str:
    """Format source, rows, range of events, arrival and corrections of a batch in one line."""
    manifest, successor = batch.manifest, batch.replaced_by
    if manifest is None:
        return "no longer on disk"
    rows = (
        f"{format_count(manifest.rows_added, 'row')}{'' if manifest.kind == 'transactions' else f' of {manifest.kind}'}"
    )
    events = f"no {manifest.kind}"
    if manifest.first_event and manifest.last_event:
        events = f"{manifest.first_event:%Y-%m-%d} to {manifest.last_event:%Y-%m-%d}"
    facts = [
        manifest.source,
        rows,
        events,
        f"arrived {format_minute(manifest.ingested_at)}",
    ]
    if manifest.replaces:
        facts.append(f"replaces {', '.join(manifest.replaces)}")
    if successor is not None:
        facts.append(f"replaced by {successor.batch_id} ({successor.source}) on {format_minute(successor.ingested_at)}")
    return ", ".join(facts)


def list_code_versions(history: VersionHistory) -> dict[str, str]:
    """List the code of a training.

    Args:
        history: History of the version.

    Returns:
        Value by label: commit, digests of code and lock file, Python version, numeric environment if recorded.
    """
    lineage, numeric_environment = history.lineage, history.numeric_environment
    return {
        "git commit": lineage.git_commit,
        "training code": lineage.training_code[:12],
        "lock": lineage.lock[:12],
        "Python": lineage.python,
        **({"numeric environment": str(numeric_environment)} if numeric_environment else {}),
    }
