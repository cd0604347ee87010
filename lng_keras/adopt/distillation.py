"""A student with LN-G learns from the model one has, on keras.distillation."""

import keras

from lng_keras._base.errors import UsageError
from lng_keras.adopt.activation import output_activation


def distiller(
    student: keras.Model,
    teacher: keras.Model,
    temperature: float = 3.0,
    weight: float = 0.5,
) -> keras.distillation.Distiller:
    """Joins a student and a teacher classifier into a model that trains the student.

    The loss is `(1 - weight)` times the student's own loss on the labels plus `weight`
    times the divergence between both models' outputs, softened by `temperature`
    (Hinton et al., Distilling the Knowledge in a Neural Network, 2015,
    arXiv:1503.02531). Both models must give logits. The teacher is not trained.

    Args:
        student, teacher: built `keras.Model`s with the same inputs and classes.
        temperature: float > 0.
        weight: fraction in [0, 1] of the teacher's part.

    Returns:
        `keras.distillation.Distiller`; compile and fit it like the student, whose
        weights it trains.

    Raises:
        UsageError: if the two do not fit, or one gives probabilities.
    """
    if not 0 <= weight <= 1 or not temperature > 0:
        raise UsageError(
            "`weight` must be in [0, 1] and `temperature` > 0. "
            f"Received: weight={weight}, temperature={temperature}"
        )
    for attribute in ("input_shape", "output_shape"):
        ours, theirs = getattr(student, attribute), getattr(teacher, attribute)
        if ours != theirs:
            raise UsageError(
                f"Student and teacher must have the same {attribute}. Received: "
                f"{ours} and {theirs}."
            )
    for role, model in (("student", student), ("teacher", teacher)):
        activation = output_activation(model)
        if activation in ("softmax", "sigmoid"):
            raise UsageError(
                f"The {role} {model.name!r} ends in {activation}; distillation needs "
                "its logits."
            )
    return keras.distillation.Distiller(
        teacher,
        student,
        # As an object: the name "kl_divergence", the default, becomes a function in
        # Keras 3.15, which is then applied to logits as if they were probabilities.
        keras.distillation.LogitsDistillation(
            temperature=temperature, loss=keras.losses.KLDivergence()
        ),
        student_loss_weight=1.0 - weight,
    )
