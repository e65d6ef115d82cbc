"""A run as a graph of Keras' own layers, from frames to a probability."""
