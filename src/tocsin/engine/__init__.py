"""One training loop for every model, on Lightning Fabric."""
