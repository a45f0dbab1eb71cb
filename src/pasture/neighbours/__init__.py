"""The services of AWS that functions, destinations and triggers talk to, wherever they are served."""
