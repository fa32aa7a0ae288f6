"""What a Northbound database can hold.

Law: this package knows tables, rows and references; it has never heard of Kubernetes, of a socket or of a plan.
"""
