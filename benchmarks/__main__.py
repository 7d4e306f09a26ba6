"""All benchmarks, one after the other."""

from benchmarks import batches, message_serving, messages, serving, training

for program in (batches, training, messages, serving, message_serving):
    program.main()
