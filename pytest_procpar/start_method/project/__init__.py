"""What belongs to the project: its files and frames, what imported a library, what looks into a mapping."""
