"""Settings of the data: which images and labels."""

import dataclasses

from zoo.training.settings.field import setting


@dataclasses.dataclass(frozen=True)
class Data:
    """Which images a run trains on, and how they are changed."""

    dataset: str = setting(
        "cifar10_sample",
        "cifar10_sample (in the repository), cifar10, mnist, fashion_mnist or any "
        "image classification set of tensorflow-datasets; folder: images, one folder "
        "a class; tfrecord: files of labelled images. What does not fit into memory "
        "is streamed. Default the sample: it needs no network.",
    )
    data_dir: str | None = setting(
        None,
        "Folder of the data: official CIFAR-10 batches, prepared tensorflow-datasets "
        "(as tfrecord or array_record), images, or TFRecord files. Default: "
        "~/tensorflow_datasets, where tensorflow-datasets keeps them.",
        result=False,
    )
    train_examples: int = setting(
        0,
        "Training images to use, the first of each class; 0 (default) is all, as "
        "published results use.",
        at_least=0,
    )
    validation_examples: int = setting(
        0,
        "Images to take off the training set, the last of each class; each epoch is "
        "then measured on them, the best epoch is chosen by them, and the test images "
        "are touched once, at the end. Default 0: all images train and the last epoch "
        "counts.",
        at_least=0,
    )
    image_size: int = setting(
        0,
        "Side in pixels to which images are scaled and cropped (folder, tfrecord, "
        "tensorflow-datasets). Default 0: as they are, and all must have one size.",
        at_least=0,
        at_most=4096,
    )
    grayscale: bool = setting(
        False,
        "Train on one channel (luma). Default off; the authors' random-label runs use "
        "it.",
    )
    random_labels: bool = setting(
        False,
        "Replace the training labels by uniform random ones, drawn once from --seed "
        "and kept in the run's folder: measures what a model can memorize. Default "
        "off.",
    )
    augment: str | None = setting(
        None,
        "crop: pad by 4 pixels and crop; crop_flip: and flip left-right; rand, mixup, "
        "cutmix: and those of Keras; cv_rand, cv_mixup, cv_cutmix: and those of "
        "keras-cv (an extra). Default crop_flip; crop for mnist, where a flip changes "
        "the digit; none for random labels, as the authors train.",
        choices=(
            *("none", "crop", "crop_flip", "rand", "mixup", "cutmix"),
            *("cv_rand", "cv_mixup", "cv_cutmix"),
        ),
    )
