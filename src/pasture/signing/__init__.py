"""Signing profiles, and the signatures that packages carry: AWS Signer's part, on your own machine."""
