"""Batches as data sets of TensorFlow that end with their last batch.

tf.data tunes its parallelism in a thread that sleeps 10 ms, 20 ms, 40 ms ... up to a
minute, and a data set that is given up may wait for that thread to wake: of 350 epochs
of 20 to 60 s on two cores, 80 ended at 41.0 s or 81.9 s instead (TensorFlow 2.21). Here
is nothing to tune: `zoo.batches` makes batches ahead in threads of its own.
"""

import tensorflow as tf


def untuned(dataset):
    """Returns a `tf.data.Dataset` that has no tuning thread."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def from_batches(batches):
    """Returns the batches of a `zoo.batches.MadeAhead` as a `tf.data.Dataset`."""
    signature = tf.nest.map_structure(
        lambda a: tf.TensorSpec(a.shape, a.dtype), batches.make(0)
    )

    def in_order():
        for i in range(len(batches)):
            yield batches[i]

    dataset = tf.data.Dataset.from_generator(in_order, output_signature=signature)
    count = tf.data.experimental.assert_cardinality(len(batches))
    return untuned(dataset.apply(count).prefetch(1))
