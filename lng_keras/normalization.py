"""The Keras layers: arguments, weights, shapes and config. No arithmetic."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import constraints, initializers, ops, regularizers

from lng_keras import functional
from lng_keras.kernels.spec import Spec


@keras.saving.register_keras_serializable(package="lng_keras")
class GroupLayerNormalization(keras.layers.Layer):
    """Splits the channels into groups and normalizes each group by itself.

    Each group `z` of neighbouring channels is mapped to

        (z - mean(z)) / sqrt(var(z) + epsilon) * gamma + beta

    with the biased variance. `groups=1, axis=-1` is
    `keras.layers.LayerNormalization`; `groups=g` with all axes but the batch is
    `keras.layers.GroupNormalization(g)`. `gamma` and `beta` have one entry per
    channel whatever `axis` is, so weights move to and from both unchanged.

    On a feature map `(batch, height, width, c)` the default `axis=-1` normalizes
    every position by itself, and `axis=(1, 2, 3)` takes statistics over space as
    well, which is what the paper calls LN-G in a convolutional network.

    Args:
        groups: int >= 1, the number of groups; must divide `c`.
        group_size: int >= 1, the channels of a group; must divide `c`. It keeps
            its meaning when widths vary. Give `groups` or `group_size`, not
            both; neither means `group_size=8`. Two channels a group is allowed,
            but then the output is the sign of their difference.
        axis: int or sequence of ints, the axes normalized together. The int
            itself, or the last of the sequence as given, is the channel axis,
            the one that is split: `(1, 2, 3)` is channels last, `(2, 3, 1)`
            channels first.
        epsilon: float > 0, added to the variance, in squared units of the input.
            The default 1e-5 is the authors' (Keras' LayerNormalization: 1e-3).
        center: bool, learn `beta` of shape `(c,)`.
        scale: bool, learn `gamma` of shape `(c,)`.
        subtract_mean: bool. False divides by the root mean square of the group
            without subtracting its mean (the RMS form).
        beta_initializer, gamma_initializer: initializers, "zeros" and "ones".
        beta_regularizer, gamma_regularizer: regularizers or None.
        beta_constraint, gamma_constraint: constraints or None.
        **kwargs: of `keras.layers.Layer`, such as `name` and `dtype`.

    Input: `(batch, ..., c)` of any rank >= 2; every size but `c` may be unknown. One
    layer takes several ranks if `axis` means the same on them: counted from the end,
    or 1.
    Output: the same shape, in the compute dtype. Statistics are computed in
    float32 or wider and hold float32's precision for inputs of any offset.

    Raises:
        ValueError: at construction, if arguments exclude each other or are out
            of range; at build, if the groups do not divide `c`, `c` is unknown,
            `axis` is out of range, repeated or includes the batch, or each group
            is a single number.

    Reference: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024.
    """

    def __init__(
        self,
        groups: int | None = None,
        group_size: int | None = None,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        subtract_mean: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        functional.check_arguments(groups, group_size, axis, epsilon)
        self.groups = groups
        self.group_size = group_size
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.subtract_mean = subtract_mean
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma = None
        self.beta = None
        self.supports_masking = True
        # Inputs reach `call` uncast, so that a float32 input above 65504 does not
        # become inf on its way into statistics that are computed in float32.
        self.autocast = False

    def build(self, input_shape):
        axes = functional.resolve_axes(self.axis, len(input_shape))
        groups = functional.resolve_groups(
            input_shape, axes, self.groups, self.group_size, self.subtract_mean
        )
        self._spec = Spec(groups, axes, self.epsilon, self.subtract_mean)
        channels = input_shape[axes[-1]]
        self.input_spec = self._takes(len(input_shape), channels)
        if self.scale:
            self.gamma = self.add_weight(
                shape=(channels,),
                name="gamma",
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                shape=(channels,),
                name="beta",
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def _takes(self, rank, channels):
        """What `call` takes: inputs of every rank on which `axis` means the same.

        Axes counted from the end do on any rank, and so does the first after the batch,
        where channels come first; `(1, 2, 3)` are space and channels on one rank only.
        """
        axes = self.axis if isinstance(self.axis, (list, tuple)) else (self.axis,)
        if max(axes) < 0 or tuple(axes) == (1,):
            least = 1 - min(axes) if max(axes) < 0 else 2
            return keras.layers.InputSpec(min_ndim=least, axes={axes[-1]: channels})
        return keras.layers.InputSpec(ndim=rank, axes={axes[-1] % rank: channels})

    def call(self, inputs):
        # Not below the compute dtype either: a float16 input under a float32
        # policy is not rounded to float16 on its way out.
        dtype = keras.backend.result_type(inputs.dtype, self.compute_dtype)
        outputs = functional.normalize_checked(
            ops.cast(inputs, dtype),
            self.gamma,
            self.beta,
            self._spec._replace(
                axes=functional.resolve_axes(self.axis, len(inputs.shape))
            ),
        )
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        axes = functional.resolve_axes(self.axis, len(input_shape))
        functional.resolve_groups(
            input_shape, axes, self.groups, self.group_size, self.subtract_mean
        )
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "groups": self.groups,
            "group_size": self.group_size,
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "subtract_mean": self.subtract_mean,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


@keras.saving.register_keras_serializable(package="lng_keras")
class PositionalGroupLayerNormalization(GroupLayerNormalization):
    """Normalizes each group of channels at each position of a feature map.

    This is LN-G-Position of the paper: `GroupLayerNormalization` over the channel
    axis alone, with that axis named by `data_format` as convolutions name it.

    Args:
        groups, group_size: as in `GroupLayerNormalization`.
        data_format: "channels_last" for `(batch, *space, c)`, "channels_first"
            for `(batch, c, *space)`, or None for `keras.config.image_data_format()`.
        epsilon, **kwargs: as in `GroupLayerNormalization`.

    Input and output: a feature map of any number of spatial axes.

    Raises:
        ValueError: as `GroupLayerNormalization`, or for an unknown `data_format`.

    Reference: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024.
    """

    def __init__(
        self,
        groups: int | None = None,
        group_size: int | None = None,
        data_format: str | None = None,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ):
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                '`data_format` must be "channels_last", "channels_first" or None. '
                f"Received: data_format={data_format!r}"
            )
        if "axis" in kwargs:
            raise ValueError(
                "`data_format` names the channel axis here; use "
                f"GroupLayerNormalization for `axis`. Received: axis={kwargs['axis']}"
            )
        # Resolved here, as Keras' convolutions do: a saved layer must not change its
        # axis because the machine that loads it has another default.
        data_format = data_format or keras.config.image_data_format()
        super().__init__(
            groups=groups,
            group_size=group_size,
            axis=1 if data_format == "channels_first" else -1,
            epsilon=epsilon,
            **kwargs,
        )
        self.data_format = data_format

    def get_config(self):
        config = super().get_config()
        del config["axis"]
        return {**config, "data_format": self.data_format}
