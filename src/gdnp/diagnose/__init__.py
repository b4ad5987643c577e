"""An audit of a data set: ``audit`` measures, ``records`` hold what was found, ``words`` say it."""

from gdnp.diagnose.audit import diagnose
from gdnp.diagnose.records import Diagnosis, Fit, Gaussianity, Spectrum
from gdnp.diagnose.separability import Separability
from gdnp.diagnose.words import sections

__all__ = ["Diagnosis", "Fit", "Gaussianity", "Separability", "Spectrum", "diagnose", "sections"]
