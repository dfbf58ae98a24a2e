"""Reports on their way between processes, and who hears of them: pytest's reporting, public or not."""
