"""Should you adopt LN-G? An answer on your own model, as one page.

report = lng_keras.report.poc(model, "images/", output="report/")
"""

from lng_keras.adopt.report.api import poc
from lng_keras.adopt.report.result import PocReport

__all__ = ["PocReport", "poc"]
