"""Everything that forks, reads, writes, waits or kills."""
