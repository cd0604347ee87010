"""What is tried and measured where nothing else is asked for."""

GROUP_SIZES = (4, 8, 16)  # channels
LATENCY_BATCHES = (1, 32)  # a request by itself, and a server's
EXAMPLES = 5000  # images, validation included: minutes on two cores
EPOCHS = 3
SEEDS = 2
FINALISTS = 3  # candidates of a search that are compared with each other
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
