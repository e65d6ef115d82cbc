"""The review page of `watch`: its web application."""
