"""scikit-learn estimators: linear models that converge on raw data, with a certificate."""

from gdnp.estimators.classifier import GDNPClassifier
from gdnp.estimators.cross_validation import AlphaPath, GDNPClassifierCV, GDNPRegressorCV, path
from gdnp.estimators.regressor import GDNPRegressor

__all__ = ["AlphaPath", "GDNPClassifier", "GDNPClassifierCV", "GDNPRegressor", "GDNPRegressorCV", "path"]
