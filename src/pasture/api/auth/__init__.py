"""Who is calling: access keys, Signature Version 4, and the open door."""
