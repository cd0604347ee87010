"""Norms that XLA compiles by themselves, in graphs that run without it."""

import keras
import numpy as np
import pytest

import lng_keras
from lng_keras import kernels
from lng_keras.kernels.tensorflow import cluster
from tests.lng_keras.gradients import value_and_vjp

pytestmark = pytest.mark.only("tensorflow", reason="clusters are TensorFlow's")

AXES = [-1, (1, 2, 3)]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """Small norms compile as well; yields what was, as the shapes that XLA saw."""
    monkeypatch.setattr(cluster, "SMALLEST", 1)
    monkeypatch.setattr(cluster, "_compiled", set())
    monkeypatch.setattr(cluster, "_calls", type(cluster._calls)())
    cluster._cluster.cache_clear()
    seen, run = [], cluster._cluster.__wrapped__

    def watched(fn, spec, *more):
        inner = run(fn, spec, *more)

        def call(*tensors):
            seen.append((fn.__name__, tuple(tensors[0].shape)))
            return inner(*tensors)

        return call

    monkeypatch.setattr(cluster, "_cluster", watched)
    return seen


def model(axis, dtype=None):
    x = keras.Input((4, 4, 8))
    y = lng_keras.GroupLayerNormalization(group_size=4, axis=axis, dtype=dtype)(x)
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Dense(4)(y * y))
    return keras.Model(x, keras.layers.Dense(1)(y))


def draw(n=22):
    rng = np.random.default_rng(0)
    return (rng.normal(size=s).astype("float32") for s in ((n, 4, 4, 8), (n, 1)))


def clusters(graph):
    """Names of the functions of a graph that XLA compiles."""
    definition = graph.as_graph_def()
    return [
        f.signature.name
        for f in definition.library.function
        if f.attr["_XlaMustCompile"].b
    ]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("dtype", [None, "mixed_bfloat16"])
def test_fit_evaluate_and_predict_give_what_the_reference_does(axis, dtype, compiled):
    x, y = draw()

    def trained(name):
        with kernels.use(name):
            keras.utils.set_random_seed(0)
            net = model(axis, dtype)
            net.compile("sgd", "mse", jit_compile=False)
            # Batches of 8, 8 and 6: compiled twice and not compiled once.
            net.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
            loss = net.evaluate(x, y, batch_size=8, verbose=0)
            return loss, net.predict(x, batch_size=8, verbose=0)

    wanted = trained("reference")
    assert not compiled
    found = trained("auto")
    tolerance = 2e-2 if dtype else 1e-5
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert {name for name, _ in compiled} == {"forward", "pull"}


def test_of_unknown_batches_those_of_a_power_of_two_are_compiled():
    import tensorflow as tf

    spec = tf.TensorSpec((None, 8))

    @tf.function(input_signature=[spec], autograph=False)
    def one_step_on_data(x):
        return lng_keras.group_layer_normalization(x, group_size=4)

    graph = one_step_on_data.get_concrete_function().graph
    branches = [n.type for n in graph.get_operations()]
    assert "StatelessIf" in branches or "If" in branches
    (name,) = clusters(graph)
    for n in (0, 1, 3, 4, 6, 8):
        x = np.random.default_rng(n).normal(size=(n, 8)).astype("float32")
        with kernels.use("reference"):
            wanted = lng_keras.group_layer_normalization(x, group_size=4)
        np.testing.assert_allclose(one_step_on_data(x), wanted, atol=2e-6)


def test_graphs_that_might_be_saved_have_none_unless_asked(compiled):
    import tensorflow as tf

    def traced(shape):
        fn = tf.function(lambda x: lng_keras.group_layer_normalization(x, group_size=4))
        return clusters(fn.get_concrete_function(tf.TensorSpec(shape)).graph)

    assert not traced((4, 8))
    assert not traced((None, 8))
    with kernels.use("compiled"):
        assert len(traced((4, 8))) == 1
        assert len(traced((None, 8))) == 1
        assert not traced((None, None, 8))
    data = tf.data.Dataset.from_tensor_slices(tf.ones((3, 2, 8)))
    assert len(list(data.map(lambda x: lng_keras.group_layer_normalization(x)))) == 3
    assert len(compiled) == 2


def test_a_program_that_xla_compiles_has_none_of_its_own(compiled):
    x, gamma = np.ones((4, 8), "float32"), np.ones(8, "float32")

    def fn(x, gamma):
        return lng_keras.group_layer_normalization(x, gamma, group_size=4)

    with kernels.use("compiled"):
        value_and_vjp(fn, (x, gamma), x, jit=True)
    assert not compiled


def test_eager_shapes_compile_from_their_third_call_on_and_no_more_than_so_many(
    compiled, monkeypatch
):
    monkeypatch.setattr(cluster, "MOST", 2)
    for n in (1, 2, 3):
        x = np.ones((n, 8), "float32")
        for _ in range(4):
            lng_keras.group_layer_normalization(x, group_size=4)
    assert compiled == [("forward", (n, 8)) for n in (1, 1, 2, 2)]


def test_gradients_and_both_modes_go_through_it(compiled):
    from tests.lng_keras.kernels import test_tensorflow_modes as modes

    for shape, axis, *arguments in modes.CASES:
        at, along = modes.tensors(shape, axis)
        fn = modes.cubes(axis, *arguments)
        for mode in (modes.jvp, modes.forward_over_reverse, modes.reverse_over_reverse):
            import tensorflow as tf

            compiled.clear()
            with kernels.use("compiled"):
                found = tf.function(lambda *a, m=mode, f=fn: m(f, *a))(at, along)
            assert compiled
            with kernels.use("reference"):
                wanted = mode(fn, at, along)
            for a, b in zip(found, wanted, strict=True):
                assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)


def test_several_replicas_train_with_it(compiled):
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    x, y = draw(16)
    with strategy.scope():
        net = model(-1)
        net.compile("sgd", "mse", jit_compile=False)
    losses = net.fit(x, y, batch_size=8, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert compiled


@pytest.mark.parametrize("axis", AXES)
def test_saved_and_exported_files_have_none(axis, tmp_path, compiled):
    import tensorflow as tf

    x, y = draw(16)
    net = model(axis)
    net.compile("sgd", "mse", jit_compile=False)
    net.fit(x, y, batch_size=8, verbose=0)
    wanted = net.predict(x, verbose=0)
    assert compiled
    net.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), wanted, atol=1e-6)

    compiled.clear()
    net.export(tmp_path / "exported", verbose=False)
    tf.saved_model.save(net, tmp_path / "saved")
    assert not compiled
    for folder in ("exported", "saved"):
        written = (tmp_path / folder / "saved_model.pb").read_bytes()
        function = tf.saved_model.load(tmp_path / folder).signatures["serving_default"]
        assert not clusters(function.graph)
        assert written.count(b"_XlaMustCompile") == written.count(
            b"_XlaMustCompile\x12\x02(\x00"
        )


@pytest.mark.filterwarnings("ignore")  # of the exporters, many
@pytest.mark.parametrize("format", ["litert", "onnx"])
def test_other_formats_are_written_after_a_training(format, tmp_path, compiled):
    needed = {"litert": "ai_edge_litert", "onnx": "tf2onnx"}[format]
    pytest.importorskip(needed)
    x, y = draw(16)
    net = model(-1)
    net.compile("sgd", "mse", jit_compile=False)
    net.fit(x, y, batch_size=8, verbose=0)
    compiled.clear()
    from lng_keras.adopt.export import export

    export(net, tmp_path / "model", format)
    # The comparison calls the model once, eagerly.
    assert not compiled
