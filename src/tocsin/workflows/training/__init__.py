"""From a recipe to a sealed artifact."""
