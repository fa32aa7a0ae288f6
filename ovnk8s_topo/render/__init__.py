"""What people and programs read.

Law: values in, text out; nothing here decides, reads or writes.
"""
