"""Memories that a team keeps for the people of its product.

Rows are sealed per person in the server's database, vectors are in the store that `PROJECTONE_SERVER_VECTORS` names.
Whose they are comes from a token (the tenant) and the path (the person).
"""
