"""The card that plots and drawings stand on, in light and in dark themes: its colour, and that of its edge."""

# A picture brings a background of its own, as the drawings of the notebooks do, and does not let the page's shine
# through: no colour of text has a contrast of 4.5:1 both with white and with the #111111 of JupyterLab's dark theme.
CARD, CARD_EDGE = "#fbfaf7", "#d5d2ca"
