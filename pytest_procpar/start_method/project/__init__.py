"""What belongs to the project: its files and frames, who imported a library, who looks into a mapping."""
