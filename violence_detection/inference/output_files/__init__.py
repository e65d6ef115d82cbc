"""Files that predict writes."""
