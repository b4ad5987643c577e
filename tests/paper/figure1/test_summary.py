"""What Figure 1 shows in numbers: one curve for every loss on the population, nearly one on a sample."""

import numpy as np
import pytest

from paper_problems import FIGURE1


def test_coincidence_is_exact_on_the_population_and_measured_on_the_sample(figure1):
    population, sample = figure1.summary["panels"]
    assert population["coincidence"] < 1e-6
    assert population["higher"]["coincidence"] < 1e-6
    assert population["higher"]["sphere_apart"] > 0.1
    assert population["gd_apart"] > 1.0
    assert 1e-4 < sample["coincidence"] < 0.5
    assert "coincide:" in population["findings"][0]
    assert f"{population['coincidence']:.1e}" in population["findings"][0]
    assert "differ:" in sample["findings"][0] or "nearly coincide:" in sample["findings"][0]


def test_sigmoid_has_no_best_length_and_says_so(figure1):
    population = figure1.summary["panels"][0]
    sigmoid, logistic = population["losses"]["sigmoid"], population["losses"]["log_loss"]
    assert sigmoid["best_length"] is None
    assert not sigmoid["stays_in_frame"]
    assert any("sigmoid loss leaves the frame" in sentence for sentence in population["findings"])
    r = population["r"]
    assert logistic["best_length"] == pytest.approx(2.0 * np.sqrt(r) / (1.0 - r))
    assert logistic["gradient_norm"] < 1e-6


def test_tables_have_a_row_for_every_loss(figure1):
    tables = FIGURE1.tables(figure1.summary)
    assert [table.title for table in tables] == [panel["label"] for panel in figure1.summary["panels"]]
    for table, panel in zip(tables, figure1.summary["panels"], strict=True):
        assert [row[0] for row in table.rows] == ["least squares", "logistic", "sigmoid"]
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert table.rows[0][1] == "0.0e+00"
        assert table.rows[2][1] == f"{panel['losses']['sigmoid']['distance_to_least_squares']:.1e}"
        assert table.rows[2][4:] == ("none", "leaves the frame")
