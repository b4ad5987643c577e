"""scikit-learn estimators: linear models that converge on raw data, with a certificate."""

from gdnp.estimators.classifier import GDNPClassifier
from gdnp.estimators.regressor import GDNPRegressor

__all__ = ["GDNPClassifier", "GDNPRegressor"]
