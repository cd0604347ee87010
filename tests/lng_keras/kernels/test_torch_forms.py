"""torch's own forms: their contract, and what torch makes of functions they are in."""

import itertools
import sys
import types

import keras
import numpy as np
import pytest

import lng_keras
from lng_keras import kernels
from lng_keras.kernels.spec import Spec
from tests.lng_keras import reference

pytestmark = pytest.mark.only("torch", reason="forms of torch")
torch = pytest.importorskip("torch")

VALUE_TOLERANCE, GRADIENT_TOLERANCE = 2e-6, 1e-5  # as in test_kernels.py
# Of values of some units, rounded once: 2^-11 and 2^-8 of them.
ROUNDED = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


def form_named(name):
    from lng_keras.kernels.torch import cpu

    if name == "cpu":
        return cpu
    pytest.importorskip("llvmlite", reason='the extra "fast-cpu" is not installed')
    return pytest.importorskip("lng_keras.kernels.torch.loops", exc_type=OSError)


def draw(n, channels, offset=0.0, dtype=torch.float32, seed=0):
    rng = np.random.default_rng(seed)
    x, dy = (torch.tensor(rng.normal(size=(n, channels))) for _ in range(2))
    gamma, beta = (torch.tensor(rng.normal(size=channels)).float() for _ in range(2))
    return (x + offset).to(dtype), gamma, beta, dy.to(dtype)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize("name", ["loops", "cpu"])
@pytest.mark.parametrize("size", [2, 3, 5, 8, 13, 48, 256, 1000])
def test_values_and_gradients_at_any_offset(name, size):
    form, groups = form_named(name), 3
    for offset, n in itertools.product([0.0, 1e2, 1e4, 1e6], [1, 7]):
        x, gamma, beta, dy = draw(n, groups * size, offset)
        spec = Spec(groups, (1,), 1e-5, True)
        y, kept = form.forward(x, gamma, beta, spec)
        wanted = reference.normalize(x, gamma, beta, groups, (1,))
        # gamma and beta of a few units multiply the error.
        assert np.abs(y.numpy() - wanted).max() < 5 * VALUE_TOLERANCE
        if size < 3:
            continue  # a sign function: its gradient is all but zero
        found = form.pull(x, gamma, kept, dy, spec)
        wanted = reference.gradients(x, gamma, dy, groups, (1,))
        for a, b in zip(found, wanted, strict=True):
            assert relative(a.numpy(), b) < GRADIENT_TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["loops", "cpu"])
def test_other_dtypes(name, dtype):
    form, spec = form_named(name), Spec(4, (1,), 1e-5, True)
    x, gamma, beta, dy = draw(9, 32, 3.0, dtype)
    if name == "loops" and not form.supports(x, spec):
        assert dtype is torch.float16
        return
    y, kept = form.forward(x, gamma, beta, spec)
    found = form.pull(x, gamma, kept, dy, spec)
    assert y.dtype == found[0].dtype == dtype
    wide = torch.float64 if dtype is torch.float64 else torch.float32
    assert {g.dtype for g in found[1:]} == {wide}
    x, dy = x.double(), dy.double()
    rounded = ROUNDED.get(dtype, 1e-13)
    wanted = reference.normalize(x, gamma, beta, 4, (1,))
    assert np.abs(y.double().numpy() - wanted).max() < rounded * np.abs(wanted).max()
    for a, b in zip(found, reference.gradients(x, gamma, dy, 4, (1,)), strict=True):
        assert relative(a.double().numpy(), b) < max(rounded, 1e-12)


def test_loops_keep_bfloat16_that_is_not_finite():
    form, spec = form_named("loops"), Spec(2, (1,), 1e-5, True)
    x = torch.ones(1, 16, dtype=torch.bfloat16)
    x[0, 3], x[0, 9] = float("nan"), 2.0
    y, _ = form.forward(x, None, None, spec)
    assert y[0, :8].isnan().all()
    assert y[0, 8:].isfinite().all()


@pytest.mark.parametrize("subtract_mean", [True, False])
def test_loops_give_what_is_wanted_and_no_more(subtract_mean):
    form, spec = form_named("loops"), Spec(4, (1,), 1e-5, subtract_mean)
    x, gamma, _, dy = draw(9, 32)
    for weight in (gamma, None):
        every = form.pull(x, weight, (), dy, spec)
        for wanted in itertools.product([True, False], repeat=3):
            found = form.pull(x, weight, (), dy, spec, wanted)
            for a, b, w in zip(found, every, wanted, strict=True):
                # Not to the bit: other products are joined with their sums.
                assert a is None if not w else relative(a, b) < 1e-6


def test_loops_share_rows_among_threads():
    """Every row is seen by one thread, and gradients of weights by all of them."""
    form, spec = form_named("loops"), Spec(8, (1,), 1e-5, True)
    x, gamma, beta, dy = draw(1001, 64)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y, _ = form.forward(x, gamma, beta, spec)
            results.append((y, *form.pull(x, gamma, (), dy, spec)))
    finally:
        torch.set_num_threads(threads)
    for found in results[1:]:
        for a, b in zip(found[:2], results[0][:2], strict=True):
            assert torch.equal(a, b)
        for a, b in zip(found[2:], results[0][2:], strict=True):
            assert relative(a.numpy(), b.numpy()) < 1e-6


def test_transposed_tensors():
    x, gamma, beta, dy = draw(24, 6)
    x, dy = x.T.requires_grad_(), dy.T

    def gradient():
        y = lng_keras.group_layer_normalization(x, group_size=4)
        return torch.autograd.grad(y, x, dy)[0]

    found = gradient()
    with kernels.use("reference"):
        assert relative(found.numpy(), gradient().numpy()) < GRADIENT_TOLERANCE


def test_an_empty_batch():
    x = torch.zeros(0, 24, requires_grad=True)
    gamma = torch.ones(24, requires_grad=True)
    y = lng_keras.group_layer_normalization(x, gamma, group_size=4)
    dx, dgamma = torch.autograd.grad(y.sum(), (x, gamma))
    assert y.shape == dx.shape == (0, 24)
    assert not dgamma.any()


def normalize(x, gamma, beta):
    return lng_keras.group_layer_normalization(x, gamma, beta, group_size=4)


def jvp(x, gamma, beta, dy):
    return torch.func.jvp(normalize, (x, gamma, beta), (dy, beta, gamma))[1]


def forward_ad(x, gamma, beta, dy):
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual
        y = normalize(dual(x, dy), dual(gamma, beta), dual(beta, gamma))
        return torch.autograd.forward_ad.unpack_dual(y).tangent


def forward_ad_of_a_gradient(x, gamma, beta, dy):
    x = x.clone().requires_grad_()
    with torch.autograd.forward_ad.dual_level():
        upstream = torch.autograd.forward_ad.make_dual(dy, dy.flip(0))
        (dx,) = torch.autograd.grad(normalize(x, gamma, beta), x, upstream)
        return torch.autograd.forward_ad.unpack_dual(dx).tangent


def jacfwd(x, gamma, beta, dy):
    return torch.func.jacfwd(normalize, argnums=(0, 1))(x, gamma, beta)[0]


def jacrev(x, gamma, beta, dy):
    return torch.func.jacrev(normalize)(x, gamma, beta)


def hessian(x, gamma, beta, dy):
    return torch.func.hessian(lambda x: (normalize(x, gamma, beta) * dy).sum())(x)


def gradient_of_func(x, gamma, beta, dy):
    return torch.func.grad(lambda g: (normalize(x, g, beta) * dy).sum())(gamma)


def vmap(x, gamma, beta, dy):
    return torch.func.vmap(normalize, (None, 0, None))(
        x, torch.stack([gamma, beta]), beta
    )


def vmap_of_gradient(x, gamma, beta, dy):
    def loss(row):
        return (normalize(row[None], gamma, beta) ** 3).sum()

    return torch.func.vmap(torch.func.grad(loss))(x)


def double_backward(x, gamma, beta, dy):
    x = x.clone().requires_grad_()
    y = normalize(x, gamma, beta)
    (dx,) = torch.autograd.grad(y, x, dy, create_graph=True)
    return torch.autograd.grad((dx**2).sum(), x)[0]


MODES = [
    jvp,
    forward_ad,
    forward_ad_of_a_gradient,
    jacfwd,
    jacrev,
    hessian,
    gradient_of_func,
    vmap,
    vmap_of_gradient,
    double_backward,
]


# torch's forward mode scripts something of its own.
@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_what_the_reference_gives(mode):
    inputs = draw(3, 8)
    found = mode(*inputs)
    with kernels.use("reference"):
        wanted = mode(*inputs)
    assert wanted.abs().max() > 1e-2
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


BACKENDS = ["eager", "aot_eager", "inductor"]


@pytest.fixture(params=BACKENDS)
def compiled(request):
    """torch.compile without a break; by the inductor where there is a compiler."""
    if request.param == "inductor":
        from torch._inductor import cpp_builder

        try:
            cpp_builder.get_cpp_compiler()
        except Exception:  # its own kind, of a private file
            pytest.skip("no C++ compiler")
    torch.compiler.reset()
    return lambda f: torch.compile(f, fullgraph=True, backend=request.param)


def small_model():
    layers = keras.layers
    norm = lng_keras.GroupLayerNormalization(group_size=4)
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8), norm, layers.ReLU(), layers.Dense(2)]
    )


@pytest.mark.filterwarnings("ignore")  # torch's own, of its compilers
def test_compiles_whole_a_layer_a_model_and_its_gradient(compiled):
    x, gamma, beta, dy = draw(5, 8)
    layer = lng_keras.GroupLayerNormalization(group_size=4)
    layer.build(x.shape)
    model, inputs = small_model(), draw(5, 6)[0]

    def gradient(inputs):
        return torch.func.grad(lambda inputs: (model(inputs) ** 2).sum())(inputs)

    for function, argument in ((layer, x), (model, inputs), (gradient, inputs)):
        wanted = function(argument)
        found = compiled(function)(argument)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)

    weights = [w.value for w in model.trainable_weights]
    wanted = torch.autograd.grad((model(inputs) ** 2).sum(), weights)
    found = torch.autograd.grad((compiled(model)(inputs) ** 2).sum(), weights)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_exports_torchs_own_operations_alone():
    model = small_model()
    program = torch.export.export(model, (draw(5, 6)[0],))
    targets = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}
    assert not [t for t in targets if "lng_keras" in t]


def test_triton_is_not_loaded_where_tensorflow_is(monkeypatch):
    # The second LLVM would end the process.
    from lng_keras.kernels.torch import forms

    monkeypatch.setattr(forms, "_imported", lambda name: name)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    assert forms._triton() is None
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert forms._triton() == "triton"
