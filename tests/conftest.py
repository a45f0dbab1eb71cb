from hypothesis import settings

# A busy machine is no falsifying example.
settings.register_profile("pasture", deadline=None)
settings.load_profile("pasture")
