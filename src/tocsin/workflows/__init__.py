"""What the verbs of the command line do: one function each."""
