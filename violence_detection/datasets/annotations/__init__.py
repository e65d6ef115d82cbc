"""Parts of long videos as clips, from annotations or of equal length."""
