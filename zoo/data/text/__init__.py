"""Sentences in two languages, and the batches of subwords made of them."""
