"""The kernels for CUDA: interpreted on a CPU, and compiled without a GPU."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lng_keras import kernels
from lng_keras.kernels.spec import Spec
from tests.lng_keras import reference

pytestmark = pytest.mark.only("torch", reason="the kernels are for torch")
torch = pytest.importorskip("torch")

# "1": Triton interprets, "0": it compiles. It reads this when it is imported, and ends
# a process that holds TensorFlow: each in a process of its own.
MODE = os.environ.get("TRITON_INTERPRET")
triton = pytest.importorskip("triton") if MODE else None
STARTED = "run by the test that starts it"
interpreted = pytest.mark.skipif(MODE != "1", reason=STARTED)
compiled = pytest.mark.skipif(MODE != "0", reason=STARTED)

# (rows, channels, size of a group): blocks that end beyond rows, groups, and a group.
SHAPES = [(5, 24, 4), (70, 24, 3), (3, 96, 48), (130, 64, 8), (2, 111, 37), (1, 8, 8)]
# Triton's interpreter cuts bfloat16 off, where a GPU rounds it.
ROUNDED = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-7}
# The reference loses what float64 cannot hold beside a larger offset.
OFFSETS = {torch.float32: (0.0, 1e2, 1e4, 1e6), torch.float64: (0.0, 1e2)}


@pytest.mark.skipif(bool(MODE), reason="starts the others")
@pytest.mark.parametrize("mode", ["1", "0"], ids=["interpreted", "compiled"])
def test_does_what_it_should(mode):
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    program = [sys.executable, "-m", "pytest", "-n", "0", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": mode, "KERAS_BACKEND": "torch"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    root = Path(__file__).parents[3]
    run = subprocess.run(
        program, cwd=root, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert re.search(r"\d+ passed", run.stdout)


def draw(n, channels, offset=0.0, dtype=torch.float32):
    rng = np.random.default_rng(0)
    x, dy = (torch.tensor(rng.normal(size=(n, channels))) for _ in range(2))
    gamma, beta = (torch.tensor(rng.normal(size=channels)).float() for _ in range(2))
    return (x + offset).to(dtype), gamma, beta, dy.to(dtype)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@interpreted
@pytest.mark.parametrize(("n", "channels", "size"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_values_and_gradients(n, channels, size, dtype):
    dtype, groups = getattr(torch, dtype), channels // size
    for offset in OFFSETS.get(dtype, (0.0,)):
        x, gamma, beta, dy = draw(n, channels, offset, dtype)
        inputs = [t.requires_grad_() for t in (x, gamma, beta)]
        with kernels.use("triton"):
            y = kernels.normalize(*inputs, Spec(groups, (1,), 1e-5, True))
        assert "lng_keras" in y.grad_fn.name()
        found = torch.autograd.grad(y, inputs, dy)
        x, gamma, beta, dy, y = (t.detach() for t in (x, gamma, beta, dy, y))
        wanted = reference.normalize(x.double(), gamma, beta, groups, (1,))
        bound = {torch.float32: 5 * 2e-6, torch.float64: 1e-11}.get(dtype)
        bound = bound or ROUNDED[dtype] * np.abs(wanted).max()
        assert y.dtype == dtype
        assert np.abs(y.double().numpy() - wanted).max() < bound
        gradients = reference.gradients(x.double(), gamma, dy.double(), groups, (1,))
        for a, b in zip(found, gradients, strict=True):
            assert relative(a.double().numpy(), b) < ROUNDED.get(dtype, 1e-5)


@interpreted
def test_what_is_absent_or_not_wanted():
    x, gamma, beta, dy = draw(70, 24)
    spec = Spec(6, (1,), 1e-5, False)
    from lng_keras.kernels.torch import triton as form

    for weight, shift in ((gamma, None), (None, beta), (None, None)):
        y, kept = form.forward(x, weight, shift, spec)
        wanted = reference.normalize(x, weight, shift, 6, (1,), subtract_mean=False)
        assert np.abs(y.numpy() - wanted).max() < 1e-5
    every = form.pull(x, gamma, kept, dy, spec)
    for i in range(3):
        found = form.pull(x, gamma, kept, dy, spec, tuple(i == j for j in range(3)))
        assert torch.equal(found[i], every[i])
        assert [g is None for g in found] == [i != j for j in range(3)]


@interpreted
def test_second_derivative_is_that_of_the_reference():
    x, gamma, beta, dy = draw(3, 8)
    spec = Spec(2, (1,), 1e-5, True)

    def second(name):
        leaf = x.clone().requires_grad_()
        with kernels.use(name):
            y = kernels.normalize(leaf, gamma, beta, spec)
        (dx,) = torch.autograd.grad(y, leaf, dy, create_graph=True)
        return torch.autograd.grad((dx**2).sum(), leaf)[0]

    torch.testing.assert_close(second("triton"), second("reference"), atol=1e-5, rtol=0)


@interpreted
def test_under_autocast_the_result_keeps_the_dtype_of_x():
    x, gamma, beta, _ = draw(3, 8, dtype=torch.bfloat16)
    with kernels.use("triton"), torch.autocast("cpu", torch.bfloat16):
        y = kernels.normalize(x, gamma, beta, Spec(2, (1,), 1e-5, True))
    assert y.dtype == torch.bfloat16


@compiled
@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [3, 8, 48, 768, 8192])
def test_compiles_for_an_h100_and_stays_in_its_registers(size, dtype, tmp_path):
    from lng_keras.kernels.torch import triton as form

    groups = -(-768 // size)
    x = torch.empty((65536, groups * size), dtype=getattr(torch, dtype), device="meta")
    blocks = form._blocks(x, groups)
    constants = blocks.constants(x, groups, 1e-5, True)
    of_x = {"float32": "*fp32", "bfloat16": "*bf16"}[dtype]
    for kernel, more in (
        (form._forward_kernel, ("HAS_GAMMA", "HAS_BETA")),
        (form._pull_kernel, ("HAS_GAMMA", "DX", "DGAMMA", "DBETA")),
    ):
        constants = {
            **blocks.constants(x, groups, 1e-5, True),
            **dict.fromkeys(more, True),
        }
        types = dict.fromkeys(kernel.arg_names, "*fp32")
        types |= dict.fromkeys(("x_ptr", "y_ptr", "dy_ptr", "dx_ptr"), of_x)
        types |= {"rows": "i32", **dict.fromkeys(constants, "constexpr")}
        source = triton.compiler.ASTSource(
            fn=kernel,
            signature={name: types[name] for name in kernel.arg_names},
            constexprs=constants,
            attrs={
                (i,): [["tt.divisibility", 16]]
                for i, name in enumerate(kernel.arg_names)
                if name.endswith("_ptr")
            },
        )
        binary = triton.compile(
            source,
            target=triton.backends.compiler.GPUTarget("cuda", 90, 32),
            options={"num_warps": blocks.warps},
        )
        assert ".target sm_90" in binary.asm["ptx"]
        assert binary.metadata.shared <= 16 * 1024
        used = resources(binary.asm["cubin"], tmp_path)
        assert used["STACK"] == used["LOCAL"] == 0, used


def resources(cubin, folder):
    """What a program takes of an H100: registers, and memory beyond them."""
    (folder / "kernel.cubin").write_bytes(cubin)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    command = [tool, "--dump-resource-usage", folder / "kernel.cubin"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {k: int(v) for k, v in re.findall(r"(REG|STACK|LOCAL):(\d+)", said)}
