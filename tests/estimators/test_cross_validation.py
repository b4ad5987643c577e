"""A ridge chosen by cross-validation: scikit-learn's numbers, and a certificate for each fit."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import gdnp
from gdnp import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV
from gdnp.solvers import Status
from problems import draw

ALPHAS = np.array([1e-4, 1.0, 1e-2])


@pytest.mark.filterwarnings("ignore")  # of scikit-learn's own, on the data it makes
@parametrize_with_checks([GDNPClassifierCV(alphas=[1.0, 0.01], cv=2), GDNPRegressorCV(alphas=3)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True)


@pytest.fixture(scope="module")
def model(cancer):
    return GDNPClassifierCV(alphas=ALPHAS).fit(*cancer)


def test_the_shapes_are_those_of_logistic_regression_cv(cancer, model):
    assert (model.scores_.shape, model.n_iter_.shape) == ((5, 3), (5, 3))
    assert (model.coefs_paths_.shape, model.certificates_.shape) == ((5, 3, 1, 31), (5, 3, 1))
    np.testing.assert_array_equal(model.alphas_, ALPHAS)
    assert model.best_score_ == model.scores_.mean(axis=0).max()
    assert model.alpha_ == ALPHAS[model.scores_.mean(axis=0).argmax()]
    assert all(one.status is Status.CONVERGED and one.proved for one in model.certificates_.flat)


def test_scores_are_those_of_a_search(cancer, model):
    """Every fold, every ridge: what GridSearchCV has of fits from nothing; and the model it returns."""
    X, y = cancer
    search = GridSearchCV(GDNPClassifier(), {"alpha": ALPHAS}, scoring="neg_log_loss", cv=5).fit(X, y)
    expected = np.array([search.cv_results_[f"split{k}_test_score"] for k in range(5)])
    np.testing.assert_allclose(model.scores_, expected, atol=1e-5)
    assert search.best_params_["alpha"] == model.alpha_
    np.testing.assert_allclose(model.decision_function(X), search.decision_function(X), atol=1e-3)
    found = GDNPClassifierCV(alphas=ALPHAS, scoring="roc_auc").fit(X, y)
    auc = cross_val_score(GDNPClassifier(alpha=1e-2), X, y, cv=5, scoring="roc_auc")
    np.testing.assert_allclose(found.scores_[:, 2], auc, atol=1e-3)


def test_logistic_regression_cv_agrees(rng):
    X, y = draw(rng, 400, 5)
    Cs = 1.0 / (320 * ALPHAS)  # its ridge is that of a sum over the 320 rows of a training set
    theirs = LogisticRegressionCV(
        Cs=Cs, l1_ratios=(0,), cv=5, scoring="neg_log_loss", tol=1e-10, use_legacy_attributes=False
    ).fit(X, y)
    ours = GDNPClassifierCV(alphas=ALPHAS).fit(X, y)
    np.testing.assert_allclose(ours.scores_, theirs.scores_[:, 0, :], atol=1e-6)
    np.testing.assert_allclose(ours.coefs_paths_, theirs.coefs_paths_[:, 0], atol=1e-3)


def test_ridge_cv_agrees_on_rows_left_out_one_by_one():
    X, y = load_diabetes(return_X_y=True)
    n = len(y)
    theirs = RidgeCV(ALPHAS * (n - 1), store_cv_results=True).fit(X, y)
    ours = GDNPRegressorCV(alphas=ALPHAS).fit(X, y)
    assert ours.alpha_ == pytest.approx(theirs.alpha_ / (n - 1))
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-8)
    assert ours.certificate_.proved
    np.testing.assert_allclose(ours.coef_, GDNPRegressor(alpha=ours.alpha_).fit(X, y).coef_, rtol=1e-5)
    np.testing.assert_allclose(-ours.scores_, theirs.cv_results_, rtol=1e-6)


def test_a_scorer_takes_folds():
    X, y = load_diabetes(return_X_y=True)
    found = GDNPRegressorCV(alphas=ALPHAS, scoring="r2").fit(X, y)
    expected = cross_val_score(GDNPRegressor(alpha=found.alpha_), X, y, cv=5)
    assert found.best_score_ == pytest.approx(expected.mean(), rel=1e-6)


def test_rows_left_out_one_by_one_are_as_many_folds(rng):
    """In closed form or fit by fit, for two targets and weights of which one is 0."""
    X = rng.standard_normal((30, 4))
    Y = X[:, :2] + rng.standard_normal((30, 2))
    weight = np.append(rng.random(29) + 0.5, 0.0)
    closed = GDNPRegressorCV(alphas=ALPHAS).fit(X, Y, sample_weight=weight)
    each = GDNPRegressorCV(alphas=ALPHAS, cv=LeaveOneOut(), tol=1e-12).fit(X[:-1], Y[:-1], weight[:-1])
    np.testing.assert_allclose(closed.scores_, each.scores_, rtol=1e-6)
    np.testing.assert_allclose(
        closed.coef_, GDNPRegressor(alpha=closed.alpha_).fit(X, Y, weight).coef_, rtol=1e-4
    )
    mean = np.average(each.scores_, axis=0, weights=weight[:-1])
    assert closed.best_score_ == pytest.approx(mean.max(), rel=1e-8)


@pytest.mark.parametrize("kind", ["csr", "csc", "float32", "frame"])
def test_any_kind_of_data(rng, kind):
    X, y = draw(rng)
    expected = GDNPClassifierCV(alphas=ALPHAS, cv=3).fit(X.astype(np.float32).astype(float), y)
    if kind == "frame":
        pd = pytest.importorskip("pandas")
        data = pd.DataFrame(X.astype(np.float32).astype(float), columns=[f"x{j}" for j in range(8)])
        y = pd.Series(y, index=np.arange(300)[::-1])
    else:
        data = X.astype(np.float32)
        data = data if kind == "float32" else getattr(sp, f"{kind}_array")(data.astype(float))
    found = GDNPClassifierCV(alphas=ALPHAS, cv=3, tol=1e-6 if kind == "float32" else 1e-8).fit(data, y)
    np.testing.assert_allclose(found.scores_, expected.scores_, atol=1e-4)
    assert found.coef_.dtype == (np.float32 if kind == "float32" else np.float64)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-2)
    assert found.predict(data).shape == (300,)


def test_several_classes_and_labels_of_any_kind():
    X, y = load_iris(return_X_y=True)
    model = GDNPClassifierCV(alphas=ALPHAS, cv=3).fit(X, np.array(["b", "a", "c"])[y])
    assert set(model.predict(X)) == {"a", "b", "c"}
    assert model.coefs_paths_.shape == (3, 3, 3, 5)
    search = GridSearchCV(GDNPClassifier(), {"alpha": ALPHAS}, scoring="neg_log_loss", cv=3)
    search.fit(X, np.array(["b", "a", "c"])[y])
    assert model.best_score_ == pytest.approx(search.best_score_, abs=1e-5)


def test_without_a_refit_the_best_of_the_folds_are_averaged(cancer, model):
    averaged = GDNPClassifierCV(alphas=ALPHAS, refit=False).fit(*cancer)
    best = averaged.scores_.argmax(axis=1)
    assert averaged.alpha_ == pytest.approx(ALPHAS[best].mean())
    assert averaged.best_score_ == pytest.approx(averaged.scores_.max(axis=1).mean())
    mean = averaged.coefs_paths_[np.arange(5), best].mean(axis=0)
    np.testing.assert_allclose(np.append(averaged.coef_, averaged.intercept_), mean[0], rtol=1e-14)
    assert not hasattr(averaged, "certificate_")
    again = clone(averaged).set_params(refit=True).fit(*cancer)
    assert again.certificate_.proved
    again.set_params(refit=False).fit(*cancer)
    assert {name for name in vars(again) if name.endswith("_")} == {
        name for name in vars(averaged) if name.endswith("_")
    }


def test_nothing_is_left_of_another_way_of_choosing(rng):
    X, y = draw(rng, 40, 3, loss=gdnp.losses.get_loss("squared_error"))
    model = GDNPRegressorCV(alphas=ALPHAS, cv=3).fit(X, y)
    model.set_params(cv=None).fit(X, y)
    assert not hasattr(model, "certificates_")
    assert model.n_iter_ == model.certificate_.proved == 1


def test_of_ridges_that_tie_the_largest_is_chosen(rng):
    X, y = rng.standard_normal((40, 2)), np.repeat([0.0, 1.0], 20)
    model = GDNPClassifierCV(alphas=ALPHAS, scoring=lambda model, X, y: 0.0).fit(X, y)
    assert model.alpha_ == 1.0


def test_groups_stay_together(rng):
    X, y = draw(rng)
    groups = np.arange(300) // 10
    splits = list(GroupKFold(3).split(X, y, groups))
    model = GDNPClassifierCV(alphas=ALPHAS, cv=GroupKFold(3)).fit(X, y, groups=groups)
    again = GDNPClassifierCV(alphas=ALPHAS, cv=splits).fit(X, y)
    np.testing.assert_array_equal(model.scores_, again.scores_)
    masks = [(np.isin(np.arange(300), train), np.isin(np.arange(300), test)) for train, test in splits]
    np.testing.assert_array_equal(GDNPClassifierCV(alphas=ALPHAS, cv=masks).fit(X, y).scores_, model.scores_)


def test_folds_may_overlap_and_leave_rows_unused(rng):
    X, y = draw(rng, loss=gdnp.losses.get_loss("squared_error"))
    cv = ShuffleSplit(4, train_size=0.3, test_size=0.3, random_state=0)
    model = GDNPRegressorCV(alphas=ALPHAS, cv=cv).fit(X, y)
    expected = cross_val_score(GDNPRegressor(alpha=1.0), X, y, cv=cv, scoring="neg_mean_squared_error")
    np.testing.assert_allclose(model.scores_[:, 1], expected, rtol=1e-6)


def test_a_fold_whose_rows_count_for_nothing_is_told(rng):
    X, y, weight = rng.standard_normal((60, 2)), np.arange(60) % 2, np.ones(60)
    y[40:], weight[40:] = 2, 0.0
    folds = PredefinedSplit(np.r_[np.arange(40) % 3 // 2, np.full(20, 2)])
    with pytest.raises(ValueError, match=r"rows of classes with weight\. Got a fold without"):
        GDNPClassifierCV(alphas=[0.1], cv=folds).fit(X, y, sample_weight=weight)


def test_weights_are_in_the_fits_and_in_the_scores(rng):
    X, y = draw(rng, 90)
    count = rng.integers(1, 4, 90)
    fold = rng.integers(0, 3, 90)

    def splits(fold):
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]

    weighted = GDNPClassifierCV(alphas=ALPHAS, cv=splits(fold)).fit(X, y, sample_weight=2.0 * count)
    rows = np.repeat(np.arange(90), count)
    repeated = GDNPClassifierCV(alphas=ALPHAS, cv=splits(fold[rows])).fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, atol=1e-5)
    balanced = GDNPClassifierCV(alphas=ALPHAS, cv=3, class_weight="balanced").fit(X, y)
    factor = np.where(y > 0.0, 1.0 / (y > 0.0).mean(), 1.0 / (y < 0.0).mean())
    by_hand = GDNPClassifierCV(alphas=ALPHAS, cv=3).fit(X, y, sample_weight=factor)
    np.testing.assert_allclose(balanced.coef_, by_hand.coef_, rtol=1e-6)


def test_robust_losses_have_one_delta_for_all_ridges(rng):
    X, y = draw(rng, loss=gdnp.losses.get_loss("huber"))
    model = GDNPRegressorCV("huber", delta="auto", alphas=ALPHAS).fit(X, 100.0 * y)
    expected = GDNPRegressor("huber", delta="auto", alpha=1e-4).fit(X, 100.0 * y)
    assert model.delta_ == pytest.approx(expected.delta_)
    again = GDNPRegressor("huber", delta=model.delta_, alpha=model.alpha_).fit(X, 100.0 * y)
    np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-4)
    assert model.scores_.shape == (5, 3)


def test_other_solvers_and_pipelines(rng):
    X, y = draw(rng, 100, 3)
    model = GDNPClassifierCV(alphas=[1.0, 0.1], cv=3, solver="gdnp_metric", tol=1e-6).fit(X, y)
    expected = GDNPClassifierCV(alphas=[1.0, 0.1], cv=3).fit(X, y)
    np.testing.assert_allclose(model.scores_, expected.scores_, atol=1e-4)
    chain = make_pipeline(StandardScaler(), GDNPClassifierCV(alphas=3, cv=3)).fit(X, y)
    assert chain.score(X, y) > 0.5


def test_without_any_ridge_columns_that_others_make_up_are_left_out_fold_by_fold(rng):
    X, y = draw(rng, 60, 3, loss=gdnp.losses.get_loss("squared_error"))
    X = np.column_stack((X, X[:, 0], np.arange(60) == 0))  # the last is constant where its row is held out
    model = GDNPRegressorCV(alphas=[0.0], cv=KFold(3)).fit(X, y)
    expected = cross_val_score(GDNPRegressor(alpha=0.0), X, y, cv=KFold(3), scoring="neg_mean_squared_error")
    np.testing.assert_allclose(model.scores_[:, 0], expected, rtol=1e-6)
    assert model.alpha_ == 0.0


# Paths


def test_a_path_has_the_fits_of_each_ridge(cancer):
    X, y = cancer
    found = gdnp.path(X, y, ALPHAS, sample_weight=np.ones(len(y)))
    for k, alpha in enumerate(ALPHAS):
        alone = GDNPClassifier(alpha=alpha, tol=1e-12).fit(X, y)
        assert found.certificates[k, 0].objective == pytest.approx(alone.certificate_.objective, rel=3e-8)
        z = X @ found.coefs[k] + found.intercepts[k]
        np.testing.assert_allclose(z, alone.decision_function(X), atol=2e-2)
    assert gdnp.path(X, y, 4).alphas.shape == (4,)


def test_a_path_of_several_targets_or_classes(rng):
    X = rng.standard_normal((50, 3))
    found = gdnp.path(X, X[:, :2], ALPHAS, loss="squared_error", fit_intercept=False)
    assert (found.coefs.shape, found.intercepts.shape) == ((3, 2, 3), (3, 2))
    assert len(found.certificates) == 3
    np.testing.assert_allclose(
        found.coefs[0], GDNPRegressor(alpha=1e-4, fit_intercept=False).fit(X, X[:, :2]).coef_
    )
    assert gdnp.path(*load_iris(return_X_y=True), ALPHAS).coefs.shape == (3, 3, 4)


# Bad input


@pytest.mark.parametrize("alphas", [[], [-1.0, 1.0], [np.nan], "many"])
def test_bad_ridges(cancer, alphas):
    for call in (GDNPClassifierCV(alphas=alphas).fit, lambda X, y: gdnp.path(X, y, alphas)):
        with pytest.raises(ValueError, match=r"^alphas must be"):
            call(*cancer)


def test_a_class_of_one_row_is_named():
    X, y = load_iris(return_X_y=True)
    y = np.where(np.arange(150) == 149, 3, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn's: fewer rows than folds
        with pytest.raises(ValueError, match=r"rows of every class. Got fold \d without class 3; drop"):
            GDNPClassifierCV().fit(X, y)


def test_folds_that_leave_a_class_out(rng):
    X, y = draw(rng, 40)
    y = np.sort(y)
    with pytest.raises(
        ValueError, match=r"^cv must train on rows of every class. Got fold 1 without class 1"
    ):
        GDNPClassifierCV(cv=KFold(2)).fit(X, y)
    with pytest.raises(ValueError, match=r"^cv must train on rows of every class"):
        GDNPClassifierCV(cv=StratifiedKFold(2)).fit(X, y, sample_weight=(y > 0.0) + (np.arange(40) == 0))


def test_more_classes_than_a_fold_holds(rng):
    """Each class has two rows, so that a fold of ten rows lacks most of twenty classes."""
    y = np.tile(np.arange(20), 3)
    X = rng.standard_normal((60, 2)) + y[:, None]
    model = GDNPClassifierCV(alphas=[1.0, 0.1], cv=KFold(6)).fit(X, y)
    assert np.isfinite(model.scores_).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cv": []}, "at least one fold|Cannot|n_splits"),
        ({"cv": [(np.arange(100), np.arange(0))]}, "cv must hold rows out. Got none in fold 0"),
        ({"cv": [(np.arange(0), np.arange(100))]}, "positive weight. Got none in fold 0"),
        ({"cv": 1}, "k-fold|n_splits"),
        ({"refit": "yes"}, "refit must be True or False"),
        ({"scoring": lambda model, X, y: 1 / 0}, r"failed for fold 0 with alpha=\S+: division by zero"),
        ({"alpha": 1.0}, None),
    ],
)
def test_bad_parameters(rng, changes, message):
    X, y = draw(rng, 100)
    if message is None:
        with pytest.raises(TypeError, match="alpha"):
            GDNPClassifierCV(**changes)
        return
    with pytest.raises(ValueError, match=message):
        GDNPClassifierCV(**{"alphas": ALPHAS, "cv": 3, **changes}).fit(X, y)


def test_nan_is_named_by_its_column(rng):
    pd = pytest.importorskip("pandas")
    X, y = draw(rng)
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"Got NaN or infinity in 1 column\(s\), the first being \['c'\]"):
        GDNPClassifierCV().fit(pd.DataFrame(X, columns=list("abcdefgh")), y)


def test_fits_that_fail_are_counted_and_say_why(rng):
    """Without a ridge separable training sets have no minimiser: their certificates say so."""
    X, y = draw(rng, 60, 2)
    y = np.where(X[:, 0] > 0.0, 1, 0)
    with pytest.warns(ConvergenceWarning) as caught:
        model = GDNPClassifierCV(alphas=[1.0, 0.0], cv=3).fit(X, y)
    assert any("not met for 3 of 6 fits of training sets" in str(one.message) for one in caught)
    assert all(one.filename == __file__ for one in caught)
    assert {one.separation for one in model.certificates_[:, 1].flat} == {"complete"}
    with pytest.warns(ConvergenceWarning, match=r"tol=1e-08 was not met"):
        GDNPRegressorCV("huber", alphas=[1e-4], max_iter=1, cv=2).fit(
            *draw(rng, loss=gdnp.losses.get_loss("huber"))
        )


def test_a_failed_fit_changes_nothing(cancer, model):
    before = dict(vars(model))
    bad = cancer[0].copy()
    bad[0, 0] = np.inf
    with pytest.raises(ValueError, match="X must be finite"):
        model.fit(bad, cancer[1])
    assert vars(model) == before


def test_verbose_prints_a_line_a_fit(rng, capsys):
    X, y = draw(rng, 60)
    GDNPClassifierCV(alphas=[1.0, 0.1], cv=2, verbose=1).fit(X, y)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("gdnp  fit 1/6  alpha 1  gap ")


@pytest.mark.parametrize("cv", [None, 3])
@pytest.mark.parametrize("kind", [GDNPClassifierCV, GDNPRegressorCV])
def test_groups_need_folds_that_keep_them_together(rng, kind, cv):
    X, groups = rng.standard_normal((60, 3)), np.arange(60) // 6
    y = (X[:, 0] > 0.0).astype(int)
    with pytest.raises(ValueError, match="groups need a cv that keeps them together"):
        kind(alphas=3, cv=cv).fit(X, y, groups=groups)
    assert kind(alphas=3, cv=GroupKFold(3)).fit(X, y, groups=groups).alpha_ > 0.0
