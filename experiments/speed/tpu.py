"""A TPU v5e to compile for, and Google's figures of it; none needs to be there."""

# Of the process, before it imports JAX.
ENVIRONMENT = dict(
    KERAS_BACKEND="jax",
    JAX_PLATFORMS="cpu",
    TPU_SKIP_MDS_QUERY="1",
    TPU_ACCELERATOR_TYPE="v5litepod-4",
    TPU_WORKER_HOSTNAMES="localhost",
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",  # by processes at once, to compile alone
)
BYTES_PER_SECOND = 819e9  # of memory
FLOPS_PER_SECOND = 197e12  # in bfloat16
