"""A figure with alternative text, for readers who cannot see it."""

import base64
import io
from html import escape

from matplotlib.figure import Figure
from PIL import Image

from .card import CARD_EDGE

FINER = 2  # so many points of the image to a pixel of the page, in each direction: sharp on phones and newer screens
COLOURS = 256  # of the palette, as many as it can have
FRAME = f"max-width: 100%; height: auto; box-sizing: border-box; border: 1px solid {CARD_EDGE}; border-radius: 4px"


class DescribedFigure(Figure):
    """A matplotlib figure that says what can be seen in it.

    JupyterLab shows an image without the alternative text in its metadata, but HTML with all that is in it. So a
    notebook gets the picture as HTML, which exported pages keep; programs that show no HTML take the image, as of any
    figure.
    """

    alternative_text = ""
    keeps_its_width = False  # where there is less room, it is scrolled instead of made smaller

    def _repr_html_(self) -> str:
        """Give the picture as HTML, as notebooks ask for it."""
        drawn, image = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", bbox_inches="tight", pad_inches=0.15, dpi=FINER * self.dpi)
        with Image.open(drawn) as picture:
            width = picture.width // FINER  # in pixels of the page
            # With a palette, the file has a third of the size, and a plot with its few colours looks the same.
            picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(image, format="png")
        source = base64.b64encode(image.getvalue()).decode()
        least = f"min-width: {width}px; " if self.keeps_its_width else ""
        return (
            f'<img alt="{escape(self.alternative_text)}" width="{width}" style="{least}{FRAME}" '
            f'src="data:image/png;base64,{source}">'
        )

    def __repr__(self) -> str:
        """Give what matplotlib gives for any figure: what stored notebooks show stays the same."""
        width, height = self.bbox.size
        return f"<Figure size {width:g}x{height:g} with {len(self.axes)} Axes>"
