"""Report of the benchmark of shops: table, goals and plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from benchmarks.shops.catalog import TOSS
from benchmarks.shops.results import ShopResult
from holdfast.training.baselines import BASELINE_LABELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE = "bg_nbd"  # the simple model that the model has to beat
PUBLISHED = {"Pareto/NBD, published": (0.7998, 0.4208), "BG/NBD, published": (0.7882, 0.4244)}


@dataclass(frozen=True)
class Goal:
    """Goal of the benchmark.

    Attributes:
        value: Measured figures in words; "" where no result applies to the goal.
        met: Whether the goal is met; None where no result applies.
    """

    name: str
    value: str
    met: bool | None

    def __str__(self) -> str:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[self.met]
        return f"{verdict}: {self.name}" + (f": {self.value}" if self.value else "")


def check_goals(results: Sequence[ShopResult], protocol: dict[str, tuple[float, float]]) -> list[Goal]:
    """Check the goals of the benchmark.

    Args:
        results: Results of shops and coin tosses.
        protocol: Model to ROC-AUC and log loss under the public protocol; empty if it was not run.

    Returns:
        Goals in order.
    """
    tosses = [result for result in results if result.shop.startswith(TOSS)]
    shops = [result for result in results if not result.shop.startswith(TOSS)]
    tested = [result for result in shops if result.scores]
    return [
        _no_errors(results),
        _served([result for result in tested if result.is_real and result.has_signal]),
        _mean_gain([result for result in tested if REFERENCE in result.scores]),
        _largest_loss([result for result in tested if REFERENCE in result.scores]),
        _calibration([result for result in tested if result.level_known and result.status == "served"]),
        _directions([result for result in tested if result.status == "served"]),
        _no_promotion("no shop without signal is served", [r for r in shops if r.shop == "no_signal"]),
        _no_promotion("no coin toss is promoted", tosses),
        _cdnow([result for result in tested if result.shop == "cdnow" and result.months_earlier == 0]),
        _protocol(protocol),
    ]


def _no_errors(results: Sequence[ShopResult]) -> Goal:
    errors = [f"{result.shop}-{result.months_earlier}" for result in results if result.status == "error"]
    return Goal("every run ends with a result", ", ".join(errors) or f"{len(results)} runs", not errors)


def _served(results: Sequence[ShopResult]) -> Goal:
    served = sum(result.status == "served" for result in results)
    return Goal(
        "a real shop with signal is served at 9 of 10 dates",
        f"{served} of {len(results)}",
        served >= 0.9 * len(results) if results else None,
    )


def _brier_gain(result: ShopResult) -> float:
    return result.scores[REFERENCE].brier - result.scores["model"].brier


def _mean_gain(results: Sequence[ShopResult]) -> Goal:
    gain = fmean(map(_brier_gain, results)) if results else 0.0
    return Goal(
        "mean Brier score at least .003 below BG/NBD's",
        f"{-gain:+.4f} over {len(results)} pairs",
        gain >= 0.003 if results else None,
    )


def _largest_loss(results: Sequence[ShopResult]) -> Goal:
    worst = min(results, key=_brier_gain, default=None)
    return Goal(
        "Brier score never more than .003 above BG/NBD's",
        f"at most {-_brier_gain(worst):+.4f} ({_pair(worst)})" if worst else "",
        _brier_gain(worst) >= -0.003 if worst else None,
    )


def _calibration(results: Sequence[ShopResult]) -> Goal:
    errors = {_pair(result): result.scores["model"].ece for result in results}
    worst = max(errors, key=lambda pair: errors[pair], default="")
    return Goal(
        "calibration error .03 in the median and .06 at most where the level could be known",
        f"median {median(errors.values()):.3f}, at most {errors[worst]:.3f} ({worst})" if errors else "",
        median(errors.values()) <= 0.03 and errors[worst] <= 0.06 if errors else None,
    )


def _directions(results: Sequence[ShopResult]) -> Goal:
    wrong = [result.wrong_direction for result in results]
    known = [share for share in wrong if share is not None]
    return Goal(
        "no risk of a served model falls as silence grows",
        f"at most {max(known):.1%} of the customers" if known else "",
        len(known) == len(wrong) and max(known) == 0 if wrong else None,
    )


def _no_promotion(name: str, results: Sequence[ShopResult]) -> Goal:
    promoted = [_pair(result) for result in results if result.status == "served"]
    text = f"{len(promoted)} of {len(results)}" + (f" ({', '.join(promoted)})" if promoted else "")
    return Goal(name, text if results else "", not promoted if results else None)


def _cdnow(results: Sequence[ShopResult]) -> Goal:
    name = "CDNOW at least ROC-AUC .713, Brier score .206, calibration error .015"
    if not results:
        return Goal(name, "", None)
    model = results[0].scores["model"]
    met = round(model.roc_auc, 3) >= 0.713 and round(model.brier, 3) <= 0.206 and round(model.ece, 3) <= 0.015
    return Goal(name, f"{model.roc_auc:.3f}, {model.brier:.3f}, {model.ece:.3f}", met)


def _protocol(protocol: dict[str, tuple[float, float]]) -> Goal:
    name = "public protocol on CDNOW: above the published Pareto/NBD in ROC-AUC and log loss"
    ours = {model: values for model, values in protocol.items() if model not in PUBLISHED}
    if not ours:
        return Goal(name, "", None)
    model, (roc_auc, log_loss) = min(ours.items(), key=lambda item: item[1][1])
    limit = PUBLISHED["Pareto/NBD, published"]
    text = f"{model} {roc_auc:.4f} and {log_loss:.4f}, published {limit[0]:.4f} and {limit[1]:.4f}"
    return Goal(name, text, roc_auc >= limit[0] and log_loss <= limit[1])


def _pair(result: ShopResult) -> str:
    return f"{result.shop}, {result.as_of:%Y-%m-%d}"


def render_table(results: Sequence[ShopResult]) -> str:
    """Render the results as a Markdown table; coin tosses are left out.

    Args:
        results: Results.

    Returns:
        Markdown: ROC-AUC / Brier score / calibration error / largest month of each model.
    """
    simple = list(BASELINE_LABELS)
    header = ["shop", "date", "result", "model", *BASELINE_LABELS.values(), "best in hindsight", "direction", "s"]
    lines = [_row(header), _row(["---"] * len(header))]
    for result in results:
        if result.shop.startswith(TOSS):
            continue
        best = result.best_in_hindsight
        lines.append(
            _row(
                [
                    result.shop,
                    f"{result.as_of:%Y-%m-%d}",
                    result.status + ("" if result.status == "served" else f": {_shorten(result.reason)}"),
                    _scores(result, "model"),
                    *(_scores(result, name) for name in simple),
                    f"{BASELINE_LABELS.get(best, best)} {result.scores[best].brier:.3f}" if best else "",
                    "" if result.wrong_direction is None else f"{result.wrong_direction:.1%}",
                    f"{result.seconds:.0f}",
                ]
            )
        )
    return "\n".join(lines) + "\n"


def render_protocol(protocol: dict[str, tuple[float, float]]) -> str:
    """Render the figures of the public protocol as a Markdown table.

    Args:
        protocol: Model to ROC-AUC and log loss.

    Returns:
        Markdown.
    """
    rows = sorted(protocol.items(), key=lambda item: item[1][1])
    lines = [_row(["model", "ROC-AUC", "log loss"]), _row(["---"] * 3)]
    return "\n".join([*lines, *(_row([name, f"{a:.4f}", f"{b:.4f}"]) for name, (a, b) in rows)]) + "\n"


def _scores(result: ShopResult, name: str) -> str:
    scores = result.scores.get(name)
    if scores is None:
        return ""
    values = (scores.roc_auc, scores.brier, scores.ece, scores.largest_month)
    return " / ".join(f"{value:.3f}".removeprefix("0") for value in values)


def _shorten(reason: str, limit: int = 120) -> str:
    line = reason.splitlines()[0].replace("|", "/") if reason else ""
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plot_results(results: Sequence[ShopResult]) -> "Figure":
    """Plot the Brier score of the model and of each simple model less that of BG/NBD, one row per shop and date.

    Args:
        results: Results.

    Returns:
        Figure.
    """
    from matplotlib.figure import Figure

    from holdfast.core.plot_style import GRAY, GREEN, RED, draw_message, style_axes
    from holdfast.training.plots import MODEL_COLORS

    shown = [r for r in results if REFERENCE in r.scores and not r.shop.startswith(TOSS)][::-1]
    figure = Figure(figsize=(9, 1.4 + 0.24 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    if not shown:
        draw_message(axes, "No shop has a tested model.")
        return figure
    style_axes(axes)
    for name, label in BASELINE_LABELS.items():
        points = [(-_difference(r, name), y) for y, r in enumerate(shown) if name in r.scores and name != REFERENCE]
        if points:
            axes.scatter([x for x, _ in points], [y for _, y in points], color=MODEL_COLORS[name], s=16, label=label)
    for served, color in ((True, GREEN), (False, RED)):
        points = [(-_difference(r, "model"), y) for y, r in enumerate(shown) if (r.status == "served") == served]
        if points:
            label = "model, served" if served else "model, not served"
            axes.scatter([x for x, _ in points], [y for _, y in points], color=color, s=36, label=label, zorder=3)
    axes.axvline(0, color=GRAY, linewidth=1)
    axes.set_yticks(range(len(shown)), [_pair(result) for result in shown], fontsize=8)
    axes.set_xlabel("Brier score less that of BG/NBD on the test rows (left is better)")
    axes.set_xscale("symlog", linthresh=0.01)  # small differences in full, large ones within the plot
    axes.set_xticks([-0.1, -0.01, -0.005, 0, 0.005, 0.01, 0.1], ["-.1", "-.01", "-.005", "0", ".005", ".01", ".1"])
    figure.legend(loc="outside lower center", fontsize=8, frameon=False, ncols=3)
    return figure


def _difference(result: ShopResult, name: str) -> float:
    return result.scores[REFERENCE].brier - result.scores[name].brier
