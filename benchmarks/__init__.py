"""Side-by-side measurements with the tools that a user would otherwise take."""
