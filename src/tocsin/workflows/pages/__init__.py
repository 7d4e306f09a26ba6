"""Reports as pages and plots."""
