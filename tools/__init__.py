"""What builds and keeps the project, and does not ship: executing notebooks, translations, the font, IMPLEMENTED.md."""
