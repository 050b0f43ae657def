"""The picture of the page for the README: record.py URL PICTURE [PROMPT [SEED]]
An animated PNG that shows every step of one text. Who does not animate it shows the last. Needs pillow."""
import io
import sys

from browser import Browser
from PIL import Image

url, picture, prompt, seed = (*sys.argv[1:], *("The old house stood", "7")[len(sys.argv) - 3:])
STEPS = 8


def state(page, step):
    page.run(f"const slider = document.getElementById('step'); slider.value = {step}; slider.dispatchEvent(new Event('input'))")
    page.screenshot(picture)
    with open(picture, "rb") as file:
        return Image.open(io.BytesIO(file.read())).convert("RGB").quantize(48, dither=Image.Dither.NONE)


with Browser(width=860, height=700) as page:
    page.open(url)
    page.wait("document.getElementById('steps')?.value")
    page.run(f"document.getElementById('prompt').value = {prompt!r}; document.getElementById('seed').value = {seed!r};"
             f"document.getElementById('length').value = 120; document.getElementById('steps').value = {STEPS};"
             "document.getElementById('form').requestSubmit();")
    page.wait("/ steps, /.test(document.getElementById('message').textContent)")
    frames = [state(page, step) for step in range(STEPS + 1)]
    frames[-1].save(picture, save_all=True, default_image=True, append_images=frames, duration=[600] * STEPS + [3000], loop=0)
