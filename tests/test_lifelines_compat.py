"""lifelines' CoxTimeVaryingFitter and ours side by side: the same script, tables, attributes, warnings and errors."""

from __future__ import annotations

import contextlib
import inspect
import io
import pickle
import re
import warnings
from typing import Any

import lifelines
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.datasets import load_rossi, load_stanford_heart_transplants
from lifelines.exceptions import ConvergenceError, ConvergenceWarning

from survival import cox
from survival.lifelines_compat import CoxTimeVaryingFitter

matplotlib.use("Agg")
Frame = pd.DataFrame

# A script as people have them: every data set and option, all that can be printed.
SCRIPT = """
from lifelines import CoxTimeVaryingFitter
import numpy as np, pandas as pd
from lifelines.datasets import load_rossi, load_stanford_heart_transplants
from lifelines.utils import to_episodic_format

heart = load_stanford_heart_transplants()

ctv = CoxTimeVaryingFitter()
ctv.fit(heart, id_col="id", event_col="event", start_col="start", stop_col="stop", show_progress=True)
print(ctv)
ctv.print_summary(style="ascii")
ctv.print_summary(decimals=6, style="ascii")
ctv.print_summary(style="html")
ctv.print_summary(decimals=4, style="latex")
ctv.print_summary(columns=["coef", "se(coef)", "p"], style="ascii", model="heart", dataset="stanford")
print(ctv.summary.round(8).to_string())
print(ctv.confidence_intervals_.round(8), ctv.hazard_ratios_.round(8), ctv.standard_errors_.round(8), ctv.params_.round(8))
print(ctv.variance_matrix_.round(8), round(ctv.log_likelihood_, 8), round(ctv.AIC_partial_, 8))
print(ctv.baseline_cumulative_hazard_.round(8), ctv.baseline_survival_.round(8))
print(ctv.event_observed, ctv.start_stop_and_events, ctv.weights)
print(ctv.predict_partial_hazard(heart).round(8), ctv.predict_log_partial_hazard(heart[["surgery", "transplant", "age", "year"]]).round(8))
print(ctv.predict_log_partial_hazard(heart[["age", "year", "surgery", "transplant"]].to_numpy()[:5]).round(8))
ctv.log_likelihood_ratio_test().print_summary(style="ascii")

# names of one's own, weights, strata, a wider interval
own = heart.rename(columns={"start": "from", "stop": "to", "event": "died"})
own["w"] = 0.5 + (own.index % 7) / 3
own["site"] = own.index % 3
own["ward"] = np.where(own.index % 2 == 0, "a", "b")
kwargs = dict(event_col="died", start_col="from", stop_col="to")
for options, arguments in [
    (dict(alpha=0.1), dict(id_col="id", formula="age + surgery")),
    (dict(), dict(id_col="id", weights_col="w", formula="age * surgery + C(transplant) + bs(year, df=3)")),
    (dict(), dict(id_col="id", strata="site", weights_col="w", formula="age + transplant")),
    (dict(strata=["site", "ward"]), dict(id_col="id", formula="age + year + surgery:transplant")),
    (dict(strata=["site"]), dict(formula="age")),
    (dict(penalizer=0.1), dict(id_col="id", formula="age + year + surgery + transplant")),
    (dict(penalizer=np.array([0.0, 0.1, 0.5])), dict(id_col="id", formula="age + year + surgery")),
    (dict(penalizer=0.05, l1_ratio=0.5), dict(id_col="id", formula="age + year + surgery + transplant")),
    (dict(penalizer=0.05, l1_ratio=1.0), dict(strata=["site"], formula="age + year + surgery + transplant")),
    (dict(), dict(id_col="id", formula="age + year", fit_options=dict(step_size=0.5, precision=1e-10))),
]:
    ctv = CoxTimeVaryingFitter(**options).fit(own, **kwargs, **arguments)
    ctv.print_summary(style="ascii")
    ctv.print_summary(decimals=5, style="ascii")
    print(ctv.event_observed.head(), ctv.weights.tail(), ctv.predict_partial_hazard(own).head(3).round(8))

# whole weeks: heavy ties; a row a subject and interval
rossi = to_episodic_format(load_rossi(), duration_col="week", event_col="arrest", time_gaps=4.0)
ctv = CoxTimeVaryingFitter().fit(rossi, id_col="id", event_col="arrest", start_col="start", stop_col="stop")
ctv.print_summary(style="ascii")
ctv.print_summary(decimals=5, style="ascii")
"""


def run(script: str) -> str:
    """What the script prints, but for clocks."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(script, "script", "exec"), {})
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "NOW", out.getvalue())
    return re.sub(r"seconds_since_start = [\d.]+", "", text)


def test_a_script_prints_the_same_but_for_its_import() -> None:
    mine = SCRIPT.replace("from lifelines import", "from survival.lifelines_compat import", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        printed, expected = run(mine), run(SCRIPT)
    assert expected.count("log-likelihood ratio test") == 27  # all tables but the one in latex
    assert printed == expected


def heart() -> Frame:
    frame = load_stanford_heart_transplants()
    return frame.assign(w=0.5 + (frame.index % 7) / 3, site=frame.index % 3)


FIT = {"event_col": "event", "id_col": "id"}


def both(frame: Frame, options: dict[str, Any] | None = None, **arguments: Any) -> tuple[Any, Any]:
    """lifelines' fit, and ours, of the same call."""
    call = {"event_col": "event", **arguments}
    theirs, ours = lifelines.CoxTimeVaryingFitter(**(options or {})), CoxTimeVaryingFitter(**(options or {}))
    return theirs.fit(frame.copy(), **call), ours.fit(frame.copy(), **call)


ATTRIBUTES = [
    "params_", "hazard_ratios_", "standard_errors_", "variance_matrix_", "confidence_intervals_", "summary",
    "event_observed", "start_stop_and_events", "weights",
]  # fmt: skip


def same(theirs: Any, ours: Any, attributes: list[str], tolerance: float = 1e-9) -> None:
    for name in attributes:
        expected, value = getattr(theirs, name), getattr(ours, name)
        check = pd.testing.assert_frame_equal if isinstance(expected, Frame) else pd.testing.assert_series_equal
        check(value, expected, rtol=tolerance, atol=1e-12)
    assert ours.log_likelihood_ == pytest.approx(theirs.log_likelihood_, abs=1e-8)
    assert repr(ours) == repr(theirs)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.0, 0.05]))
def test_random_data(seed: int, tied: bool, weighted: bool, by_site: bool, penalizer: float) -> None:
    rng = np.random.default_rng(seed)
    n = 80
    start = rng.integers(0, 6, n).astype(float)
    stop = start + (rng.integers(1, 7, n) if tied else rng.exponential(4, n))
    frame = pd.DataFrame({"x": rng.normal(3, 2, n), "y": rng.integers(0, 3, n), "start": start, "stop": stop})
    frame = frame.assign(
        event=rng.random(n) < 0.6, id=np.arange(n) // 2, site=np.arange(n) % 3, w=rng.uniform(0.2, 3, n)
    )
    frame = frame[["x", "y", "start", "stop", "event", "id", *["w"] * weighted, *["site"] * by_site]]
    theirs, ours = both(
        frame, {"penalizer": penalizer}, id_col="id", weights_col="w" if weighted else None, strata="site" if by_site else None
    )  # fmt: skip
    baseline = [] if weighted or by_site else ["baseline_cumulative_hazard_", "baseline_survival_"]
    same(theirs, ours, [*ATTRIBUTES, *baseline])


def test_signatures_and_class_are_those_of_lifelines() -> None:
    for name in ("__init__", "fit", "print_summary", "plot", "predict_partial_hazard", "predict_log_partial_hazard"):
        theirs = inspect.signature(getattr(lifelines.CoxTimeVaryingFitter, name)).parameters
        ours = inspect.signature(getattr(CoxTimeVaryingFitter, name)).parameters
        assert [(p.name, p.default, p.kind) for p in ours.values()] == [
            (p.name, p.default, p.kind) for p in theirs.values()
        ]
    assert issubclass(CoxTimeVaryingFitter, lifelines.CoxTimeVaryingFitter)


def test_times_may_be_dates_and_the_order_of_rows_does_not_matter() -> None:
    frame = heart().drop(columns=["w", "site"])
    days = {name: pd.Timestamp("2020-01-01") + pd.to_timedelta(frame[name], "D") for name in ("start", "stop")}
    same(*both(frame.assign(**days), id_col="id"), [*ATTRIBUTES, "baseline_cumulative_hazard_"])
    shuffled = frame.sample(frac=1, random_state=1)
    same(*both(shuffled, id_col="id"), [*ATTRIBUTES, "baseline_survival_"])


def test_without_covariates() -> None:
    theirs, ours = both(heart()[["id", "start", "stop", "event"]], id_col="id")
    assert ours.params_.empty
    assert ours.log_likelihood_ == pytest.approx(theirs.log_likelihood_, abs=1e-9)
    pd.testing.assert_frame_equal(ours.baseline_cumulative_hazard_, theirs.baseline_cumulative_hazard_)


# -- warnings and errors --------------------------------------------------------------------------------------------


def outcome(kind: type, frame: Frame, arguments: dict[str, Any]) -> tuple[list[Any], Any]:
    """The warnings that lifelines itself words, and the class of what was raised, or the text of the table."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                fitter = kind().fit(frame.copy(), **{"event_col": "event", "id_col": "id", **arguments})
                fitter.print_summary(style="ascii", columns=["coef", "z"])
            result: Any = re.sub(r"\d\d:\d\d:\d\d UTC", "NOW", out.getvalue())
        except Exception as error:
            result = type(error)
    mine = [
        (w.category, str(w.message)) for w in caught if w.category not in (RuntimeWarning,) or "\n" in str(w.message)
    ]
    return [pair for pair in mine if pair[0].__name__ != "LinAlgWarning"], result


def late(frame: Frame, time: float, event: int) -> Frame:
    """Three rows more, whose start is their stop."""
    more = frame.head(3).assign(start=time, stop=time, event=event)
    return pd.concat([frame, more], ignore_index=True)


def trouble() -> list[Any]:
    """name, frame, arguments, the classes of the warnings, the class of the error (None: the fit stands)."""
    h = load_stanford_heart_transplants()
    event, first, holes = h["event"], float(h["stop"][0]), h.index == 3
    gaps, warned = h["age"].mask(holes), [ConvergenceWarning]
    weighted = {"weights_col": "w"}
    cases: list[tuple[str, Frame, dict[str, Any], list[type], type | None]] = [
        ("low variance", h.assign(c=1 + h.index % 2 * 1e-3), {}, warned, None),
        ("low variance by event", h.assign(c=event * (h["age"] > 0)), {}, warned, None),
        ("separation", h.assign(c=event), {"formula": "c"}, warned * 2, None),
        ("not converged", h, {"fit_options": {"max_steps": 2}}, warned, None),
        ("row of no length at 0", late(h, 0.0, 0), {}, [RuntimeWarning], None),
        ("event in a row of no length", late(h, first, 1), {}, warned, None),
        ("the only event of its time", late(h, 777.5, 1), {}, warned, ConvergenceError),
        ("event at 0", late(h, 0.0, 1), {}, [], ValueError),
        ("constant", h.assign(c=1.0), {}, warned, ConvergenceError),
        ("no events", h.assign(event=0), {}, [], np.linalg.LinAlgError),
        ("missing covariate", h.assign(age=gaps), {}, [], TypeError),
        ("infinite covariate", h.assign(age=h["age"].mask(holes, np.inf)), {}, [], TypeError),
        ("text covariate", h.assign(age="a"), {}, [], ValueError),
        ("text event", h.assign(event="yes"), {}, [], ValueError),
        ("stop before start", h.assign(start=h["start"] + 100), {}, [], ValueError),
        ("weight 0", h.assign(w=0.0), weighted, [], ValueError),
        ("missing weight", h.assign(w=gaps.abs()), weighted, [], ConvergenceError),
        ("reserved name", h.assign(__weights=1.0), {}, [], AssertionError),
        ("no rows", h.iloc[:0], {}, [], ValueError),
        ("initial point of another length", h, {"initial_point": np.zeros(2)}, [], ValueError),
        ("precision", h, {"fit_options": {"precision": 2.0}}, [], AssertionError),
        ("unknown option", h, {"fit_options": {"stepsize": 1}}, [], TypeError),
    ]
    for name in ("event_col", "start_col", "stop_col", "id_col", "weights_col", "strata"):
        cases.append((f"no {name}", h, {name: "nowhere"}, [], KeyError))
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


@pytest.mark.parametrize(("frame", "arguments", "warned", "raised"), trouble())
def test_warnings_and_errors(frame: Frame, arguments: Any, warned: list[type], raised: type | None) -> None:
    expected = outcome(lifelines.CoxTimeVaryingFitter, frame, arguments)
    found = outcome(CoxTimeVaryingFitter, frame, arguments)
    assert found[0] == expected[0]  # class and words
    assert [category for category, _ in found[0]] == warned
    if raised is None:
        assert isinstance(found[1], str)
    else:
        assert found[1] is raised
    assert found[1] == expected[1]


def test_missing_values_in_a_formula_are_refused() -> None:
    """formulaic leaves such rows out of the matrix: lifelines then has too few, or too many of an id."""
    frame = heart().assign(age=heart()["age"].mask(heart().index == 3))
    with pytest.raises((IndexError, ValueError)):
        lifelines.CoxTimeVaryingFitter().fit(frame, **FIT, formula="age + year")
    for one in (frame, frame.set_index(frame["id"] // 2)):
        with pytest.raises(TypeError, match="NaNs were detected"):
            CoxTimeVaryingFitter().fit(one, **FIT, formula="age + year")


def test_collinear_columns_are_not_passed_over() -> None:
    """Rounding decides whether the matrix is singular or almost: an error, or a warning that says so."""
    frame = heart().drop(columns=["w", "site"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            CoxTimeVaryingFitter().fit(frame.assign(c=frame["age"] * 2), **FIT)
            words = [str(warning.message) for warning in caught]
        except ValueError as error:  # lifelines' ConvergenceError is one, and NumPy's LinAlgError
            words = [str(error)]
    assert any("singular" in text or "ill-conditioned" in text or "colinearity" in text for text in words)


@pytest.mark.parametrize("column", ["event", "start", "stop", "site", "id"])
def test_missing_times_events_and_strata_are_refused(column: str) -> None:
    """lifelines takes a missing event for an event, and leaves the rows of the others out without a word."""
    frame = heart().astype({"event": float, "id": float, "site": float})
    frame.loc[4, column] = np.nan  # no event
    call = {**FIT, "strata": "site", "formula": "age"}
    theirs = lifelines.CoxTimeVaryingFitter().fit(frame, **call)
    if column == "id":  # without it only the count of subjects is at stake
        ours = CoxTimeVaryingFitter().fit(frame, **call)
        same(theirs, ours, ATTRIBUTES)
        call["robust"] = True
    else:
        assert theirs.event_observed.sum() == 75 + (column == "event")
    with pytest.raises(TypeError, match=rf"NaNs were detected in column '{column}'"):
        CoxTimeVaryingFitter().fit(frame, **call)


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_alpha(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        CoxTimeVaryingFitter(alpha=alpha)


def test_a_failed_fit_leaves_an_unfitted_repr() -> None:
    fitter = CoxTimeVaryingFitter()
    with pytest.raises(TypeError):
        fitter.fit(heart().assign(age=np.nan), **FIT)
    assert repr(fitter) == "<lifelines.CoxTimeVaryingFitter>"


# -- where lifelines is wrong, or stops -----------------------------------------------------------------------------


def brute_baseline(frame: Frame, fit: Any, weight: pd.Series) -> pd.Series:
    """Breslow's cumulative hazard at the mean covariates, event time by event time."""
    risk = fit.predict_partial_hazard(frame).to_numpy() * weight.to_numpy()
    steps = {}
    for time in np.unique(frame.loc[frame["event"] == 1, "stop"]):
        there = (frame["start"] < time) & (time <= frame["stop"])
        died = there & (frame["stop"] == time) & (frame["event"] == 1)
        steps[time] = weight[died].sum() / risk[there].sum()
    return pd.Series(steps).cumsum()


def test_baseline_with_weights_does_not_grow_with_their_unit() -> None:
    frame = heart().drop(columns="site")
    theirs, ours = both(frame, id_col="id", weights_col="w")
    twice = CoxTimeVaryingFitter().fit(frame.assign(w=frame["w"] * 2), **FIT, weights_col="w")
    expected = brute_baseline(frame, ours, frame["w"])
    mine = ours.baseline_cumulative_hazard_["baseline hazard"]
    np.testing.assert_allclose(mine, expected, rtol=1e-10)
    np.testing.assert_allclose(twice.baseline_cumulative_hazard_["baseline hazard"], mine, rtol=1e-8)
    np.testing.assert_allclose(ours.baseline_survival_["baseline survival"], np.exp(-expected), rtol=1e-10)
    assert theirs.baseline_cumulative_hazard_.iloc[-1, 0] > 1.3 * mine.iloc[-1]  # weights above the line only


def test_baseline_by_stratum() -> None:
    frame = heart().drop(columns="w")
    theirs, ours = both(frame, id_col="id", strata="site")
    hazard = ours.baseline_cumulative_hazard_
    assert list(hazard.columns) == [0, 1, 2]
    assert list(hazard.index) == list(theirs.baseline_cumulative_hazard_.index)
    for site in range(3):
        mine = frame[frame["site"] == site]
        expected = brute_baseline(mine, ours, pd.Series(1.0, mine.index))
        np.testing.assert_allclose(hazard.loc[expected.index, site], expected, rtol=1e-10)
    assert list(theirs.baseline_cumulative_hazard_.columns) == ["baseline hazard"]  # one for all strata
    two = CoxTimeVaryingFitter(strata=["site", "surgery"]).fit(frame, **FIT)
    assert list(two.baseline_survival_.columns) == [(i, j) for i in range(3) for j in range(2)]
    assert two.baseline_survival_.columns.nlevels == 1


def test_baseline_far_from_the_mean() -> None:
    """Linear predictors up to 80: the risks are shifted before exp, the hazard is not."""
    frame = heart()[["start", "stop", "event", "age"]]
    call = {"initial_point": np.array([40.0]), "fit_options": {"max_steps": 1, "step_size": 1e-6}}
    with pytest.warns(ConvergenceWarning):
        theirs = lifelines.CoxTimeVaryingFitter().fit(frame, "event", **call)
    call["initial_point"] = np.array([40.0])
    with pytest.warns(ConvergenceWarning):
        ours = CoxTimeVaryingFitter().fit(frame, "event", **call)
    assert np.log(ours.predict_partial_hazard(frame).max()) > 50
    np.testing.assert_allclose(ours.baseline_cumulative_hazard_, theirs.baseline_cumulative_hazard_, rtol=1e-6)


def test_a_stratum_of_one_row() -> None:
    frame = heart()[["start", "stop", "event", "age", "id"]].drop(columns="id").assign(s=0)
    frame.loc[5, "s"] = 1
    with pytest.raises(AttributeError):
        lifelines.CoxTimeVaryingFitter().fit(frame, "event", strata="s")
    alone = CoxTimeVaryingFitter().fit(frame[frame["s"] == 0].drop(columns="s"), "event")
    ours = CoxTimeVaryingFitter().fit(frame, "event", strata="s")
    # Nobody else is at risk with that row: it says nothing, beyond the unit in which steps are measured.
    assert ours.params_["age"] == pytest.approx(alone.params_["age"], rel=1e-5)


def test_initial_point_is_kept_and_its_likelihood_ratio_is_against_no_covariates() -> None:
    frame = heart().drop(columns=["w", "site"])
    point = np.array([0.1, 0.2, 0.3, 0.4])
    start = point.copy()
    ours = CoxTimeVaryingFitter().fit(frame, **FIT, initial_point=start)
    plain = lifelines.CoxTimeVaryingFitter().fit(frame, **FIT, initial_point=point)
    np.testing.assert_array_equal(start, [0.1, 0.2, 0.3, 0.4])
    assert (point != start).all()  # lifelines writes its result there
    same(plain, ours, ATTRIBUTES)
    test = CoxTimeVaryingFitter().fit(frame, **FIT).log_likelihood_ratio_test()
    assert ours.log_likelihood_ratio_test().test_statistic == pytest.approx(test.test_statistic, abs=1e-6)
    assert (
        plain.log_likelihood_ratio_test().test_statistic > 10 * test.test_statistic
    )  # rows joined with rows of their id


def test_robust_by_id_and_by_row() -> None:
    frame = heart().drop(columns="site")
    terms = "age + year + surgery + transplant"
    ours = CoxTimeVaryingFitter().fit(frame, **FIT, weights_col="w", robust=True)
    reference = cox(frame, terms, start="start", customer="id", weights="w").tidy()
    np.testing.assert_allclose(ours.standard_errors_, reference["robust_se"], rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(ours.variance_matrix_)), reference["se"], rtol=1e-5)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        ours.print_summary(style="ascii")
    assert "robust variance = True" in out.getvalue()
    with pytest.raises(NotImplementedError):
        lifelines.CoxTimeVaryingFitter().fit(frame, **FIT, robust=True)


@pytest.mark.parametrize("cluster", [None, "group"])
def test_robust_is_that_of_lifelines_for_rows_from_0(cluster: str | None) -> None:
    rossi = load_rossi().drop(columns="week").assign(week=load_rossi()["week"] + np.arange(432) / 1000)
    rossi = rossi.assign(group=np.arange(432) // 3) if cluster else rossi
    theirs = lifelines.CoxPHFitter().fit(rossi, "week", "arrest", robust=True, cluster_col=cluster)
    ours = CoxTimeVaryingFitter().fit(
        rossi.assign(start=0.0), "arrest", stop_col="week", id_col=cluster, robust=True
    )  # fmt: skip
    np.testing.assert_allclose(ours.standard_errors_, theirs.standard_errors_, rtol=1e-4)


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_elastic_net_is_near_the_exact_one(l1_ratio: float) -> None:
    """lifelines rounds the corner of |b|: six digits of the coefficients, and no coefficient is exactly 0."""
    frame = heart()
    terms = "age + year + surgery + transplant"
    ours = CoxTimeVaryingFitter(penalizer=0.05, l1_ratio=l1_ratio).fit(frame, **FIT, formula=terms)
    exact = cox(frame, terms, start="start", penalizer=0.05, l1_ratio=l1_ratio).coefficients
    assert exact[3] == 0
    np.testing.assert_allclose(ours.params_ * ours._norm_std, exact * ours._norm_std, atol=2e-6)


@pytest.mark.parametrize("method", ["check_assumptions", "compute_residuals"])
def test_what_lifelines_has_by_name_only_says_where_it_is(method: str) -> None:
    frame = heart()
    theirs, ours = both(frame, id_col="id", formula="age")
    with pytest.raises(AttributeError):
        getattr(theirs, method)(
            frame, kind="martingale"
        ) if method == "compute_residuals" else theirs.check_assumptions(frame)
    with pytest.raises(NotImplementedError, match=r"survival\.cox"):
        getattr(ours, method)(frame)


# -- what one does with a fit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", [None, "age * surgery + bs(year, df=3)"])
def test_pickle(formula: str | None) -> None:
    frame = heart().drop(columns=["w", "site"])
    fit = CoxTimeVaryingFitter(penalizer=0.01).fit(frame, **FIT, formula=formula)
    data = pickle.dumps(fit)
    again = pickle.loads(data)
    assert type(again) is CoxTimeVaryingFitter
    same(fit, again, [*ATTRIBUTES, "baseline_cumulative_hazard_", "baseline_survival_"], 0.0)
    pd.testing.assert_series_equal(again.predict_partial_hazard(frame), fit.predict_partial_hazard(frame))
    texts = []
    for one in (fit, again):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            one.print_summary(style="ascii")
        texts.append(out.getvalue())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("columns", [None, ["age", "surgery"]])
def test_plot(columns: list[str] | None) -> None:
    drawn = []
    for fit in both(heart().drop(columns=["w", "site"]), id_col="id"):
        figure, axes = plt.subplots()
        assert fit.plot(columns=columns, ax=axes) is axes
        marks = axes.lines[0].get_xydata()
        bars = np.vstack([segment for bar in axes.collections for segment in bar.get_segments()])
        drawn.append((marks, bars, [label.get_text() for label in axes.get_yticklabels()], axes.get_xlabel()))
        plt.close(figure)
    for theirs, ours in zip(drawn[0][:2], drawn[1][:2]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert drawn[0][2:] == drawn[1][2:]
    assert len(drawn[1][0]) == (2 if columns else 4)


def test_a_fitter_fits_again_and_leaves_the_frame_alone() -> None:
    frame = heart().drop(columns=["w", "site"])
    before = frame.copy()
    fitter = CoxTimeVaryingFitter()
    first = fitter.fit(frame, **FIT).params_
    pd.testing.assert_frame_equal(frame, before)
    kept = fitter.start_stop_and_events.copy()
    frame["stop"] += 1000.0
    pd.testing.assert_frame_equal(fitter.start_stop_and_events, kept)
    assert fitter.fit(frame, **FIT, formula="age") is fitter
    assert list(fitter.params_.index) == ["age"]
    assert list(first.index) == ["age", "year", "surgery", "transplant"]
    assert fitter.fit_right_censoring(before, **FIT).params_.equals(first)
