"""Files of clips: packets, pictures, masks, and their deletion."""
