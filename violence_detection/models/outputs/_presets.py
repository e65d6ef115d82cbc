"""Outputs that go together, by one name; needs the standard library only."""

PRESETS = {
    "fusion": "classes(units=512, weight=0.7)+svdd(weight=0.2)+violence(weight=0.1)",
    "multitask": "future(weight=1.0)+classes(units=512, weight=0.5)+mil(weight=0.3)"
    "+vae(weight=0.3)",
}
