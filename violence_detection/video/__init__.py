"""From a file or a stream to the images that a backbone sees."""
