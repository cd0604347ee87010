"""How nonlinear a function is, and how linearly separable classes are."""

from lng_keras.measures.hessian import Estimate as Estimate
from lng_keras.measures.hessian import amplification_bound as amplification_bound
from lng_keras.measures.hessian import hessian_nonlinearity as hessian_nonlinearity
from lng_keras.measures.hessian import (
    hessian_nonlinearity_estimate as hessian_nonlinearity_estimate,
)
from lng_keras.measures.hessian import (
    normalization_nonlinearity as normalization_nonlinearity,
)
from lng_keras.measures.profile import NonlinearityProfile as NonlinearityProfile
from lng_keras.measures.profile import profile_nonlinearity as profile_nonlinearity
from lng_keras.measures.separability import (
    least_squares_accuracy as least_squares_accuracy,
)
from lng_keras.measures.separability import (
    linear_sum_of_squares_ratio as linear_sum_of_squares_ratio,
)
from lng_keras.measures.separability import (
    sum_of_squares_ratio as sum_of_squares_ratio,
)
