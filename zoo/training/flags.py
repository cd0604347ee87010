"""The flags of train.py: what they mean, errors in one line, and what a run remembers.

Imports no backend, so that `--help` and mistakes are answered at once.
"""

import math
import pathlib
import sys

from absl import flags

from zoo.errors import fail

FLAGS = flags.FLAGS

# ---- run ----
flags.DEFINE_string(
    "run_dir",
    None,
    "Folder of the run. Default: runs/MODEL_NORM_DATASET_seedN_DATE, so that no run "
    "overwrites another.",
)
flags.DEFINE_bool(
    "resume",
    False,
    "Continue the run in --run_dir with its own flags from its last checkpoint; start "
    "it if there is none. Default off: a folder that holds a run is refused.",
)
flags.DEFINE_bool(
    "allow_changes",
    False,
    "With --resume: accept flags, or a backend, that change the run's result. Default "
    "off: such a result cannot be repeated from its flags.",
)
flags.DEFINE_string(
    "evaluate",
    None,
    "A model.keras, or the name of a preset, to evaluate on the test images instead of "
    "training. The flags of its data set come from the flags.txt beside it or the "
    "preset's card, unless given. Default none: train.",
)
flags.DEFINE_float(
    "checkpoint_minutes",
    10.0,
    "Minutes between checkpoints within an epoch; one is also written after each "
    "epoch. Default 10: what a killed machine may lose.",
    lower_bound=0.0,
)
flags.DEFINE_integer(
    "seed",
    0,
    "Seed of weights, order, augmentation and random labels. Default 0: runs repeat.",
    lower_bound=0,
    upper_bound=2**31 - 1,
)

# ---- data ----
flags.DEFINE_string(
    "dataset",
    "cifar10_sample",
    "cifar10_sample (in the repository), cifar10, mnist, fashion_mnist or any image "
    "classification set of tensorflow-datasets; folder: images, one folder a class; "
    "tfrecord: files of labelled images. What does not fit into memory is streamed. "
    "Default the sample: it needs no network.",
)
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the data: official CIFAR-10 batches, prepared tensorflow-datasets, "
    "images, or TFRecord files. Default: ~/tensorflow_datasets, where "
    "tensorflow-datasets keeps them.",
)
flags.DEFINE_integer(
    "train_examples",
    0,
    "Training images to use, the first of each class; 0 (default) is all, as published "
    "results use.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "validation_examples",
    0,
    "Images to take off the training set, the last of each class; each epoch is then "
    "measured on them, the best epoch is chosen by them, and the test images are "
    "touched once, at the end. Default 0: all images train and the last epoch counts.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "image_size",
    0,
    "Side in pixels to which images are scaled and cropped (folder, tfrecord, "
    "tensorflow-datasets). Default 0: as they are, and all must have one size.",
    lower_bound=0,
    upper_bound=4096,
)
flags.DEFINE_bool(
    "grayscale",
    False,
    "Train on one channel (luma). Default off; the authors' random-label runs use it.",
)
flags.DEFINE_bool(
    "random_labels",
    False,
    "Replace the training labels by uniform random ones, drawn once from --seed and "
    "kept in the run's folder: measures what a model can memorize. Default off.",
)
flags.DEFINE_enum(
    "augment",
    None,
    [
        *("none", "crop", "crop_flip", "rand", "mixup", "cutmix"),
        *("cv_rand", "cv_mixup", "cv_cutmix"),
    ],
    "crop: pad by 4 pixels and crop; crop_flip: and flip left-right; rand, mixup, "
    "cutmix: and those of Keras; cv_rand, cv_mixup, cv_cutmix: and those of keras-cv "
    "(an extra). Default crop_flip; crop for mnist, "
    "where a flip changes the digit; none for random labels, as the authors train.",
)

# ---- model ----
flags.DEFINE_string(
    "model",
    "vit",
    "vit, vit_ti, vit_s, vit_b, resnet_na or ln_net. Default vit: a small one (depth "
    "6, width 64) that learns within minutes on two cores.",
)
flags.DEFINE_string(
    "norm",
    "lng",
    "bn, ln, ln_position, gn, in, rms, lng, lng_position or none. Default lng, what "
    "this project is about.",
)
flags.DEFINE_integer(
    "groups",
    None,
    "Groups of each normalization. Default: from --group_size (gn: 4 groups).",
    lower_bound=1,
)
flags.DEFINE_integer(
    "group_size",
    None,
    "Channels of a group. Default 8, the follow-up paper's advice; theory says that 4 "
    "amplifies the nonlinearity most.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "depth",
    None,
    "Blocks (vit), layers (resnet_na: 6n + 2, or 18, 34, 50) or hidden layers "
    "(ln_net). Default by model: 6, 20, 4.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "width",
    None,
    "Channels of a token (vit), of the first stage (resnet_na) or neurons of a layer "
    "(ln_net). Default by model: 64, 16 (64 for depths 18, 34, 50), 100.",
    lower_bound=1,
)
flags.DEFINE_integer("heads", None, "Attention heads of vit. Default 4.", lower_bound=1)
flags.DEFINE_integer(
    "patch_size",
    None,
    "Side of vit's patches in pixels. Default 4 up to 64 x 64 images, 16 above, as the "
    "ViT paper.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "pool",
    None,
    ["mean", "token"],
    "What vit classifies from: the mean of its tokens or a class token. Default mean.",
)
flags.DEFINE_string(
    "activation",
    None,
    "Activation of resnet_na, such as relu. Default none: nothing but the "
    "normalization is nonlinear, the paper's ResNet-NA.",
)
flags.DEFINE_float(
    "dropout",
    None,
    "Fraction in [0, 1) of vit's activations dropped in training. Default 0.",
    lower_bound=0.0,
    upper_bound=0.99,
)
flags.DEFINE_float(
    "stochastic_depth",
    None,
    "Fraction in [0, 1) of examples that skip vit's last block in training, growing "
    "from 0 at the first. Default 0.",
    lower_bound=0.0,
    upper_bound=0.99,
)

flags.DEFINE_string(
    "init",
    None,
    "A model.keras, or the name of a preset, whose weights to start from where layer, "
    "name and shape agree. Default none: from random weights.",
)

flags.DEFINE_string(
    "teacher",
    None,
    "A model.keras, or the name of a preset, from whose outputs the model learns as "
    "well as from the labels (distillation). Default none.",
)
flags.DEFINE_float(
    "teacher_weight",
    0.5,
    "Fraction in [0, 1] of the loss that is the distance to --teacher. Default 0.5: as "
    "much as the labels.",
    lower_bound=0.0,
    upper_bound=1.0,
)
flags.DEFINE_float(
    "temperature",
    3.0,
    "Softens the outputs that are compared with --teacher's; no unit. Default 3: shows "
    "the teacher's second choices.",
    lower_bound=0.01,
)
flags.DEFINE_list(
    "export",
    [],
    "Formats to write beside model.keras, comma separated: onnx, litert, saved_model, "
    "openvino. Default none: each needs a package of its own.",
)
flags.DEFINE_list(
    "search_group_size",
    [],
    "Instead of training, compare these group sizes, such as 4,8,16, with KerasTuner, "
    "on --validation_examples or a tenth of the training images, never on the test "
    "images; the same command with the same --run_dir continues. Default none.",
)

# ---- optimization: None is the model's recipe, zoo/models/recipes.py ----
flags.DEFINE_integer(
    "epochs",
    None,
    "Passes over the training images. Default by model: what fits into minutes on the "
    "sample.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "batch_size",
    None,
    "Images a step, of all devices together. Default 64: small data sets gain from "
    "many steps.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "optimizer",
    None,
    ["adamw", "sgd"],
    "Default: adamw for vit, sgd (Nesterov momentum 0.9) for the others, as published.",
)
flags.DEFINE_float(
    "learning_rate",
    None,
    "Highest learning rate, per step of --batch_size images. Default by model: 0.001 "
    "(vit), 0.1 (resnet_na), 0.05 (ln_net).",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "warmup_epochs",
    None,
    "Epochs of linear rise before the cosine to 0. Default by model: 3 (vit), 1.",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "weight_decay",
    None,
    "Fraction of each kernel removed a step at learning rate 1 (decoupled); gamma, "
    "beta, bias and positions are left alone. Default by model: 0.05 (vit), 0.005 "
    "(resnet_na: 0.0005 of the papers' coupled decay over 1 - momentum), 0 (ln_net).",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "label_smoothing",
    None,
    "Fraction in [0, 1) of a label spread over all classes. Default by model: 0.1 "
    "(vit), 0.",
    lower_bound=0.0,
    upper_bound=0.99,
)
flags.DEFINE_float(
    "clip_norm",
    None,
    "Largest norm of the whole gradient; 0 is no limit. Default 1: lets the first "
    "steps survive a high learning rate.",
    lower_bound=0.0,
)
flags.DEFINE_float(
    "ema",
    0.0,
    "Momentum in [0, 1) of a moving average of the weights, which is then what is "
    "evaluated and saved. Default 0, none: short runs gain nothing.",
    lower_bound=0.0,
    upper_bound=0.999999,
)

# ---- speed ----
flags.DEFINE_enum(
    "mixed_precision",
    "none",
    ["none", "bfloat16", "float16"],
    "Type of activations; weights stay float32. Default none: CPUs gain nothing. Use "
    "bfloat16 on TPUs and new GPUs, float16 (with loss scaling) on older GPUs.",
)
flags.DEFINE_bool(
    "jit_compile",
    None,
    "Compile the step with XLA. Default on for TensorFlow and JAX, but off for "
    "resnet_na on TensorFlow's CPU, whose own convolutions are faster; off for torch, "
    "where it is torch.compile, which takes minutes to start.",
)
flags.DEFINE_enum(
    "data_on_device",
    "auto",
    ["auto", "true", "false"],
    "Keep the training images on the device, as uint8, and crop, flip and scale them "
    "within the compiled step: the same batches, bit for bit, and next to no work for "
    "the host. For JAX and TensorFlow; images of at most 1 GiB; augment none, crop or "
    "crop_flip. Default auto: where it can be, but not on a CPU, which makes the next "
    "batches beside the step.",
)
flags.DEFINE_integer(
    "steps_per_execution",
    None,
    "Steps a call of the compiled function; more save host time on accelerators. "
    "Default 1, the only value on torch; 16 on accelerators with the data on the "
    "device.",
    lower_bound=1,
)

flags.DEFINE_enum(
    "distribute",
    "none",
    ["none", "data", "multi_worker", "tpu"],
    "data: share each batch between all devices of this machine (JAX: GPUs or TPU "
    "cores; TensorFlow: GPUs); multi_worker: between the processes that TF_CONFIG or "
    "KERAS_DISTRIBUTION_* name, see docs/scaling.md; tpu: the cores of a TPU. torch: "
    "refused. Default none: one device.",
)
flags.DEFINE_bool(
    "tpu", False, "Short for --distribute=tpu. Default off: CPUs and GPUs need no word."
)

# Flags that say where and how, not what; the rest of them makes a run's result.
_NOT_RESULT = frozenset(
    (
        *("run_dir", "resume", "allow_changes", "evaluate", "checkpoint_minutes"),
        *("data_dir", "steps_per_execution", "export"),
    )
)
_NOT_KEPT = frozenset(
    ("run_dir", "resume", "allow_changes", "evaluate", "search_group_size", "tpu")
)
DATA_FLAGS = ("dataset", "data_dir", "image_size", "grayscale")


def parse(argv):
    """Reads the command line. Ends the program for --help and for mistakes.

    A mistake is one line on stderr and exit status 2.
    """
    if {"--help", "-h", "-help", "--helpfull"} & set(argv[1:]):
        print(sys.modules["__main__"].__doc__)
        print(FLAGS.module_help(sys.modules[__name__]))
        sys.exit(0)
    try:
        rest = FLAGS(argv)
    except (flags.Error, OSError, UnicodeDecodeError) as error:
        fail(str(error))
    for name in names():
        if isinstance(FLAGS[name].value, float) and not math.isfinite(
            FLAGS[name].value
        ):
            fail(f"--{name}={FLAGS[name].value} is not finite; give a number")
    if len(rest) > 1:
        fail(f"unexpected argument {rest[1]!r}; flags are written --name=value")
    if FLAGS.tpu:
        if FLAGS["distribute"].present and FLAGS.distribute != "tpu":
            fail(f"--tpu and --distribute={FLAGS.distribute} differ; give one of them")
        FLAGS["distribute"].parse("tpu")
    return rest


def names():
    """Returns the names of this file's flags, in their order above."""
    return [flag.name for flag in FLAGS.get_flags_for_module(sys.modules[__name__])]


def settings():
    """Returns all flags of this file as a dict."""
    return {name: FLAGS[name].value for name in names()}


def write(values):
    """Returns settings as the text of a flagfile; `None` and the run's place left out.

    Read back they give the same values: Python writes floats so that they round-trip.
    """
    return "".join(
        f"--{name}={','.join(value) if isinstance(value, list) else value}\n"
        for name, value in values.items()
        if value not in (None, []) and name not in _NOT_KEPT
    )


def prefer(**values):
    """Gives flags other defaults; those on the command line stay."""
    for name, value in values.items():
        if not FLAGS[name].present:
            FLAGS[name].value = value


def adopt(path, only=None):
    """Takes the flags of a run's flags.txt that the command line does not give.

    Args:
        path: of the flags.txt.
        only: names, or None for all.
    Returns:
        The flags that the command line gives otherwise than the file, of those that
        change a result: a list of strings such as "--seed=3 (was 0)".
    Raises:
        ValueError: if the file has a line that is no flag of train.py.
    """
    known, differing, stored = set(names()), [], {}
    for line in pathlib.Path(path).read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.removeprefix("--").partition("=")
        if name not in known:
            raise ValueError(f"{path} has the line {line!r}, no flag of train.py")
        stored[name] = text
    for name in only or sorted(known - _NOT_KEPT):
        flag = FLAGS[name]
        old = flag.parser.parse(stored[name]) if name in stored else None
        if not flag.present:
            flag.value = old if name in stored else flag.value
        elif flag.value != old and name not in _NOT_RESULT:
            differing.append(f"--{name}={flag.value} (was {old})")
    return differing
