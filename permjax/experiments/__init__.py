"""The talk's experiments as one command and one report: `python -m permjax.experiments`.

`three_way` trains and measures, `three_way_report` and `model_report` tell; each other module is
one measurement with its figure, a function from models and records to JSON and one from JSON to
pictures.
"""
