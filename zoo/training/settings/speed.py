"""Settings of speed: the same training, sooner."""

import dataclasses

from zoo.training.settings.field import setting


@dataclasses.dataclass(frozen=True)
class Speed:
    """How the step is computed, and on what."""

    mixed_precision: str = setting(
        "none",
        "Type of activations; weights stay float32. Default none: CPUs gain nothing. "
        "Use bfloat16 on TPUs and new GPUs, float16 (with loss scaling) on older "
        "GPUs.",
        choices=("none", "bfloat16", "float16"),
    )
    jit_compile: bool | None = setting(
        None,
        "Compile the step with XLA. Default on for TensorFlow and JAX, but off for "
        "resnet_na on TensorFlow's CPU, whose own convolutions are faster; off for "
        "torch, where it is torch.compile, which takes minutes to start.",
    )
    data_on_device: str = setting(
        "auto",
        "Keep the training images on the device, as uint8, and crop, flip and scale "
        "them within the compiled step: the same batches, bit for bit, and next to no "
        "work for the host. For JAX and TensorFlow; images of at most 1 GiB; augment "
        "none, crop or crop_flip. Default auto: where it can be, but not on a CPU, "
        "which makes the next batches beside the step.",
        choices=("auto", "true", "false"),
    )
    steps_per_execution: int | None = setting(
        None,
        "Steps a call of the compiled function; more save host time on accelerators. "
        "Default 1, the only value on torch; 16 on accelerators with the data on the "
        "device.",
        at_least=1,
        result=False,
    )
    distribute: str = setting(
        "none",
        "data: share each batch between all devices of this machine (JAX: GPUs or TPU "
        "cores; TensorFlow: GPUs); multi_worker: between the processes that TF_CONFIG "
        "or KERAS_DISTRIBUTION_* name, see docs/scaling.md; tpu: the cores of a TPU. "
        "torch: refused. Default none: one device.",
        choices=("none", "data", "multi_worker", "tpu"),
    )
