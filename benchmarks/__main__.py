"""All benchmarks, one after the other."""

from benchmarks import batches, message_serving, messages, minhash, serving, training

for program in (batches, minhash, training, messages, serving, message_serving):
    program.main()
