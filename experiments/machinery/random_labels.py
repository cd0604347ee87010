"""Random labels, as the authors' code has them: what a network can only memorize.

Uniform labels drawn once, greyscale images, no augmentation; Flatten -> [Dense, norm]
x depth -> Dense without activation; the number is the training accuracy.
"""

# Flags of train.py.
SETTINGS = dict(
    model="ln_net",
    random_labels=True,
    grayscale=True,
    augment="none",
    optimizer="adamw",
    weight_decay=0.0,
    warmup_epochs=1.0,
    clip_norm=1.0,
    batch_size=256,
)
