"""Terminal trees: lineage of a model version, and versions that were trained on a batch."""

from collections.abc import Sequence

from rich.markup import escape
from rich.tree import Tree

from holdfast.core.formatting import format_cutoffs, format_minute
from holdfast.ingestion.batches import Batch
from holdfast.lineage.batch_history import BatchHistory
from holdfast.lineage.version_history import UsedBatch, VersionHistory
from holdfast.models.contract import MODEL_NAME
from holdfast.reporting.version_timeline import build_timeline
from holdfast.training.model_families import describe_model

_SHOWN_BATCHES = 10


def build_version_tree(history: VersionHistory) -> Tree:
    """Build the tree of a version: data, definitions, code, parameters, evaluation, events.

    Args:
        history: History of the version.

    Returns:
        The tree, for rich's console.
    """
    lineage = history.lineage
    tree = Tree(
        f"[bold]{MODEL_NAME} version {history.version}[/bold]{_format_aliases(history.aliases)}  "
        f"registered {format_minute(history.registered_at)}"
    )
    _add_model(tree, history)
    data = tree.add(
        f"[bold]data[/bold]  known at {format_minute(lineage.known_at)}, outcomes up to {format_minute(lineage.as_of)}"
    )
    for line in format_batches(history.batches):
        data.add(escape(line))
    _add_windows(tree, history)
    definitions = tree.add("[bold]definitions[/bold]  fingerprint")
    for part, digest in lineage.fingerprint.items():
        definitions.add(f"{part:<16}{digest[:12]}")
    code = tree.add("[bold]code[/bold]")
    for name, value in list_code_versions(history).items():
        code.add(f"{name:<21}{escape(value)}")
    _add_evaluation(tree, history)
    events = tree.add("[bold]events[/bold]")
    for time, text in build_timeline(history):
        events.add(f"{format_minute(time)}  {escape(text)}")
    return tree


def build_batch_tree(history: BatchHistory) -> Tree:
    """Build the tree of a batch: all versions that were trained on it.

    Args:
        history: Batch with its versions.

    Returns:
        The tree, for rich's console.
    """
    tree = Tree(f"[bold]batch {history.batch.batch_id}[/bold]  {escape(format_batch(history.batch.manifest))}")
    for version in history.versions:
        tree.add(
            f"[bold]{MODEL_NAME} version {version.version}[/bold]{_format_aliases(version.aliases)}  registered "
            f"{format_minute(version.registered_at)}, outcomes up to {format_minute(version.as_of)}"
        ).add(escape(version.description.split(". ")[0]))
    if not history.versions:
        tree.add("no model version was trained on it")
    for number, reason in history.unreadable.items():
        tree.add(f"[red]version {number}: lineage unavailable[/red]  {escape(reason)}")
    return tree


def _format_aliases(aliases: Sequence[str]) -> str:
    return "".join(f"  [green]{alias}[/green]" for alias in aliases)


def _add_model(tree: Tree, history: VersionHistory) -> None:
    recipe, lineage = history.recipe, history.lineage
    if recipe is None:
        model = tree.add("[bold]model[/bold]  trained before recipes were recorded")
    else:
        model = tree.add(f"[bold]model[/bold]  {describe_model(recipe.family, recipe.params)}")
        for name, value in recipe.params.items():
            model.add(f"{name:<16}{value!r}")
        model.add(f"{'calibration':<16}{recipe.calibration}")
        model.add(f"{'threshold':<16}{recipe.threshold:.4g}")
        model.add(f"{'seed':<16}{recipe.seed}")
    parameters = lineage.parameters
    if "slices" in parameters:
        parameters["slices"] = ",".join(group["feature"] for group in parameters["slices"]) or "none"
    settings = " ".join(f"{name}={value}" for name, value in parameters.items())
    model.add(escape(f"{'settings':<16}{settings}"))


def _add_windows(tree: Tree, history: VersionHistory) -> None:
    if history.recipe is None:
        return
    recipe = history.recipe
    windows = tree.add("[bold]windows[/bold]  monthly cut-offs")
    windows.add(f"{'development':<16}{format_cutoffs(recipe.development)}")
    windows.add(f"{'folds':<16}validated on {format_cutoffs([fold.validation for fold in recipe.folds])}")
    windows.add(f"{'test':<16}{format_cutoffs(recipe.test)}")


def _add_evaluation(tree: Tree, history: VersionHistory) -> None:
    evidence = tree.add(f"[bold]evidence[/bold]  MLflow run {history.run_id}")
    if test := history.evaluation:
        evidence.add(
            f"{'test':<16}ROC-AUC {test.metrics['model']['roc_auc']} on {test.rows:,} rows of "
            f"{test.customers:,} customers"
        )
    if history.gates is None:
        evidence.add(f"{'gates':<16}not evaluated yet")
    else:
        failed = f": {', '.join(history.gates.failed)}" if history.gates.failed else ""
        evidence.add(f"{'gates':<16}{history.gates.verdict}{escape(failed)}, {format_minute(history.gates.when)}")


def format_batches(batches: Sequence[UsedBatch]) -> list[str]:
    """Format batches as lines: the latest ten, after one line about all earlier ones.

    Args:
        batches: Oldest first.

    Returns:
        The lines.
    """
    older, latest = batches[:-_SHOWN_BATCHES], batches[-_SHOWN_BATCHES:]
    lines = [f"batch {batch.batch_id}  {format_batch(batch.manifest)}" for batch in latest]
    if older:
        rows = sum(batch.manifest.rows_added for batch in older if batch.manifest)
        missing = sum(batch.manifest is None for batch in older)
        note = f", {missing} no longer on disk" if missing else ""
        lines.insert(0, f"{len(older)} earlier batches, {rows:,} rows{note} (--json lists all)")
    return lines


def format_batch(manifest: Batch | None) -> str:
    """Format a batch in one line.

    Args:
        manifest: None if the batch is no longer on disk.

    Returns:
        Source, rows, range of events, arrival.
    """
    if manifest is None:
        return "no longer on disk"
    events = "no transactions"
    if manifest.first_event and manifest.last_event:
        events = f"{manifest.first_event:%Y-%m-%d} to {manifest.last_event:%Y-%m-%d}"
    return f"{manifest.source}, {manifest.rows_added:,} rows, {events}, arrived {format_minute(manifest.ingested_at)}"


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
