"""What is read from a message: its text folded, cues, letters, and its shape as numbers."""
