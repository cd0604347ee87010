"""python -m experiments.theory [BUDGET] [EXPERIMENT ...]: reproduce.py theory."""

import sys

from experiments import theory

budget, *only = sys.argv[1:] or ["smoke"]
default = (
    f"runs/smoke/theory/{budget}" if budget == "smoke" else f"results/theory/{budget}"
)
print(theory.run(budget, None, only, theory.OUTPUT.get(budget, default)))
