"""The formats in which the results of a scan are written, one a file."""
