"""The run folder and the states of a training: begun, saved, resumed."""
