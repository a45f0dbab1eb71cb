"""Who may do what: policies, roles, temporary credentials."""
