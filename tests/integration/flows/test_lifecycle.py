"""The main job on shops without a model to serve: its end, its page and what it serves."""

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.batches import list_batches
from holdfast.model_versions.aliases import find_champion_version
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.reporting.run_report import RunReport
from holdfast.reporting.run_summary import RunSummary
from tests.support import odd_shops
from tests.support.feature_oracle import Transaction
from tests.support.shop_fixtures import QUICK
from tests.support.small_shop import AS_OF, MAPPING, copy_shop, fast_flows, transactions, use_data_folder

NO_SIGNAL = GateSettings(min_roc_auc=1.0)  # a limit that no model of the search can exceed


def write_source(folder: Path, rows: list[Transaction]) -> tuple[str, str]:
    """Write transactions and their mapping; return both paths."""
    source, mapping = folder / "shop.csv", folder / "shop.yaml"
    lines = [f"{row.customer_id},{row.event_timestamp.isoformat()},{row.amount!r}" for row in rows]
    source.write_text("\n".join(["id,when,amount", *lines]) + "\n")
    mapping.write_text(MAPPING)
    return str(source), str(mapping)


def read_page(settings: Settings) -> str:
    """Read the page of a run without a new model."""
    return (settings.data / "run-report.md").read_text()


def read_summary(settings: Settings) -> dict[str, Any]:
    """Read the JSON of a run."""
    return dict(json.loads((settings.data / "run-summary.json").read_text()))


@dataclass(frozen=True)
class Runs:
    """Three runs on one shop: without a champion, with a request for the base rate, and the same once more."""

    settings: Settings
    results: list[Any]
    pages: list[str]
    summaries: list[dict[str, Any]]


@pytest.fixture(scope="module")
def runs(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run the main job three times on the small shop, with a gate that the model of the search fails."""
    from flows.lifecycle import lifecycle

    folder = tmp_path_factory.mktemp("lifecycle")
    source, mapping = write_source(folder, transactions()[:1])
    with use_data_folder(copy_shop(folder)) as settings, fast_flows():
        found = Runs(settings, [], [], [])
        for serve in ("model", "base-rate", "base-rate"):
            found.results.append(
                lifecycle([source], [mapping], as_of=AS_OF, training=QUICK, thresholds=NO_SIGNAL, serve=serve)
            )
            found.pages.append(read_page(settings))
            found.summaries.append(read_summary(settings))
        yield found


@pytest.mark.long
class TestBaseRate:
    def test_lifecycle_without_signal_serves_nothing(self, runs: Runs) -> None:
        report, page = runs.results[0], runs.pages[0]
        assert isinstance(report, RunReport) and report.is_result
        assert (report.version, report.champion, report.failed) == ("1", None, ["signal on the test"])
        assert "There is no champion, nothing is served." in page and "--serve base-rate" in page
        assert runs.summaries[0]["outcome"] == "no signal"

    def test_lifecycle_serves_the_base_rate_on_request(self, runs: Runs) -> None:
        summary, page = runs.results[1], runs.pages[1]
        assert isinstance(summary, RunSummary)
        assert (summary.champion, summary.model_version, summary.chosen) == ("2", "2", "base_rate")
        assert any("the base rate" in warning for warning in summary.warnings)
        assert summary.metrics["roc_auc"] == 0.5
        assert summary.gates.failed == []
        assert summary.prediction["model_version"] == "2"
        assert summary.refused is not None
        assert (summary.refused.version, summary.refused.failed) == ("1", ["signal on the test"])
        assert summary.refused.page == str(runs.settings.data / "run-report.md")
        assert page.startswith("# No signal") and "Version 2 is the champion and is served." in page
        assert runs.summaries[1]["model_version"] == "2"

    def test_lifecycle_again_changes_nothing(self, runs: Runs) -> None:
        assert find_champion_version(runs.settings) == "2"
        assert runs.pages[2] == runs.pages[1]
        changing = {"seconds", "prediction"}
        for before, after in zip(runs.summaries[1].items(), runs.summaries[2].items(), strict=True):
            assert before == after or before[0] in changing


@pytest.mark.parametrize(
    ("kind", "outcome", "text"),
    [
        (odd_shops.only_returns, "too little history", "hold no purchase"),
        (odd_shops.one_day, "too little history", "| days had | 1 |"),
        pytest.param(odd_shops.one_customer, "no signal", "0 churned", marks=pytest.mark.long),
        pytest.param(
            odd_shops.all_inactive, "no signal", "No customer was active at the test cut-offs", marks=pytest.mark.long
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_lifecycle_of_odd_shop_ends_in_order_with_a_page(
    flows_in_process: None, kind: Any, outcome: str, text: str, tmp_path: Path
) -> None:
    from flows.lifecycle import lifecycle

    source, mapping = write_source(tmp_path, kind())
    with use_data_folder(tmp_path / "data") as settings:
        report = lifecycle([source], [mapping], as_of=odd_shops.LAST, training=QUICK, serve="base-rate")
        assert isinstance(report, RunReport) and report.is_result
        assert (report.outcome, report.version, report.champion) == (outcome, None, None)
        assert text in report.text
        assert read_page(settings) == f"{report.text}\n"
        assert read_summary(settings)["outcome"] == outcome
        assert find_champion_version(settings) is None


@pytest.mark.long
def test_lifecycle_interrupted_by_an_error_leaves_the_page_of_the_run_before(
    flows_in_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import lifecycle as module

    def fail(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no memory")

    source, mapping = write_source(tmp_path, odd_shops.one_customer())
    with use_data_folder(tmp_path / "data") as settings:
        first = module.lifecycle([source], [mapping], as_of=odd_shops.FIRST + timedelta(days=9))
        monkeypatch.setattr(module, "train", fail)
        with pytest.raises(RuntimeError, match="no memory"):
            module.lifecycle([source], [mapping], as_of=odd_shops.LAST)
        assert isinstance(first, RunReport) and read_page(settings) == f"{first.text}\n"
        assert read_summary(settings) == first.model_dump()
        assert list(settings.data.glob(".writing*")) == []


@pytest.mark.parametrize(("outcome", "code"), [("too little history", 0), ("no signal", 0), ("refused", 1)])
def test_lifecycle_command_exits_1_after_a_refusal_only(
    outcome: Any, code: int, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows.lifecycle import _print_and_exit

    with pytest.raises(SystemExit) if code else contextlib.nullcontext() as ended:
        _print_and_exit(RunReport(outcome=outcome, text="# Page [bold]"))
    assert code == (ended.value.code if ended else 0)
    assert capsys.readouterr().out.split("\n") == [
        "", "# Page [bold]", "", f"This report: {data_dir / 'run-report.md'}", ""
    ]  # fmt: skip


def test_lifecycle_without_a_mapping_proposes_one_and_uses_it_again(flows_in_process: None, tmp_path: Path) -> None:
    from flows.lifecycle import lifecycle

    source, _ = write_source(tmp_path, odd_shops.one_day())
    with use_data_folder(tmp_path / "data") as settings:
        report = lifecycle([source], as_of=odd_shops.LAST, training=QUICK)
        assert isinstance(report, RunReport) and report.outcome == "too little history"
        (proposed,) = (settings.data / "mappings").iterdir()
        proposed.write_text(proposed.read_text() + "max_bad_share: 0.25\n")
        lifecycle([source], as_of=odd_shops.LAST, training=QUICK)
        assert proposed.read_text().endswith("max_bad_share: 0.25\n")


def test_lifecycle_without_a_mapping_ends_with_the_open_questions(flows_in_process: None, tmp_path: Path) -> None:
    from flows.lifecycle import lifecycle

    source = tmp_path / "export.csv"
    source.write_text("customer,date,amount\na,01/02/2025,5.5\nb,03/04/2025,7.5\n")
    with use_data_folder(tmp_path / "data") as settings:
        with pytest.raises(IngestError, match=r"(?s)Which is right\?.*timestamp_format=%d/%m/%Y"):
            lifecycle([str(source)], training=QUICK)
        assert not list(settings.data.glob("mappings/*"))


def test_lifecycle_reads_several_sources_of_several_kinds(flows_in_process: None, tmp_path: Path) -> None:
    """A list as in PATH: the purchases of shop and till, one export with two mappings, and events."""
    from flows.lifecycle import lifecycle

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    day = odd_shops.FIRST.date()
    purchases = f"id,when,amount,country\na,{day},5,UK\nb,{day},7,France\n"
    columns = "columns: {customer_id: id, event_timestamp: when, "
    sources = [write("shop.csv", purchases)] * 2 + [write("till.csv", f"id,when,amount\na,{day},5\nc,{day},9\n")]
    sources += [write("tickets.csv", f"id,when\na,{day}\n")]
    mappings = [
        write("shop.yaml", f"{columns}amount: amount, source: {{constant: shop}}}}\n"),
        write("countries.yaml", f"kind: attributes\n{columns}attributes: {{country: country}}}}\n"),
        write("till.yaml", f"{columns}amount: amount, source: {{constant: till}}}}\n"),
        write("tickets.yaml", f"kind: events\n{columns}kind: {{constant: ticket}}}}\n"),
    ]
    with use_data_folder(tmp_path / "several") as settings:
        with pytest.raises(IngestError, match="Each source needs a mapping"):
            lifecycle(sources[1:], mappings[:2], training=QUICK)
        assert list_batches(settings) == []
        report = lifecycle([":".join(sources)], [":".join(mappings)], as_of=odd_shops.FIRST + timedelta(days=9))
        assert isinstance(report, RunReport) and report.outcome == "too little history"
        (command,) = [line for line in report.text.splitlines() if line.startswith("      cd ")]
        words = shlex.split(command)
        for option, paths in (("--source", sources), ("--mapping", mappings)):
            assert [words[number + 1] for number, word in enumerate(words) if word == option] == paths
        found = [(batch.kind, batch.rows_added) for batch in list_batches(settings)]
        assert found == [("transactions", 2), ("attributes", 2), ("transactions", 2), ("events", 1)]
