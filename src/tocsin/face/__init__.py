"""What `import tocsin` offers: models opened, trained and judged from Python. No torch until a verb needs it."""
