"""Each camera of a watch in the supervisor: its state, alerts, clips and minutes."""
