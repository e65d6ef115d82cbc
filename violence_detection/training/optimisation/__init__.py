"""Steps of a training: the loss, the learning rate, the average of weights, and XLA."""
