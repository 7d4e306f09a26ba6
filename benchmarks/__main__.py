"""All benchmarks, one after the other."""

from benchmarks import batches, serving, training

for program in (batches, training, serving):
    program.main()
