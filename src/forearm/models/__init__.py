"""Families of world models behind one interface."""
