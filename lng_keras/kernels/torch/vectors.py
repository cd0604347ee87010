"""Arithmetic on vectors of one length, written in Python and compiled by LLVM.

A function is built once for each length, so that LLVM keeps the vectors in registers.
That takes some tens of milliseconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

_WHOLE, _SHORT, _INT = (ir.IntType(n) for n in (64, 16, 32))
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()
# In memory, and in the arithmetic.
_DTYPES = {
    "float32": (_FLOAT, _FLOAT, 4),
    "float64": (_DOUBLE, _DOUBLE, 8),
    "bfloat16": (_SHORT, _FLOAT, 2),
}


class Whole:
    """A whole number inside a function that is being built."""

    def __init__(self, builder: ir.IRBuilder, value: Any):
        self._builder, self.value = builder, value

    def __add__(self, other: "Whole | int") -> "Whole":
        return self._with(other, self._builder.add)

    def __mul__(self, other: "Whole | int") -> "Whole":
        return self._with(other, self._builder.mul)

    def __floordiv__(self, other: "Whole | int") -> "Whole":
        return self._with(other, self._builder.udiv)

    def _with(self, other, operation):
        if not isinstance(other, Whole):
            other = Whole(self._builder, ir.Constant(_WHOLE, other))
        return Whole(self._builder, operation(self.value, other.value))


class Values:
    """One number, or a vector of them, inside a function that is being built.

    Beside a vector, one number stands at every place. Operations keep their order, but
    for the sum in `mean`: `x - p - m` is not `x - (p + m)`. A product may be joined
    with the sum it goes into.
    """

    def __init__(self, builder: ir.IRBuilder, value: Any):
        self._builder, self.value = builder, value

    def __add__(self, other: "Values | float") -> "Values":
        return self._with(other, self._builder.fadd)

    def __sub__(self, other: "Values | float") -> "Values":
        return self._with(other, self._builder.fsub)

    def __mul__(self, other: "Values | float") -> "Values":
        return self._with(other, self._builder.fmul)

    def first(self) -> "Values":
        return self._new(self._builder.extract_element(self.value, _int(0)))

    def mean(self) -> "Values":
        kind = self.value.type
        total = self._intrinsic(
            f"llvm.vector.reduce.fadd.v{kind.count}{kind.element.intrinsic_name}",
            kind.element,
            [ir.Constant(kind.element, 0.0), self.value],
            fastmath=("reassoc",),
        )
        return total * (1.0 / kind.count)

    def inverse_root(self) -> "Values":
        """Of one number."""
        kind = self.value.type
        root = self._intrinsic(f"llvm.sqrt.{kind.intrinsic_name}", kind, [self.value])
        return self._new(self._builder.fdiv(ir.Constant(kind, 1.0), root.value))

    def _with(self, other, operation):
        kind = self.value.type
        if not isinstance(other, Values):
            other = self._new(ir.Constant(getattr(kind, "element", kind), other))
        if isinstance(other.value.type, ir.VectorType):
            kind = other.value.type
        operands = (v.spread(kind) for v in (self, other))
        return self._new(operation(*operands, flags=("contract",)))

    def spread(self, kind: Any) -> Any:
        """In LLVM: as a vector of `kind`."""
        if self.value.type == kind:
            return self.value
        empty = ir.Constant(kind, ir.Undefined)
        one = self._builder.insert_element(empty, self.value, _int(0))
        everywhere = ir.Constant(ir.VectorType(_INT, kind.count), None)
        return self._builder.shuffle_vector(one, empty, everywhere)

    def _intrinsic(self, name, result, operands, **settings):
        module = self._builder.module
        kind = ir.FunctionType(result, [o.type for o in operands])
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return self._new(self._builder.call(function, operands, **settings))

    def _new(self, value):
        return Values(self._builder, value)


class Array:
    """Numbers in memory, read and written as vectors from a place on."""

    def __init__(
        self, builder: ir.IRBuilder, address: Whole, dtype: str, length: int
    ) -> None:
        self._builder, self._address, self._dtype = builder, address, dtype
        self._length = length

    def __getitem__(self, place: Whole) -> Values:
        stored, counted, size = _DTYPES[self._dtype]
        value = self._builder.load(self._pointer(place), align=size)
        if stored is not counted:
            value = _widened(self._builder, value)
        return Values(self._builder, value)

    def __setitem__(self, place: Whole, values: Values) -> None:
        stored, counted, size = _DTYPES[self._dtype]
        value = values.value
        if stored is not counted:
            value = _rounded(self._builder, value)
        self._builder.store(value, self._pointer(place), align=size)

    def _pointer(self, place):
        stored, _, size = _DTYPES[self._dtype]
        address = (self._address + place * size).value
        kind = ir.VectorType(stored, self._length).as_pointer()
        return self._builder.inttoptr(address, kind)


class Function:
    """A function of one array of addresses and whole numbers, being built.

    Args:
        length: of vectors.
    """

    def __init__(self, length: int):
        self.length, module = length, ir.Module()
        kind = ir.FunctionType(ir.VoidType(), [_WHOLE.as_pointer()])
        self._function = ir.Function(module, kind, "run")
        self._builder = ir.IRBuilder(self._function.append_basic_block())

    def whole(self, number: int) -> Whole:
        """The whole number at a place of the argument."""
        place = ir.Constant(_WHOLE, number)
        pointer = self._builder.gep(self._function.args[0], [place])
        return Whole(self._builder, self._builder.load(pointer))

    def array(self, number: int, dtype: str) -> Array:
        """What lies at the address at a place of the argument."""
        return Array(self._builder, self.whole(number), dtype, self.length)

    def called(self, address: int) -> Whole:
        """The int that a function of C without arguments returns."""
        b, kind = self._builder, ir.FunctionType(_INT, [])
        function = b.inttoptr(ir.Constant(_WHOLE, address), kind.as_pointer())
        return Whole(b, b.zext(b.call(function, []), _WHOLE))

    @contextmanager
    def loop(self, start: Whole, stop: Whole, step: int = 1) -> Iterator[Whole]:
        """Repeats what is built inside the `with` block."""
        b, before = self._builder, self._builder.block
        head, body, after = (self._function.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        number = b.phi(_WHOLE)
        number.add_incoming(start.value, before)
        b.cbranch(b.icmp_unsigned("<", number, stop.value), body, after)
        b.position_at_end(body)
        yield Whole(b, number)
        number.add_incoming((Whole(b, number) + step).value, b.block)
        b.branch(head)
        b.position_at_end(after)

    def compiled(self) -> "Compiled":
        self._builder.ret_void()
        return Compiled(str(self._function.module))


class Compiled:
    """A finished function at an `address`."""

    def __init__(self, text: str):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(),
            features=llvm.get_host_cpu_features().flatten(),
            opt=3,
            jit=True,
        )
        module = llvm.parse_assembly(text)
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_pass_builder(machine, options)
        passes.getModulePassManager().run(module, passes)
        # It owns the memory of the function.
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self.address = self._engine.get_function_address("run")


# bfloat16 is the upper half of float32. LLVM knows it, but where the processor does not
# it calls functions that are in no library here.
def _widened(b, value):
    wide = b.zext(value, ir.VectorType(_INT, value.type.count))
    return _as_float(b, b.shl(wide, ir.Constant(wide.type, [16] * value.type.count)))


def _rounded(b, value):
    """To the nearest, and to even; what is not a number stays so."""
    count = value.type.count

    def every(kind, number):
        return ir.Constant(ir.VectorType(kind, count), [number] * count)

    bits = b.bitcast(value, ir.VectorType(_INT, count))
    odd = b.and_(b.lshr(bits, every(_INT, 16)), every(_INT, 1))
    up = b.add(b.add(bits, every(_INT, 0x7FFF)), odd)
    upper = b.trunc(b.lshr(up, every(_INT, 16)), ir.VectorType(_SHORT, count))
    is_number = b.fcmp_ordered("ord", value, value)
    return b.select(is_number, upper, every(_SHORT, 0x7FC0))


def _as_float(b, bits):
    return b.bitcast(bits, ir.VectorType(_FLOAT, bits.type.count))


def _int(value):
    return ir.Constant(_INT, value)
