"""How the weights that come with permjax are made."""
