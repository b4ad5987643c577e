"""The objective on rows of data: f(w̃, γ) = Σ s_i φ(t_i)/Σ s_i + α/2 ‖w̃‖² (Eqs. 10 and 16)."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import Choice, DenseDesign, DesignMatrix, RowVector, as_design
from gdnp.design.block import EPS, Affine
from gdnp.losses import Loss, checked_loss
from gdnp.metric import Covariance, OperatorCovariance
from gdnp.moments import Moments, check_finite
from gdnp.problem.coordinates import (
    FAR_FROM_ZERO,
    LARGEST_GRAM,
    Coordinates,
    Shared,
    at_unit_curvature,
    standardise,
)
from gdnp.problem.empirical import Empirical, sum_of
from gdnp.problem.interface import Cost, Point
from gdnp.problem.least_squares import inner
from gdnp.problem.points import DataPoint
from gdnp.problem.rank import independent
from gdnp.validation import checked_flag, checked_number, checked_targets, checked_weights

__all__ = ["LARGEST_GRAM", "Objective", "Shared"]

LONGEST, ROWS_THAT_BEND = 1e6, 0.2
"""Largest |g| of a convex loss. Another's is this many rows a column: see ``Objective.length_cap``."""


FUNCTION = ("alpha", "center", "fit_intercept", "loss")
ROWS = ("_given", "base", "cost", "shared", "sigma", "weight")


def pull(loss: Loss, least: float, t: FloatArray, s: FloatArray | None, out: FloatArray) -> list[Any]:
    """|φ'| of every row plus `least`, weighted where weights are given, written."""
    np.abs(loss.gradient(t), out=out)
    out += least
    if s is not None:
        out *= s
    return []


class Objective(Empirical):
    """Empirical risk with a ridge on a design matrix.

    The argument of the loss is t = -y (xᵀw̃ + γ) for a classification loss (y in {-1, +1}) and
    t = y - xᵀw̃ - γ for a regression loss. Columns are centred implicitly unless `center` is False; γ is a
    variable only with `fit_intercept`. ``squared_error`` is r²/2, so its f is half of Eq. 10.

    Parameters
    ----------
    X : array_like, sparse matrix or DesignMatrix of shape (n, d)
        Features; stored as they are.
    y : array_like of shape (n,)
        Any two labels for a classification loss, of which the greater stands for +1 and the other for -1;
        real numbers for a regression loss.
    loss : str or Loss
        A name in ``gdnp.losses.LOSSES`` or an instance.
    alpha : float
        α >= 0, in the raw coordinates of X.
    fit_intercept : bool
        Whether γ is a variable.
    center : bool
        Whether x stands for x - E[x] (Assumption 1).
    sample_weight : array_like of shape (n,) or None
        Non-negative with a positive sum. Rows of weight 0 with entries beyond 1e31 are left out of arrays.
    n_jobs : int or None
        Threads of a pass; None means all cores.

    Raises
    ------
    ValueError
        For wrong shapes, NaN or infinity, other than two labels, one class alone, bad weights, a bad `alpha`,
        or a loss of your own that ``gdnp.losses.check_loss`` refuses.
    """

    alpha: float
    center: bool
    _is_standard = False
    _standard: Objective | None = None

    def __init__(
        self,
        X: Any,
        y: Any,
        loss: str | Loss = "log_loss",
        *,
        alpha: float = 0.0,
        fit_intercept: bool = False,
        center: bool = True,
        sample_weight: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        loss = checked_loss(loss)
        design = as_design(X, n_jobs)
        y = checked_targets(y, design.n_samples, loss)
        weight = checked_weights(sample_weight, y, loss)
        alpha = checked_number("alpha", alpha)
        options = {
            "fit_intercept": checked_flag("fit_intercept", fit_intercept),
            "center": checked_flag("center", center),
        }
        if weight is not None and not weight.all() and not isinstance(X, DesignMatrix):
            counts, out = np.flatnonzero(weight), np.flatnonzero(weight == 0.0)
            if check_finite(design.gather(Choice(out, len(out)))).max() > EPS**-2:
                design, y, weight = design.gather(Choice(counts, len(counts))), y[counts], weight[counts]
        self._set(design, y, weight, loss=loss, alpha=alpha, cost=Cost(), shared=Shared(), **options)
        _ = self.moments  # finds NaN and infinity

    @classmethod
    def unchecked(
        cls,
        design: DesignMatrix,
        target: FloatArray,
        weight: FloatArray | None,
        loss: Loss,
        alpha: float,
        *,
        fit_intercept: bool,
        shared: Shared | None = None,
    ) -> Objective:
        """An objective of parts that were checked; columns are centred if and only if there is an intercept.

        The target is -1 and +1 in classification, the weight sums to one, and `shared` comes from other
        objectives on the same rows, weights and loss.
        """
        new = cls.__new__(cls)
        options = {"fit_intercept": fit_intercept, "center": fit_intercept}
        parts = {"cost": Cost(), "shared": shared or Shared()}
        new._set(design, target, weight, loss=loss, alpha=alpha, **options, **parts)
        return new

    def _set(
        self, design: DesignMatrix, target: FloatArray, weight: FloatArray | None, **others: Any
    ) -> None:
        """Take the parts."""
        self._given = design
        self.__dict__.update(others)
        self.cost.meter = design.meter
        hold = design.rows.hold
        # t = base + σ η for predictions η: σ = -y in classification; base = y, σ = -1 in regression.
        if self.loss.task == "classification":
            self.sigma, self.base = design.rows.combine((-1.0, hold(target))), None
        else:
            self.sigma, self.base = hold(np.broadcast_to(-1.0, target.shape)), hold(target)
        self.weight = None if weight is None else hold(weight)

    def _with(
        self, design: DesignMatrix, coordinates: Coordinates, *, standard: bool, **changes: Any
    ) -> Objective:
        """The same rows in other coordinates, with other attributes where `changes` name them."""
        parts = {"design": design, "coordinates": coordinates, "_is_standard": standard}
        return self._copied((*FUNCTION, *ROWS), **parts, **changes)

    def _copied(self, names: tuple[str, ...], **parts: Any) -> Objective:
        """An objective with these attributes of this one, and others."""
        new = type(self).__new__(type(self))
        new.__dict__.update({name: getattr(self, name) for name in names} | parts)
        return new

    # Coordinates

    @cached_property
    def _centred(self) -> tuple[DesignMatrix, Moments]:
        """The design to read and its moments, large offsets taken off the entries of X themselves."""
        design, moments = self._given, self._moments_of(self._given)
        far = np.abs(moments.mean) > FAR_FROM_ZERO * np.sqrt(moments.variance)
        if self.center and isinstance(design, DenseDesign) and far.any():
            design = design.shifted(moments.mean / moments.scale)
            moments = self._moments_of(design)
        return design, moments

    def _moments_of(self, design: DesignMatrix) -> Moments:
        return Moments.of(design, self.target, self.weight, second="diagonal")

    @cached_property
    def design(self) -> DesignMatrix:  # type: ignore[override]
        """X as it is read."""
        return self._centred[0]

    @property
    def moments(self) -> Moments:
        """Means and variances of the columns as they are read, and their covariance with the targets."""
        return self._centred[1]

    @cached_property
    def coordinates(self) -> Coordinates:  # type: ignore[override]
        """Those of X itself: centred where asked for, in the units of its columns."""
        d, moments = self.n_features, self.moments
        centre = moments.mean / moments.scale if self.center else np.zeros(d)
        return Coordinates(centre, np.ones(d), np.full(d, self.alpha))

    @property
    def unread(self) -> Objective:
        """The same rows in the units of X and about 0, which takes no look at them."""
        d = self._given.n_features
        plain = Coordinates(np.zeros(d), np.ones(d), np.full(d, self.alpha))
        return self._with(self._given, plain, standard=True, shared=Shared())

    @property
    def standardised(self) -> Objective:
        """The same function in coordinates where every column has unit curvature; one pass the first time."""
        if self._is_standard:
            return self
        if self._standard is None:
            if self.shared.standard is None:
                self.cost.charge(1.0)
                self._given.rows.foresee(partial(sum_of, np.positive), self.target, self.weight)
                # An intercept makes up for what is taken off the columns.
                centred = self.center or self.fit_intercept
                parts = standardise(self._given, self.weight, self.loss, self.alpha, centred)
                self.shared.standard = parts
                if self.alpha == 0.0:
                    self._do_without_combinations(*parts)
            design, coordinates = self.shared.standard
            given = self._given
            if coordinates.combinations is not None:
                kept = coordinates.combinations.kept
                offset, factor = given.offset[kept], given.factor[kept]
                given = design.transformed(offset if offset.any() else None, factor)
            self._standard = self._with(design, coordinates, standard=True, _given=given)
        return self._standard

    def _do_without_combinations(self, design: DesignMatrix, coordinates: Coordinates) -> None:
        """Leave columns that others make up out of the standardised problem: ``raw`` brings them back."""
        shared = self.shared
        found, shared.triangle = independent(self._with(design, coordinates, standard=True))
        if found is not None:
            kept, c = found.kept, coordinates
            variance = None if c.variance is None else c.variance[kept]
            few = Coordinates(c.centre[kept], c.scale[kept], c.ridge[kept], variance, found)
            shared.standard, shared.covariance = (design.columns(kept), few), None
            shared.whole = (design, coordinates)

    @property
    def whole(self) -> Objective | None:
        """The standardised problem with the columns that it does without; None where there are none."""
        parts = self.shared.whole
        return None if parts is None else self._with(*parts, standard=True)

    def on_all_columns(self, coef: FloatArray, intercept: float) -> DataPoint:
        """The point of raw coefficients in standard coordinates, with the columns that others make up."""
        whole = self.whole or self.standardised
        return whole.point(whole.from_raw(coef, intercept))

    def with_loss(self, loss: Loss) -> Objective:
        """The same data, coordinates and ledger under another loss."""
        standard = self._is_standard
        # Coordinates of unit curvature are those of a loss: raw ones share none.
        shared = self.shared if standard else Shared(self.shared.problems)
        return self._with(self.design, self.coordinates, standard=standard, loss=loss, shared=shared)

    def with_alpha(self, alpha: float) -> Objective:
        """The same rows and ledger under another ridge; its standard coordinates take no further pass.

        Those of α = 0, which may do without some columns, and of what follows it are made afresh.
        """
        new, known = copy.copy(self), self.shared.standard
        new.alpha, new.shared, new._standard = alpha, Shared(self.shared.problems), None
        for name in ("coordinates", "has_ridge"):  # the ridge is in them
            new.__dict__.pop(name, None)
        if known is not None and min(alpha, self.alpha) > 0.0:
            design, old = known
            assert old.variance is not None
            unit = np.divide(1.0, old.scale, out=np.zeros_like(old.scale), where=old.scale > 0.0)
            now = at_unit_curvature(old.centre, np.sqrt(old.variance) * unit, design.factor, self.loss, alpha)
            new.shared.standard, S, K = (design, now), self.shared.covariance, self.shared.kernel
            new.shared.covariance = None if S is None else S.rescaled(now.scale * unit)
            if K is not None and (K[0] == old.ridge).all():
                new.shared.kernel = now.ridge, K[1] * (self.alpha / alpha)
        return new

    def restricted(self, choice: Choice, weight: FloatArray | None) -> Objective:
        """The problem of some rows, in memory, with weights of their own; it shares nothing."""
        part = self._given.gather(choice)
        return self._copied(FUNCTION, _given=part, **_held(part, *self._targets_of(choice), weight))

    def _targets_of(self, choice: Choice) -> tuple[FloatArray, FloatArray | None]:
        """σ and what is beside it of some rows."""
        take = self.design.rows.gather
        return take(self.sigma, choice), None if self.base is None else take(self.base, choice)

    def beside(self, other: Objective, share: float) -> Objective:
        """These rows, a `share` of those of `other`, in its standard coordinates and under its ridge."""
        whole, known = other.design, other.coordinates
        assert known.variance is not None
        spread = replace(known, variance=known.variance / share)  # at most, about the centre of all rows
        offset, factor, design = whole.offset, whole.factor, self._given
        if offset.any() or (factor != 1.0).any():
            design = design.transformed(offset, factor)
        return self._with(design, spread, standard=True, alpha=other.alpha, shared=Shared(), cost=Cost())

    def reweighted(self, weight: RowVector) -> Objective:
        """The same rows with other weights, of sum one; its standard coordinates are its own."""
        return self._with(self.design, self.coordinates, standard=False, weight=weight, shared=Shared())

    def on_rows(self, choice: Choice, weight: FloatArray) -> Objective:
        """The same coordinates on some rows, in memory, with weights of their own."""
        return self.without_rows().of(self.design.gather(choice), *self._targets_of(choice), weight)

    def without_rows(self, ridge: float = 0.0) -> Objective:
        """The function alone, with a further ridge, which can be sent to where rows are: see ``of``."""
        c = self.coordinates
        return self._copied(
            FUNCTION, coordinates=Coordinates(c.centre, c.scale, c.ridge + ridge), _is_standard=True
        )

    def of(self, part: DesignMatrix, sigma: Any, base: Any, weight: Any) -> Objective:
        """The same function of rows in memory; it shares nothing."""
        new = copy.copy(self)
        new.__dict__.update(_given=part, design=part, **_held(part, sigma, base, weight))
        return new

    def raw(self, x: FloatArray) -> tuple[FloatArray, float]:
        """(w̃, b) of xᵀw̃ + b for the columns of X as they came; the least w̃ of those that predict the same."""
        found = self.coordinates.combinations
        if found is not None:
            coef = found.spread(x[:-1])
            return coef, inner(x[-1], -found.mean, coef)
        w, known = self.coordinates.scale * x[:-1], self.shared.triangle
        coef = (self.coordinates.scale * self.design.factor) * x[:-1]
        if self._is_standard and known is not None and x is known.x and known.intercept is not None:
            return coef, known.intercept
        return coef, self._shifted(x[-1], w, -1.0)

    def returned(self, x: FloatArray) -> FloatArray:
        """What is left of x once ``raw`` has rounded b, which counts where columns are far from 0."""
        return self.from_raw(*self.raw(x)) if self.design.offset.any() else x

    def from_raw(self, coef: FloatArray, intercept: float) -> FloatArray:
        """The inverse of ``raw``; a column of scale 0 keeps its 0."""
        found = self.coordinates.combinations
        if found is not None:
            b = inner(intercept, found.mean, coef)
            return np.append(found.gathered(coef), b if self.fit_intercept else 0.0)
        scale, factor = self.coordinates.scale, self.design.factor
        unit = scale * factor
        v = np.divide(coef, unit, out=np.zeros(self.n_features), where=unit > 0.0)
        w = scale * v
        b = self._shifted(intercept, w, 1.0)
        return np.append(v, b if self.fit_intercept else 0.0)

    def _shifted(self, b: float, w: FloatArray, sign: float) -> float:
        """b and `sign` times what is taken off the columns, rounded once where they are far from zero."""
        offset = self.design.offset
        if not offset.any():
            return float(b + sign * (self.coordinates.centre @ w))
        shifts = sign * np.concatenate((self.coordinates.centre, offset))
        return inner(b, shifts, np.concatenate((w, w * self.design.factor)))

    def raw_intercept(self, coef: FloatArray, intercept: float) -> float:
        """b of xᵀw̃ + b for raw columns, given γ for the objective's own."""
        return self.raw(np.append(coef, intercept))[1]

    # Eq. 1

    @property
    def target(self) -> RowVector:
        """What columns are correlated with for u: -y in classification, y in regression."""
        return self.sigma if self.base is None else self.base

    @property
    def _unit(self) -> FloatArray:
        """What a raw column is multiplied by in these coordinates, shape (d,)."""
        return self.coordinates.scale * (self.design.factor / self._given.factor)

    @cached_property
    def column_mean(self) -> FloatArray:
        """E[x] of the raw columns, shape (d,)."""
        return self.moments.mean / self.moments.scale + self.design.offset

    @cached_property
    def u(self) -> FloatArray:
        """Eq. 1: u = E[-y x], shape (d,), x and y centred when `center`."""
        moments = self.moments
        U = moments.U[:, 0] if self.center else moments.U[:, 0] + moments.mean * moments.mean_y[0]
        U = U * (self._unit / moments.scale)
        return U if self.loss.task == "classification" else -U

    @cached_property
    def covariance(self) -> Covariance | OperatorCovariance:
        """S = E[x xᵀ] (x centred when `center`): a matrix up to ``LARGEST_GRAM`` columns, else products."""
        if self.n_features > LARGEST_GRAM:
            moments = self.moments.rescaled(self._unit)
            diagonal = moments.S if self.center else moments.second_moment()
            return OperatorCovariance(self._covariance_product, diagonal)
        full = Moments.of(self.design, self.target, self.weight).rescaled(self.coordinates.scale)
        return Covariance(full.S if self.center else full.second_moment())

    def _covariance_product(self, w: FloatArray) -> FloatArray:
        """S w = E[x (xᵀw)] without S, in one pass."""
        self.cost.charge(1.0)
        at = Affine(*self.outward(np.append(w, 0.0)))
        product, rest = self.design.map("product", at, reads=(self.weight,), partial_size=self.n_features)
        return self.share * self.pulled_back(product, rest)[:-1]

    @property
    def gram_passes(self) -> float:
        """What forming S costs, in passes; 0 where it is never formed."""
        return self.design.gram_passes if self.n_features <= LARGEST_GRAM else 0.0

    @property
    def length_cap(self) -> float:
        """Largest |g|: 1e6, or for a non-convex loss what still leaves rows where the loss bends.

        Of n Gaussian predictions with spread g about 0.8 n/g lie within 1 of zero; with fewer than four of
        them for each coordinate the gradient is noise, and soon exactly 0.
        """
        if self.loss.convex:
            return LONGEST
        return max(10.0, ROWS_THAT_BEND * self.n_samples / self.n_features)

    # Points

    @cached_property
    def origin(self) -> DataPoint:
        """The handle of w̃ = 0, γ = 0, which needs no pass."""
        margins = self.every(0.0) if self.base is None else self.base
        return DataPoint(self, np.zeros(self.n_features + 1), margins)

    def at(self, coef: FloatArray, intercept: float = 0.0) -> DataPoint:
        """The handle of (w̃, γ), `coef` of shape (d,); value and gradient come with it, in one pass."""
        coef = np.asarray(coef, dtype=np.float64)
        if coef.shape != (self.n_features,):
            raise ValueError(
                f"coef must have one entry per column of X, {self.n_features}. Got {coef.shape}."
            )
        return self.point(np.append(coef, intercept))

    def point(self, x: FloatArray) -> DataPoint:
        """The handle of x = (v, γ), shape (d + 1,) or (d + 1, K), with value and gradient; one pass."""
        return DataPoint(self, x, *self.evaluated(x))

    def known(self, x: FloatArray, margins: RowVector) -> DataPoint:
        """The handle of x, whose margins are known; half a pass when its gradient is asked for."""
        return DataPoint(self, x, margins)

    @cached_property
    def _mean_target(self) -> float:
        return self.mean(np.positive, self.target)

    @property
    def constant(self) -> DataPoint:
        """The constant prediction that the loss starts from, made anew in O(n): kept it would be a circle."""
        x = np.zeros(self.n_features + 1)
        if self.fit_intercept:
            x[-1] = self.loss.constant(-self._mean_target if self.base is None else self._mean_target)
        terms = [(x[-1], self.sigma)] if self.base is None else [(x[-1], self.sigma), (1.0, self.base)]
        margins = self.design.rows.combine(*terms)
        self.design.rows.foresee(partial(sum_of, self.loss.value), margins, self.weight)
        return DataPoint(self, x, margins)

    def stein_coefficient(self, point: Point) -> float:
        """c₁ of ∇f = c₁ u + c₂ S w̃ under Assumption 2, with averages over the data.

        Stein's lemma gives c₁ = E φ' - (uᵀw̃) E φ'' in classification and, for jointly Gaussian (x, y),
        c₁ = c₂ = E φ'' in regression.
        """
        c2 = point.mean_curvature
        if self.loss.task == "regression":
            return c2
        return point.mean_gradient - float(self.u @ point.coef) * c2

    @cached_property
    def has_ridge(self) -> bool:
        """Whether some live column has a ridge."""
        return bool(np.any(self.coordinates.ridge[self.coordinates.scale > 0.0] > 0.0))


def _held(part: DesignMatrix, sigma: Any, base: Any, weight: Any) -> dict[str, Any]:
    """What a problem on rows in memory has of its own."""
    held = [None if v is None else part.rows.hold(v) for v in (sigma, base, weight)]
    return dict(zip(("sigma", "base", "weight"), held, strict=True)) | {"cost": Cost(), "shared": Shared()}
