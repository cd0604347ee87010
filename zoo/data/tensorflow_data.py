"""Batches as data sets of TensorFlow that end with their last batch.

tf.data tunes its parallelism in a thread that sleeps 10 ms, 20 ms, 40 ms ... up to a
minute, and a data set that is given up may wait for that thread to wake. In the records
of results/resnet_na, vit and swap 194 of 636 epochs end within 60 ms of such a moment
(20.47, 40.95, 81.91, 141.91 s; TensorFlow 2.21, two cores), of 43 without the thread
none. Here is nothing to tune: `batches.py` makes batches ahead in threads of its own.
"""

import tensorflow as tf


def untuned(dataset):
    """Returns a `tf.data.Dataset` that has no tuning thread."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def from_batches(batches):
    """Returns the batches of a `zoo.data.batches.MadeAhead` as a `tf.data.Dataset`."""
    signature = tf.nest.map_structure(
        lambda a: tf.TensorSpec(a.shape, a.dtype), batches.make(0)
    )

    def in_order():
        for i in range(len(batches)):
            yield batches[i]

    dataset = tf.data.Dataset.from_generator(in_order, output_signature=signature)
    count = tf.data.experimental.assert_cardinality(len(batches))
    return untuned(dataset.apply(count).prefetch(1))
